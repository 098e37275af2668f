package rehearsal

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/mariadb"
	"github.com/noon-deploy/noon/internal/database/migration"
	"github.com/noon-deploy/noon/internal/database/migration/sqltext"
)

// Order says what is rehearsed, and how.
type Order struct {
	noon.Rehearsing
	Address string   // of production
	Server  string   // address on the server that has the copies; "" that of production
	Owner   string   // whose copies these are: what an earlier rehearsal of the same one left is removed
	Texts   []string // of what is going to be run: the tables that they name are measured
	Users   string   // SQL that users run meanwhile; "" it is made from those tables
	Keep    bool     // the copy stays
	Steps   []Step
	Tell    func(string) // what is being done; may be nil
	Log     *slog.Logger
}

// Step is a part of the change.
type Step struct {
	Phase noon.DataPhase
	// Quiet steps have no users, and are not reported.
	Quiet bool
	// Before steps have users of the release before, who must not notice.
	Before bool
	Run    func(ctx context.Context, c Copy) error
	// Users gives the address with which they connect; nil: that of the copy.
	Users func(c Copy) string
}

// Copy is what a step works on.
type Copy struct {
	Address string
	Trace   pgx.QueryTracer          // shall see every statement on PostgreSQL
	Says    func(migration.Progress) // shall be told of every statement on other servers
	Sees    mariadb.Trace            // or this, of every statement on MariaDB and MySQL
}

// defaults of what an order leaves out.
const (
	usualRate = 100
	dropLimit = time.Minute // for what is cleaned up after somebody has cancelled
)

// Run rehearses. Its error is about the copy: that it could not be made or
// measured. That the change fails on the copy is an error of the second kind,
// the verdict: then the report tells what was measured until there.
func Run(ctx context.Context, o Order) (report noon.RehearsalReport, verdict, err error) {
	o.Copy, o.Rate = cmp.Or(o.Copy, noon.CopyDump), cmp.Or(o.Rate, usualRate)
	if o.Tell == nil {
		o.Tell = func(string) {}
	}
	dialect, ok := migration.DialectOf(o.Address)
	if !ok {
		return report, nil, &noon.Error{
			Kind: noon.Invalid, Op: "rehearse", Err: fmt.Errorf("the address of the store is none of a server that noon can copy"),
			Hint: "It has to be postgres://…, mysql://…, mariadb://… or sqlite:FILE.",
		}
	}
	r := &run{Order: o, dialect: dialect, report: &report}
	verdict, err = r.run(ctx)
	return report, verdict, err
}

// run is one rehearsal.
type run struct {
	Order
	dialect sqltext.Dialect
	report  *noon.RehearsalReport
	source  []table // tables of production
}

// copier makes copies on one kind of server.
type copier interface {
	// check refuses what can not work, and sweeps away what a killed rehearsal
	// has left. Production is only read.
	check(ctx context.Context) error
	// make makes the copy and returns its address; drop removes it, or what
	// there is of it.
	make(ctx context.Context) (address string, err error)
	drop(ctx context.Context) error
}

func (r *run) copier() copier {
	switch r.dialect {
	case sqltext.PostgreSQL:
		return &postgresCopy{run: r}
	case sqltext.MySQL:
		return &mysqlCopy{run: r}
	default:
		return &sqliteCopy{run: r}
	}
}

func (r *run) run(ctx context.Context) (verdict, err error) {
	if err := r.look(ctx); err != nil {
		return nil, err
	}
	c := r.copier()
	if err := c.check(ctx); err != nil {
		return nil, err
	}
	begun := time.Now()
	r.Tell("copying " + amount(r.report.Copy.Bytes))
	address, err := c.make(ctx)
	defer func() {
		if r.Keep && err == nil {
			r.report.Copy.Kept = r.nameIn(address)
			return
		}
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropLimit)
		defer cancel()
		r.Tell("dropping the copy")
		if e := c.drop(clean); e != nil {
			r.Log.WarnContext(ctx, "a copy of a rehearsal was not dropped; the next one does it", "err", e)
			r.note("the copy was not dropped, the next rehearsal of this store does it: " + e.Error())
		}
	}()
	if err != nil {
		return nil, err
	}
	if err := r.mask(ctx, address); err != nil {
		return nil, err
	}
	r.report.Copy.Kind, r.report.Copy.Took = r.Copy, time.Since(begun)
	return r.measure(ctx, address)
}

// nameIn is the name of the database that an address leads to, or of its file.
func (r *run) nameIn(address string) string {
	if r.dialect == sqltext.SQLite {
		path, _ := file(address)
		return path
	}
	u, err := url.Parse(address)
	if err != nil {
		return "" // not reached: noon has made it
	}
	return strings.TrimPrefix(u.Path, "/")
}

// look reads what production has, and refuses masks of what it has not.
func (r *run) look(ctx context.Context) error {
	db, err := migration.Connect(ctx, r.Address)
	if err != nil {
		return err
	}
	defer db.Close() //nolint:errcheck // it was only read
	if r.source, err = tables(ctx, db, r.dialect); err != nil {
		return r.trouble("look at the tables", err)
	}
	for _, t := range r.source {
		r.report.Copy.Bytes += t.Size
	}
	_, err = r.masks(r.source)
	return err
}

func (r *run) note(text string) { r.report.Notes = append(r.report.Notes, text) }

// trouble is an error of a server for people.
func (r *run) trouble(op string, err error) error {
	if err == nil {
		return nil
	}
	kind := noon.Failure
	if noon.KindOf(err) != noon.Internal {
		kind = noon.KindOf(err)
	}
	hint := noon.HintOf(err)
	if hint == "" {
		hint = "Production was not changed."
	}
	return &noon.Error{Kind: kind, Op: op, Err: explained(err), Hint: hint}
}

// amount writes a size for people.
func amount(n int64) string {
	value, names := float64(n), []string{"B", "kB", "MB", "GB", "TB"}
	for value >= 1000 && len(names) > 1 {
		value, names = value/1000, names[1:]
	}
	return fmt.Sprintf("%.3g %s", value, names[0])
}
