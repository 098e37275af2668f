package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/migration"
	"github.com/noon-deploy/noon/internal/tui"
)

// migrated is what a command about migrations works with.
type migrated struct {
	dir, database, store string
}

func (m *migrated) flags(c *cobra.Command) {
	c.Flags().StringVar(&m.dir, "dir", "", "directory of the migrations (default: that of the store in noon.yaml, else migrations)")
	c.Flags().StringVar(&m.database, "database", "", "address of the database (NOON_DATABASE; default: the variable that the store in noon.yaml names)")
	c.Flags().StringVar(&m.store, "store", "", "store of noon.yaml, if several have migrations")
}

// complete fills in what was not named from the environment and noon.yaml.
func (f *face) complete(m *migrated) error {
	m.database = cmp.Or(m.database, f.Getenv("NOON_DATABASE"))
	dir := m.dir
	if m.dir == "" || m.database == "" || m.store != "" {
		p, ok, err := f.project()
		if err != nil {
			return err
		}
		if ok {
			if err := f.storeOf(m, p); err != nil {
				return err
			}
		}
	}
	m.dir = f.absolute(cmp.Or(dir, m.dir, "migrations"))
	return nil
}

// storeOf takes directory and address of the one store that has migrations.
func (f *face) storeOf(m *migrated, p project) error {
	var found []noon.Store
	var names []string
	for _, s := range p.app.Stores {
		if s.Migrations != "" && (m.store == "" || s.Name == m.store) {
			found, names = append(found, s), append(names, s.Name)
		}
	}
	switch {
	case len(found) == 1:
		m.dir = filepath.Join(p.dir, found[0].Migrations)
		m.database = cmp.Or(m.database, f.Getenv(found[0].URL))
		return nil
	case len(found) > 1 && (m.dir == "" || m.database == ""):
		return &noon.Error{
			Kind: noon.Invalid, Op: "choose a store of", Subject: p.app.Name, Err: fmt.Errorf("several have migrations: %s", strings.Join(names, ", ")),
			Hint: "Name one with --store.",
		}
	case m.store != "":
		return &noon.Error{
			Kind: noon.NotFound, Op: "look for store", Subject: m.store, Err: fmt.Errorf("%s has no store of that name with migrations", p.app.Name),
			Hint: "Name it as in noon.yaml, or use --dir and --database.",
		}
	}
	return nil
}

// migrations reads the files in the words of a database's server.
func (f *face) migrations(m *migrated) (migration.Set, error) {
	if err := f.complete(m); err != nil {
		return migration.Set{}, err
	}
	if m.database == "" {
		return migration.Set{}, &noon.Error{
			Kind: noon.Invalid, Op: "choose a database", Err: errors.New("none is named"),
			Hint: "Set NOON_DATABASE, or name one with --database: postgres://…, mariadb://… or sqlite:PATH. What is an argument other users of the machine can see.",
		}
	}
	dialect, ok := migration.DialectOf(m.database)
	if !ok {
		return migration.Set{}, &noon.Error{
			Kind: noon.Invalid, Op: "read the address of the database", Err: errors.New("it begins with none of postgres://, mysql://, mariadb://, sqlite: that are known"),
			Hint: "Write postgres://USER:PASSWORD@HOST:PORT/DATABASE, mariadb://USER:PASSWORD@HOST:PORT/DATABASE or sqlite:PATH.",
		}
	}
	return migration.Read(os.DirFS(m.dir), dialect)
}

// openMigrations reads the files and opens the database.
func (f *face) openMigrations(ctx context.Context, m *migrated, opts migration.Options) (migration.Set, *migration.Database, error) {
	set, err := f.migrations(m)
	if err != nil {
		return migration.Set{}, nil, err
	}
	db, err := migration.Open(ctx, f.absoluteDatabase(m.database), opts)
	return set, db, err
}

// absoluteDatabase makes the path of a SQLite database one from the root.
func (f *face) absoluteDatabase(address string) string {
	if path, ok := strings.CutPrefix(address, "sqlite:"); ok && !strings.HasPrefix(path, "/") {
		return "sqlite:" + filepath.Join(f.Dir, path)
	}
	return address
}

func (f *face) migrationStatus() *cobra.Command {
	m := migrated{}
	c := &cobra.Command{
		Use:   "status",
		Short: "Tell how far a database has each migration",
		Long: `status compares the files with the history in the database and changes nothing.
A migration that was applied and whose file has changed since, or is gone, is a
problem: no other will be run until its file is back.`,
		Args: args(),
		RunE: func(c *cobra.Command, _ []string) error { return f.showMigrations(c.Context(), &m) },
	}
	m.flags(c)
	return c
}

func (f *face) showMigrations(ctx context.Context, m *migrated) error {
	set, db, err := f.openMigrations(ctx, m, migration.Options{})
	if err != nil {
		return err
	}
	all, err := db.Status(ctx, set)
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	if err := f.emit(all, func(tui.Page) string { return migrationsText(all, f.Now()) }); err != nil {
		return err
	}
	for _, s := range all {
		if s.Problem != "" {
			return &noon.Error{
				Kind: noon.Conflict, Op: "look at migrations of", Subject: db.Name(), Err: fmt.Errorf("%04d_%s is %s", s.Number, s.Name, s.Standing),
				Hint: "Bring its file back as it was from version control, and put changes into a new migration.",
			}
		}
	}
	return nil
}

// migrationsText is the table of migrations.
func migrationsText(all []migration.Status, now time.Time) string {
	if len(all) == 0 {
		return "there are no migrations\n"
	}
	var b strings.Builder
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "MIGRATION\tIS\tNEXT\tFOR\tBY\tWHEN")
	for _, s := range all {
		next := string(s.Next)
		if s.At != "" {
			next += " (" + s.At + ")"
		}
		fmt.Fprintf(table, "%04d_%s\t%s\t%s\t%s\t%s\t%s\n", s.Number, s.Name, s.Standing, cmp.Or(next, "-"), cmp.Or(s.Release, "-"), cmp.Or(s.Who, "-"), since(s.When, now))
	}
	if err := table.Flush(); err != nil {
		return err.Error() + "\n" // a strings.Builder never gives one
	}
	for _, s := range all {
		if s.Problem != "" {
			fmt.Fprintf(&b, "\n%s\n", tui.CleanLines(s.Problem))
		}
	}
	return b.String()
}

// since writes a time of the history.
func since(when string, now time.Time) string {
	at, err := time.Parse(time.RFC3339Nano, when)
	if err != nil {
		return "-"
	}
	return at.In(now.Location()).Format("2006-01-02 15:04")
}
