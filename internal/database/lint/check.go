package lint

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/noon-deploy/noon/internal/database/sqlparse"
)

// Options say how a script will be run and who uses the database.
type Options struct {
	File       string   // for the findings
	SearchPath []string // of the sessions that run it; nil: public
	Separate   bool     // the runner puts no transaction around the script: every statement is its own
	Tiny       int64    // rows of a table under which nobody notices that it is read or written anew; 0: 10,000
	Uses       []Use    // what releases use that are live or warm while the script runs
	TimeZone   string   // of the sessions that run it; "": as the catalogue says
	Alone      bool     // the release before is gone: what it alone used may go, in any section
}

const tiny = 10_000 // rows: a rewrite takes under 80 ms at the slowest rate

// Check finds the hazards of a script. The catalogue is that of the database
// before the script; nil if nothing is known of it: then tables are taken for
// big, and a change of a type for a rewrite. Directives of noon's files
// (`-- noon: contract`, `-- noon: no-transaction`) are understood.
func Check(statements []sqlparse.Statement, c *Catalog, o Options) []Finding {
	return CheckAll([]Script{{File: o.File, Statements: statements}}, c, o)
}

// Parse reads a script as noon's migrations have it: in a section that is run
// in batches, :low and :high stand for the bounds of a batch. A mistake is a
// *sqlparse.Error.
func Parse(sql string) ([]sqlparse.Statement, error) {
	bound := regexp.MustCompile(`([^:\w]):(low|high)\b`)
	statements, err := sqlparse.Statements(bound.ReplaceAllStringFunc(sql, func(found string) string {
		return found[:1] + strings.Repeat("0", len(found)-1) // a number of the same length, so that places stay
	}))
	for i := range statements {
		s := &statements[i]
		s.Text = sql[s.Offset : s.Offset+len(s.Text)]
	}
	return statements, err
}

// Script is a file of statements.
type Script struct {
	File       string
	Statements []sqlparse.Statement
}

// CheckAll finds the hazards of scripts that run one after the other. Tables
// that an earlier one has made are nobody's yet if the catalogue says that they
// are not there; without a catalogue they may long be in use.
func CheckAll(scripts []Script, c *Catalog, o Options) []Finding {
	var findings []Finding
	w := newWorld(c, o.SearchPath)
	for _, s := range scripts {
		o.File = s.File
		on := w
		if strings.HasSuffix(s.File, ".down.sql") {
			on = newWorld(c, o.SearchPath)
		}
		k := run(on, s.Statements, c, o)
		k.atEnd()
		findings = append(findings, k.findings...)
		if c == nil {
			w.forget()
		}
	}
	slices.SortStableFunc(findings, compareFindings)
	return findings
}

// Effects tells what each statement of a script does to tables that were there
// before it.
func Effects(statements []sqlparse.Statement, c *Catalog, o Options) []Effect {
	return run(newWorld(c, o.SearchPath), statements, c, o).effects
}

func run(w *world, statements []sqlparse.Statement, c *Catalog, o Options) *check {
	k := newCheck(w, statements, c, o)
	for i := range statements {
		k.statement(i)
	}
	return k
}

func newCheck(w *world, statements []sqlparse.Statement, c *Catalog, o Options) *check {
	k := &check{world: w, catalog: c, options: o, statements: statements, contract: o.Alone || strings.HasSuffix(o.File, ".down.sql")}
	if o.TimeZone != "" {
		k.world.utc = o.TimeZone == "UTC"
	}
	if k.options.Tiny == 0 {
		k.options.Tiny = tiny
	}
	k.separate = o.Separate
	k.next()
	return k
}

// check goes through a script.
type check struct {
	world      *world
	catalog    *Catalog
	options    Options
	statements []sqlparse.Statement
	findings   []Finding
	effects    []Effect

	batched   bool // the section is run in batches
	contract  bool // the section removes what only the old release needs
	separate  bool // the section's statements are transactions of their own
	noons     bool // noon runs it: it has directives
	begun     bool // the script has said BEGIN
	timeout   bool // the script has set a lock_timeout
	accepted  string
	transact  int // counts transactions
	current   []int
	histories [][]name // the order in which transactions locked tables
}

// Directive is a comment of noon's migrations.
type Directive struct {
	Word, Rest string
}

// directiveOf reads a comment; ok is false if it is an ordinary one.
func directiveOf(comment string) (d Directive, ok bool) {
	text, ok := strings.CutPrefix(strings.TrimSpace(strings.TrimPrefix(comment, "--")), "noon:")
	if !ok || !strings.HasPrefix(comment, "--") {
		return Directive{}, false
	}
	d.Word, d.Rest, _ = strings.Cut(strings.TrimSpace(text), " ")
	return d, true
}

func (k *check) section(d Directive) {
	k.contract = k.options.Alone || d.Word == "contract" || d.Word == "down" // then nobody uses what goes
	if d.Word == "down" {
		k.world = newWorld(k.catalog, k.options.SearchPath) // it undoes what stands above it
	}
	k.batched = d.Word == "data" && strings.HasPrefix(strings.TrimSpace(d.Rest), "over ")
	k.separate = k.options.Separate
	k.next()
}

// next begins a transaction.
func (k *check) next() {
	k.transact++
	k.current = nil
	k.histories = append(k.histories, nil)
}

func (k *check) directives(s sqlparse.Statement) {
	k.accepted = ""
	for _, c := range s.Comments {
		d, ok := directiveOf(c.Text)
		if !ok {
			continue
		}
		k.noons = true
		switch d.Word {
		case "expand", "data", "contract", "down":
			k.section(d)
		case "no-transaction":
			k.separate = true
		case "blocking":
			k.accepted = strings.Trim(d.Rest, `" `)
		}
	}
}

func (k *check) statement(i int) {
	s := k.statements[i]
	k.directives(s)
	if k.separate && !k.begun {
		k.next()
	}
	l := &look{check: k, world: k.world, statement: s, effect: Effect{Statement: i}}
	for _, long := range s.Long {
		l.hit("long-name", nil, "%s has %d bytes, and the server keeps %d of them", short(long, 40), len(long), sqlparse.MaxName)
	}
	l.dispatch(s.Tree)
	l.transaction()
	k.effects = append(k.effects, l.effect)
	k.findings = append(k.findings, l.finish()...)
	k.current = append(k.current, i)
}

// inTransaction reports whether the statement shares a transaction with others.
func (k *check) inTransaction() bool { return k.begun || !k.separate }

// look is the look at one statement.
type look struct {
	*check
	world     *world
	statement sqlparse.Statement
	effect    Effect
	found     []*Finding
}

// lock says that the statement locks a table that others may use.
func (l *look) lock(t *table, mode Lock) {
	if !t.fresh {
		l.effect.lock(t.before, mode)
	}
}

func (l *look) lockAll(list []*table, mode Lock) {
	for _, t := range list {
		l.lock(t, mode)
	}
}

func (l *look) scans(t *table) {
	if !t.fresh {
		l.effect.Scans = addName(l.effect.Scans, t.before)
	}
}

func (l *look) builds(t *table) {
	if !t.fresh {
		l.effect.Builds = addName(l.effect.Builds, t.before)
	}
}

func (l *look) rewrites(t *table) {
	if !t.fresh && t.Kind != "partitioned table" {
		l.effect.Rewrites = addName(l.effect.Rewrites, t.before)
	}
}

func (l *look) changes(t *table) {
	if !t.fresh {
		l.effect.Changes = addName(l.effect.Changes, t.before)
	}
}

// hit makes a finding about a table, nil for none. What only waits is not
// found where the script made the table or it is tiny; what is forgotten there
// is a finding that nobody keeps.
func (l *look) hit(rule string, t *table, hazard string, args ...any) *Finding {
	r := ruleOf(rule)
	f := &Finding{
		Rule: rule, Severity: r.Severity, File: l.options.File, Line: l.statement.Line, Statement: l.statement.Text,
		Hazard: fmt.Sprintf(hazard, args...), Advice: r.Advice, Rows: -1, Accepted: l.accepted, index: l.effect.Statement,
	}
	if t != nil {
		f.Table, f.Rows = t.before, t.rows(l.world)
		if t.fresh || !r.Breaks && f.Rows >= 0 && f.Rows < l.options.Tiny {
			return f
		}
	}
	l.found = append(l.found, f)
	return f
}

// rows is the estimate of a table with its partitions, -1 if not known.
func (t *table) rows(w *world) int64 {
	if t.Kind != "partitioned table" {
		return t.Rows
	}
	sum := int64(0)
	for _, child := range w.family(t, true)[1:] {
		if child.Rows < 0 {
			return -1
		}
		if child.Kind != "partitioned table" {
			sum += child.Rows
		}
	}
	return sum
}

// finish completes the findings with what the statement does.
func (l *look) finish() []Finding {
	var list []Finding
	for _, f := range l.found {
		f.Locks = l.effect.Locks
		if t := l.world.tables[f.Table]; t != nil && f.Work == Nothing {
			f.Work = l.effect.work(t.before)
			f.Expected = f.Work.expect(f.Rows, t.HeapBytes)
		}
		if f.Accepted != "" {
			f.Severity = Note
		}
		list = append(list, *f)
	}
	return list
}

// short cuts text in the middle of a sentence.
func short(text string, most int) string {
	text = strings.Join(strings.Fields(text), " ")
	if len([]rune(text)) <= most {
		return text
	}
	return string([]rune(text)[:most-1]) + "…"
}
