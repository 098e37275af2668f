package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/atomicfile"
	"github.com/noon-deploy/noon/internal/database/lint"
	"github.com/noon-deploy/noon/internal/database/sqlparse"
	"github.com/noon-deploy/noon/internal/tui"
)

// linting is what lint was called with.
type linting struct {
	database, catalogue, format, failOn string
	fix, separate                       bool
	inUse                               []string
}

func (f *face) migrationLint() *cobra.Command {
	o := linting{}
	c := &cobra.Command{
		Use:   "lint [--database URL | --catalogue FILE] FILE|DIR …",
		Short: "Find what migrations for PostgreSQL would do to users",
		Long: `lint reads migrations in SQL and tells which statements make users wait, fail or
lose data: the locks they take, whether they read or rewrite a table and for
how long at its size, and what a release that still runs would miss.

With --database, or --catalogue and a file that "noon migration catalogue" has
written, it knows types, sizes, foreign keys and views, and what queries
pg_stat_statements has seen. Without, it takes tables for big and types for
unknown, and says so. Name only migrations that were not run yet.

--fix replaces statements by their safe form where that is mechanical, as
sections of a migration that noon runs. docs/reference/hazards.md lists the
rules.`,
		Example: "  noon migration lint migrations/0042_orders.sql\n  noon migration lint --catalogue production.json --format github migrations",
		Args: func(c *cobra.Command, given []string) error {
			if len(given) == 0 {
				return usage(c.CommandPath(), errors.New("FILE or DIR is missing"))
			}
			return nil
		},
		RunE: func(c *cobra.Command, given []string) error { return f.lint(c.Context(), o, given) },
	}
	c.Flags().StringVar(&o.database, "database", "", "address of the database that the migrations are for (NOON_DATABASE)")
	c.Flags().StringVar(&o.catalogue, "catalogue", "", "file that noon migration catalogue has written")
	c.Flags().StringVar(&o.format, "format", "text", "text, json, sarif or github")
	c.Flags().StringVar(&o.failOn, "fail-on", "error", "what makes the exit code 1: error, warning or note")
	c.Flags().BoolVar(&o.fix, "fix", false, "write the safe form into the files")
	c.Flags().BoolVar(&o.separate, "no-transaction", false, "what runs the files puts no transaction around each")
	c.Flags().StringArrayVar(&o.inUse, "in-use", nil, "a table or TABLE.COLUMN that a live or warm release uses; may be repeated")
	return c
}

func (f *face) migrationCatalogue() *cobra.Command {
	database := ""
	c := &cobra.Command{
		Use:   "catalogue",
		Short: "Write what lint needs to know of a PostgreSQL database, without its data",
		Long: `catalogue reads the tables, columns, constraints, indexes, views and sizes of a
database, and the queries that pg_stat_statements has seen, in one read-only
transaction, and writes them as JSON. With that file lint knows production
where nobody can reach it. There are no rows in it; comments, defaults and
texts of queries are.`,
		Example: "  noon migration catalogue >production.json",
		Args:    args(),
		RunE: func(c *cobra.Command, _ []string) error {
			url := cmp.Or(database, f.Getenv("NOON_DATABASE"))
			if url == "" {
				return usage(c.CommandPath(), errors.New("no database is named: set NOON_DATABASE or use --database"))
			}
			found, err := lint.ReadFrom(c.Context(), url, nil)
			if err != nil {
				return err
			}
			return f.emitJSON(found)
		},
	}
	c.Flags().StringVar(&database, "database", "", "address of the database (NOON_DATABASE)")
	return c
}

// source is one file that is linted.
type source struct {
	name, path string
	text       string
	statements []sqlparse.Statement
}

// linted is the answer of lint.
type linted struct {
	Files    int            `json:"files"`
	Known    bool           `json:"catalogue"` // whether there was one
	Fixed    int            `json:"fixed"`     // statements that were replaced
	Unread   int            `json:"unread"`    // queries of pg_stat_statements that could not be read
	Findings []lint.Finding `json:"findings"`
}

func (f *face) lint(ctx context.Context, o linting, given []string) error {
	if f.flags.json {
		o.format = "json"
	}
	if !slices.Contains([]string{"text", "json", "sarif", "github"}, o.format) {
		return usage("noon migration lint", fmt.Errorf("--format %s is none of text, json, sarif, github", o.format))
	}
	if !slices.Contains([]string{"error", "warning", "note"}, o.failOn) {
		return usage("noon migration lint", fmt.Errorf("--fail-on %s is none of error, warning, note", o.failOn))
	}
	catalog, err := f.catalogue(ctx, o) // before anything is parsed: the first parse takes a second or more
	if err != nil {
		return err
	}
	sources, err := f.sources(given)
	if err != nil {
		return err
	}
	out := linted{Files: len(sources), Known: catalog != nil}
	options := lint.Options{Separate: o.separate, Uses: declared(o.inUse)}
	if catalog != nil {
		uses, unread := lint.UsesOfQueries(catalog)
		options.Uses, out.Unread = append(options.Uses, uses...), unread
	}
	out.Findings = check(sources, catalog, options)
	if o.fix {
		if out.Fixed, err = fixAll(sources, out.Findings); err != nil {
			return err
		}
		out.Findings = check(sources, catalog, options)
	}
	if err := f.showLint(o.format, out); err != nil {
		return err
	}
	if slices.ContainsFunc(out.Findings, func(x lint.Finding) bool { return x.Severity.AtLeast(lint.Severity(o.failOn)) }) {
		return coded{code: exitFailed, err: errQuiet}
	}
	return nil
}

func check(sources []source, c *lint.Catalog, o lint.Options) []lint.Finding {
	scripts := make([]lint.Script, len(sources))
	for i, s := range sources {
		scripts[i] = lint.Script{File: s.name, Statements: s.statements}
	}
	return list(lint.CheckAll(scripts, c, o))
}

// declared reads what --in-use names.
func declared(inUse []string) []lint.Use {
	var uses []lint.Use
	for _, text := range inUse {
		uses = append(uses, lint.UseOf(text, "a release", "--in-use "+text))
	}
	return uses
}

func (f *face) showLint(format string, out linted) error {
	switch format {
	case "json":
		return f.emitJSON(out)
	case "sarif":
		text, err := lint.SARIF(out.Findings, f.Version)
		if err != nil {
			return err
		}
		return f.print(string(text))
	case "github":
		return f.print(lint.GitHub(out.Findings))
	}
	return f.print(tui.CleanLines(lintText(out)))
}

// lintText is the answer for people.
func lintText(out linted) string {
	var b strings.Builder
	if text := lint.Text(out.Findings); text != "" {
		b.WriteString(text + "\n")
	}
	count := map[lint.Severity]int{}
	for _, x := range out.Findings {
		count[x.Severity]++
	}
	if out.Fixed > 0 {
		fmt.Fprintf(&b, "%s replaced by the safe form\n", tui.Count(out.Fixed, "statement"))
	}
	fmt.Fprintf(&b, "%s: %s, %s, %s\n", tui.Count(out.Files, "file"), tui.Count(count[lint.Error], "error"), tui.Count(count[lint.Warning], "warning"), tui.Count(count[lint.Note], "note"))
	if !out.Known {
		b.WriteString("sizes and types were not known: no catalogue (--database, --catalogue)\n")
	}
	if out.Unread > 0 {
		fmt.Fprintf(&b, "queries of pg_stat_statements that could not be read: %d; what they use is not known\n", out.Unread)
	}
	return b.String()
}

// catalogue reads what is known of the database, nil if nothing is.
func (f *face) catalogue(ctx context.Context, o linting) (*lint.Catalog, error) {
	if o.catalogue != "" && o.database != "" {
		return nil, usage("noon migration lint", errors.New("--database and --catalogue exclude each other"))
	}
	if o.catalogue != "" {
		data, err := os.ReadFile(f.absolute(o.catalogue))
		if err != nil {
			return nil, unreadable(o.catalogue, err)
		}
		c := new(lint.Catalog)
		if err := json.Unmarshal(data, c); err != nil || len(c.Schemas) == 0 {
			return nil, &noon.Error{
				Kind: noon.Invalid, Op: "read the catalogue", Subject: o.catalogue, Err: cmp.Or(err, errors.New("it names no schemas")),
				Hint: "Write it with `noon migration catalogue >FILE`.",
			}
		}
		return c, nil
	}
	if url := cmp.Or(o.database, f.Getenv("NOON_DATABASE")); url != "" {
		return lint.ReadFrom(ctx, url, nil)
	}
	return nil, nil //nolint:nilnil // no catalogue is what lint takes for nothing known
}

// sources reads the named files, and the .sql files of the named directories
// in the order of their names.
func (f *face) sources(given []string) ([]source, error) {
	var sources []source
	for _, name := range given {
		names, err := f.filesOf(name)
		if err != nil {
			return nil, err
		}
		for _, n := range names {
			s := source{name: n, path: f.absolute(n)}
			if err := s.read(); err != nil {
				return nil, err
			}
			sources = append(sources, s)
		}
	}
	return sources, nil
}

func (f *face) filesOf(name string) ([]string, error) {
	info, err := os.Stat(f.absolute(name))
	if err != nil {
		return nil, unreadable(name, err)
	}
	if !info.IsDir() {
		return []string{name}, nil
	}
	entries, err := os.ReadDir(f.absolute(name))
	if err != nil {
		return nil, unreadable(name, err)
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() && strings.HasSuffix(e.Name(), ".sql") {
			names = append(names, filepath.Join(name, e.Name()))
		}
	}
	if len(names) == 0 {
		return nil, &noon.Error{Kind: noon.NotFound, Op: "look for migrations in", Subject: name, Err: errors.New("it has no .sql files"), Hint: "Name the directory of the migrations, or the files."}
	}
	return names, nil
}

// read reads the file, or reads it again.
func (s *source) read() error {
	data, err := os.ReadFile(s.path)
	if err != nil {
		return unreadable(s.name, err)
	}
	s.text = string(data)
	s.statements, err = lint.Parse(s.text)
	if wrong, ok := errors.AsType[*sqlparse.Error](err); ok {
		return &noon.Error{
			Kind: noon.Invalid, Op: "read", Subject: fmt.Sprintf("%s:%d:%d", s.name, wrong.Line, wrong.Column), Err: errors.New(wrong.Message),
			Hint: "These are PostgreSQL's own words about the SQL there; commands of psql are not SQL.",
		}
	}
	return err
}

// fixAll writes the safe forms into the files.
func fixAll(sources []source, findings []lint.Finding) (int, error) {
	all := 0
	for i := range sources {
		s := &sources[i]
		own := slices.DeleteFunc(slices.Clone(findings), func(x lint.Finding) bool { return x.File != s.name })
		text, n := lint.Fixed(s.text, s.statements, own)
		if n == 0 {
			continue
		}
		info, err := os.Stat(s.path)
		if err != nil {
			return all, unreadable(s.name, err)
		}
		if err := atomicfile.Write(s.path, []byte(text), info.Mode().Perm()); err != nil {
			return all, &noon.Error{Kind: noon.Failure, Op: "write", Subject: s.name, Err: err, Hint: "The file is as it was. See that it and its directory can be written."}
		}
		all += n
		if err := s.read(); err != nil {
			return all, err
		}
	}
	return all, nil
}

func unreadable(name string, err error) error {
	kind := noon.Failure
	if errors.Is(err, fs.ErrNotExist) {
		kind = noon.NotFound
	}
	return &noon.Error{Kind: kind, Op: "read", Subject: name, Err: err, Hint: "See that the file is there and can be read."}
}
