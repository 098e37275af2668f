package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/migration"
	"github.com/noon-deploy/noon/internal/tui"
)

// migrationRun is what apply and rollback take.
type migrationRun struct {
	migrated
	opts    migration.Options
	phase   string
	to      int64
	lossy   bool
	resolve []string
	copy    string
}

func (r *migrationRun) flags(c *cobra.Command) {
	r.migrated.flags(c)
	c.Flags().DurationVar(&r.opts.LockTimeout, "lock-timeout", 200*time.Millisecond, "most that a statement waits for a lock, while others wait behind it; MariaDB and MySQL count in seconds")
	c.Flags().DurationVar(&r.opts.Timeout, "timeout", time.Minute, "most that a statement may run; not for batches and no-transaction")
	c.Flags().DurationVar(&r.opts.Budget, "budget", 30*time.Second, "how long to try again for a lock")
	c.Flags().BoolVar(&r.opts.EndBlockers, "end-blockers", false, "end sessions that hold locks which are needed")
	c.Flags().StringVar(&r.copy, "copy", "", "of a SQLite database, make this copy first")
}

func (f *face) migrationApply() *cobra.Command {
	r := migrationRun{}
	c := &cobra.Command{
		Use:   "apply",
		Short: "Run the migrations that a database does not have",
		Long: `apply runs what the database does not have of each migration: to its end, or with
--to expanded or --to migrated only as far as the release before can work with
it. After a failure or a crash, apply goes on where it was.`,
		Example: "  NOON_DATABASE=sqlite:app.db noon migration apply\n  noon migration apply --to expanded",
		Args:    args(),
		RunE:    func(c *cobra.Command, _ []string) error { return f.applyMigrations(c.Context(), &r) },
	}
	r.flags(c)
	c.Flags().StringVar(&r.phase, "to", string(migration.Contracted), "phase to reach: expanded, migrated or contracted")
	c.Flags().StringVar(&r.opts.Release, "release", "", "release to write into the history")
	c.Flags().BoolVar(&r.opts.OutOfOrder, "out-of-order", false, "run migrations although some with higher numbers were run")
	c.Flags().StringArrayVar(&r.resolve, "resolve", nil, "whether the statement that a crash has left in doubt was done: NUMBER=done or NUMBER=again")
	return c
}

func (f *face) applyMigrations(ctx context.Context, r *migrationRun) error {
	if !slices.Contains(migration.Phases(), migration.Phase(r.phase)) {
		return usage("noon migration apply", fmt.Errorf("--to %s is not expanded, migrated or contracted", r.phase))
	}
	var err error
	if r.opts.Resolve, err = answersTo(r.resolve); err != nil {
		return err
	}
	return f.runMigrations(ctx, r, func(set migration.Set, db *migration.Database, see func(migration.Progress)) error {
		return db.Reach(ctx, set, migration.Phase(r.phase), see)
	})
}

// answersTo reads what --resolve answers.
func answersTo(given []string) (map[int64]migration.Resolution, error) {
	all := map[int64]migration.Resolution{}
	for _, g := range given {
		number, word, _ := strings.Cut(g, "=")
		n, err := strconv.ParseInt(number, 10, 64)
		answer := migration.Resolution(word)
		if err != nil || answer != migration.TakeAsDone && answer != migration.RunAgain {
			return nil, usage("noon migration apply", fmt.Errorf("--resolve %s is not NUMBER=done or NUMBER=again", g))
		}
		all[n] = answer
	}
	return all, nil
}

func (f *face) migrationRollback() *cobra.Command {
	r := migrationRun{to: -1}
	c := &cobra.Command{
		Use:   "rollback --to NUMBER",
		Short: "Take back the migrations above a number",
		Long: `rollback runs the down scripts of the migrations above a number, the last one
first, as far as each was taken. If one of them can not be taken back, nothing
is changed; scripts that lose data are run only with --lossy. It asks first.`,
		Args: args(),
		RunE: func(c *cobra.Command, _ []string) error { return f.rollbackMigrations(c.Context(), &r) },
	}
	r.flags(c)
	c.Flags().Int64Var(&r.to, "to", -1, "number of the last migration that stays; 0 leaves none")
	c.Flags().BoolVar(&r.lossy, "lossy", false, "run down scripts that lose data as well")
	return c
}

func (f *face) rollbackMigrations(ctx context.Context, r *migrationRun) error {
	if r.to < 0 {
		return usage("noon migration rollback", errors.New("--to is missing"))
	}
	if err := f.consent(ctx, fmt.Sprintf("Take back every migration above %d?", r.to)); err != nil {
		return err
	}
	return f.runMigrations(ctx, r, func(set migration.Set, db *migration.Database, see func(migration.Progress)) error {
		return db.Rollback(ctx, set, r.to, migration.Allow{Loss: r.lossy}, see)
	})
}

// runMigrations does something to a database, and tells the status afterwards.
func (f *face) runMigrations(ctx context.Context, r *migrationRun, do func(migration.Set, *migration.Database, func(migration.Progress)) error) error {
	r.opts.Who = f.user()
	set, db, err := f.openMigrations(ctx, &r.migrated, r.opts)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }() // what was done is committed
	if err := f.copyFirst(ctx, r); err != nil {
		return err
	}
	if err := do(set, db, f.migrationProgress()); err != nil {
		return err
	}
	all, err := db.Status(ctx, set)
	if err != nil {
		return err
	}
	return f.emit(all, func(tui.Page) string { return migrationsText(all, f.Now()) })
}

// copyFirst copies a SQLite database before it is changed.
func (f *face) copyFirst(ctx context.Context, r *migrationRun) error {
	if r.copy == "" {
		return nil
	}
	path, ok := strings.CutPrefix(f.absoluteDatabase(r.database), "sqlite:")
	if !ok {
		return usage("noon migration", errors.New("--copy is for SQLite; others have programs for it, such as pg_dump"))
	}
	path, _, _ = strings.Cut(path, "?")
	return migration.Copy(ctx, path, f.absolute(r.copy))
}

// migrationProgress tells what is run and what is waited for, each once.
func (f *face) migrationProgress() func(migration.Progress) {
	last := ""
	return func(p migration.Progress) {
		line := ""
		switch {
		case p.Warning != "":
			line = fmt.Sprintf("warning: %s\n", p.Warning)
		case p.Waiting != "":
			line = fmt.Sprintf("waiting %s\n", p.Waiting)
		case p.Done:
			line = fmt.Sprintf("%s %s: done\n", p.Migration, p.Kind)
		}
		if line != "" && line != last {
			f.note(tui.CleanLines(strings.TrimSuffix(line, "\n")) + "\n")
			last = line
		}
	}
}

func (f *face) migrationSquash() *cobra.Command {
	m := migrated{}
	to := int64(0)
	c := &cobra.Command{
		Use:   "squash --to NUMBER NAME",
		Short: "Make one migration of those up to a number",
		Long: `squash writes the migrations up to a number into one file, and removes theirs.
A new database runs that file; one that has run them all takes it as done with
the next apply; one that has run some of them is refused, and needs the old
files first. So squash what every database has. It asks first.`,
		Args: args("NAME"),
		RunE: func(c *cobra.Command, given []string) error { return f.squashMigrations(c.Context(), &m, to, given[0]) },
	}
	m.flags(c)
	c.Flags().Int64Var(&to, "to", 0, "number of the last migration to squash")
	return c
}

func (f *face) squashMigrations(ctx context.Context, m *migrated, to int64, name string) error {
	set, err := f.migrations(m)
	if err != nil {
		return err
	}
	text, err := set.Squash(to)
	if err != nil {
		return err
	}
	if err := f.consent(ctx, fmt.Sprintf("Replace the files of the migrations up to %d?", to)); err != nil {
		return err
	}
	path, removed, err := replaceFiles(m.dir, set, to, name, text)
	if err != nil {
		return &noon.Error{Kind: noon.Failure, Op: "squash migrations in", Subject: f.shown(m.dir), Err: err, Hint: "Version control has the files as they were."}
	}
	out := squashed{Path: f.shown(path), Removed: removed}
	return f.emit(out, func(tui.Page) string {
		return fmt.Sprintf("%s stands for %s now\n", out.Path, tui.Count(len(removed), "file"))
	})
}

// squashed is the answer of squash.
type squashed struct {
	Path    string   `json:"path"`
	Removed []string `json:"removed"`
}
