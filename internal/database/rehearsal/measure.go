package rehearsal

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/migration"
	"github.com/noon-deploy/noon/internal/database/migration/sqltext"
)

// bench is the copy while the change runs on it.
type bench struct {
	*run
	address string
	db      *sql.DB
	watch   *watch
	tables  map[string]*noon.RehearsedTable
	order   []string
}

// measure runs the change on the copy and looks at it.
func (r *run) measure(ctx context.Context, address string) (verdict, err error) {
	db, err := migration.Connect(ctx, address)
	if err != nil {
		return nil, err
	}
	defer db.Close() //nolint:errcheck // every statement was answered
	b := &bench{run: r, address: address, db: db, watch: newWatch(), tables: map[string]*noon.RehearsedTable{}}
	if err := b.sizes(ctx, true); err != nil {
		return nil, r.trouble("look at the copy", err)
	}
	stop, err := b.sampling(ctx)
	if err != nil {
		return nil, err
	}
	verdict, err = b.steps(ctx)
	if e := stop(); err == nil && verdict == nil {
		err = r.trouble("look at locks", e)
	}
	if e := b.sizes(context.WithoutCancel(ctx), false); err == nil {
		err = r.trouble("look at the copy", e)
	}
	b.finish()
	return verdict, err
}

// sizes reads how large the tables are that the change names, before and after
// it.
func (b *bench) sizes(ctx context.Context, before bool) error {
	if b.dialect == sqltext.MySQL && !before {
		b.recount(ctx)
	}
	all, err := tables(ctx, b.db, b.dialect)
	if err != nil {
		return err
	}
	if before {
		for _, t := range all {
			b.report.Copy.Rows += max(t.Rows, 0)
		}
		for _, t := range named(all, b.Texts) {
			source, _ := find(b.source, t)
			b.order = append(b.order, t.shown())
			b.tables[t.shown()] = &noon.RehearsedTable{Name: t.shown(), Rows: t.Rows, Source: source.Rows, Before: t.Size}
		}
		return nil
	}
	for _, t := range all {
		if known := b.tables[t.shown()]; known != nil {
			known.After = t.Size
		}
	}
	return nil
}

// sampling looks at locks from outside, on servers that tell.
func (b *bench) sampling(ctx context.Context) (stop func() error, err error) {
	switch b.dialect {
	case sqltext.PostgreSQL: // below
	case sqltext.MySQL:
		return b.samplingMySQL(ctx)
	case sqltext.SQLite:
		return func() error { return nil }, nil
	}
	conn, err := pgx.Connect(ctx, b.address)
	if err != nil {
		return nil, b.trouble("reach the copy", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- b.watch.sample(ctx, conn) }()
	return func() error {
		cancel()
		return errors.Join(<-done, conn.Close(context.WithoutCancel(ctx)))
	}, nil
}

func (b *bench) steps(ctx context.Context) (verdict, err error) {
	for _, s := range b.Steps {
		if s.Quiet {
			if err := s.Run(ctx, b.copy()); err != nil {
				return nil, err
			}
			continue
		}
		b.Tell(string(s.Phase))
		verdict, err := b.step(ctx, s)
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case err != nil || verdict != nil:
			return verdict, err
		}
	}
	if len(b.report.Broken) > 0 {
		return &noon.Error{
			Kind: noon.Failure, Op: "rehearse", Err: fmt.Errorf("the release before can not work with it: %s", b.report.Broken[0]),
			Hint: "Users of both releases are there at once. Take what breaks the release before into the section `contract`. Production was not changed.",
		}, nil
	}
	return nil, nil
}

func (b *bench) copy() Copy {
	c := Copy{Address: b.address, Trace: b.watch, Says: b.watch.says, Sees: b.sees}
	if b.dialect == sqltext.PostgreSQL { // the tracer sees more
		c.Says = func(migration.Progress) {}
	}
	return c
}

// step runs a part of the change while users work.
func (b *bench) step(ctx context.Context, s Step) (verdict, err error) {
	all, err := tables(ctx, b.db, b.dialect)
	if err != nil {
		return nil, b.trouble("look at the copy", err)
	}
	var list []table
	files := b.files(ctx)
	for _, t := range all {
		if b.tables[t.shown()] != nil {
			t.File = cmp.Or(t.File, files[t.Name])
			list = append(list, t)
		}
	}
	b.watch.enter(s.Phase, list)
	u, err := b.crowd(ctx, b.address, s, b.watch, b.tables)
	if err != nil {
		return nil, err
	}
	defer u.db.Close() //nolint:errcheck // every statement was answered
	if list, err = b.viewed(ctx, s, list); err != nil {
		return nil, b.trouble("look at the views of a release", err)
	}
	working, leave := context.WithCancel(ctx)
	var crowd sync.WaitGroup
	var trouble error
	crowd.Go(func() { trouble = u.work(working, list) })
	<-u.ready
	began := time.Now()
	verdict = s.Run(ctx, b.copy())
	b.report.Phases = append(b.report.Phases, noon.RehearsedPhase{Phase: s.Phase, Took: time.Since(began) - b.watch.looking()})
	leave()
	crowd.Wait()
	b.watch.ended(verdict)
	b.heard(u)
	if verdict != nil || ctx.Err() != nil {
		return b.blamed(ctx, verdict), nil
	}
	if s.Before && trouble == nil {
		b.report.Broken, trouble = u.still(ctx)
	}
	return nil, b.trouble("use the copy", trouble)
}

// heard takes over what users of a step have noticed.
func (b *bench) heard(u *users) {
	load := &b.report.Load
	load.Rate = b.Rate
	load.Count += len(u.tooks)
	load.Failed += u.failed
	if len(u.tooks) > 0 {
		load.P99, load.Max = max(load.P99, p99(u.tooks)), max(load.Max, slices.Max(u.tooks))
	}
	if u.why != "" {
		b.note("a statement of the load failed meanwhile: " + u.why)
	}
}

// finish puts the report together.
func (b *bench) finish() {
	b.report.Statements = b.watch.statements(b.dialect == sqltext.PostgreSQL)
	for _, name := range b.order {
		b.report.Tables = append(b.report.Tables, *b.tables[name])
	}
	for i := range b.report.Phases {
		p := &b.report.Phases[i]
		p.Expected = time.Duration(float64(p.Took) * b.ratio())
	}
}

// ratio is how much larger production is than the copy: by rows where the
// server has counted them, since a copy is packed more tightly.
func (b *bench) ratio() float64 {
	var here, there float64
	for _, t := range b.report.Tables {
		if t.Rows > 0 && t.Source > 0 {
			here, there = here+float64(t.Rows), there+float64(t.Source)
		}
	}
	if here == 0 {
		return 1
	}
	return there / here
}
