package migration

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/noon-deploy/noon/internal/database/migration/sqltext"
)

// Directives are comments of this form. Expressions are compiled when they are
// first used: most processes of noon never use them.
var directive = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^--\s*noon:\s*(.*?)\s*$`) })

var (
	overClause = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^over\s+((?:[\w$]+|"[^"]+"|` + "`[^`]+`" + `)(?:\.(?:[\w$]+|"[^"]+"|` + "`[^`]+`" + `))*)\.([\w$]+|"[^"]+"|` + "`[^`]+`" + `)\s+in\s+([0-9]{1,7})$`)
	})
	because = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^([a-z-]+)\s+"([^"]+)"$`) })
	numbers = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^replaces\s+([0-9]{1,18})-([0-9]{1,18})\s+with\s+([0-9]{1,9})\s+sections?$`)
	})
)

const maxBatch = 100_000 // rows

// directives are the words that a directive may begin with.
func directives() []string {
	return []string{"expand", "data", "contract", "down", "no-transaction", "irreversible", "blocking", "replaces"}
}

// parser reads one file.
type parser struct {
	*reader
	file      string
	text      string
	migration *Migration
	first     Kind // of statements before any section
	sections  []Section
	starts    []int // of the sections, in bytes
}

// parse reads the sections of a file.
func (r *reader) parse(file, text string, down bool, m *Migration) []Section {
	statements, err := sqltext.Split(r.dialect, text)
	if e, ok := err.(*sqltext.Error); ok { //nolint:errorlint // Split documents the type
		r.wrong(file, e.Line, "Close it.", "%v", e)
		return nil
	}
	p := parser{reader: r, file: file, text: text, migration: m, first: Expand}
	if down {
		p.first = Down
	}
	for _, st := range statements {
		p.statement(st, down)
	}
	p.end()
	return p.sections
}

// statement takes up the directives before a statement, and the statement.
func (p *parser) statement(st sqltext.Statement, down bool) {
	blocking := ""
	for _, t := range st.Tokens {
		words := directive().FindStringSubmatch(t.Text)
		if t.Kind != sqltext.Comment || words == nil {
			continue
		}
		if st.Text != "" && t.Offset > st.Offset {
			p.wrong(p.file, t.Line, "End the statement before it with a semicolon.", "the directive %q is inside of a statement", words[1])
			continue
		}
		if text, ok := p.directive(words[1], t, down); ok {
			blocking = text
		}
	}
	if st.Text == "" {
		return
	}
	s := p.current(p.first, st.Line)
	if refused, hint := refusal(p.dialect, st); refused != "" {
		p.wrong(p.file, st.Line, hint, "%s", refused)
	}
	if blocking != "" {
		s.Blocking[len(s.Statements)] = blocking
	}
	s.Statements = append(s.Statements, st)
}

// current is the section that is being read, a first one if there is none.
func (p *parser) current(kind Kind, line int) *Section {
	if len(p.sections) == 0 {
		p.open(kind, line, 0)
	}
	return &p.sections[len(p.sections)-1]
}

func (p *parser) open(kind Kind, line, offset int) {
	p.sections = append(p.sections, Section{Kind: kind, File: p.file, Line: line, Blocking: map[int]string{}})
	p.starts = append(p.starts, offset)
}

// directive reads one; what it returns is the reason of a blocking one.
func (p *parser) directive(text string, t sqltext.Token, down bool) (blocking string, ok bool) {
	word, rest, _ := strings.Cut(text, " ")
	rest = strings.TrimSpace(rest)
	switch word {
	case "expand", "data", "contract", "down":
		p.marker(Kind(word), rest, t, down)
		return "", false
	case "blocking":
		why := p.because(text, t)
		return why, why != ""
	case "no-transaction", "irreversible", "replaces":
		p.property(word, text, t)
		return "", false
	}
	hint := "It is one of: " + strings.Join(directives(), ", ") + "."
	if near := nearest(word, directives()); near != "" {
		hint = fmt.Sprintf("Did you mean %q?", near)
	}
	p.wrong(p.file, t.Line, hint, "there is no directive %q", word)
	return "", false
}

// marker begins a section.
func (p *parser) marker(kind Kind, rest string, t sqltext.Token, down bool) {
	if kind == Down && rest == "contract" {
		kind, rest = DownOfLast, ""
	}
	if down != kind.down() && (down || strings.HasSuffix(p.file, ".up.sql")) {
		p.wrong(p.file, t.Line, "Sections that take back belong to the .down.sql file, the others to .up.sql; a file NNNN_name.sql has both.", "section %q does not belong into this file", kind)
	}
	if n := len(p.sections); n > 0 {
		last := p.sections[n-1].Kind
		if order := kinds(); p.migration.Replaces.To == 0 && slices.Index(order, kind) < slices.Index(order, last) {
			p.wrong(p.file, t.Line, "The order is expand, data, contract, down.", "section %q stands after %q", kind, last)
		}
	}
	p.open(kind, t.Line, p.begin(t.Offset))
	if rest == "" {
		return
	}
	over := overClause().FindStringSubmatch(rest)
	size := 0
	if over != nil {
		size, _ = strconv.Atoi(over[3]) // the expression allows digits only
	}
	if kind.down() || size == 0 || size > maxBatch {
		p.wrong(p.file, t.Line, fmt.Sprintf("Write `-- noon: data`, or `-- noon: data over TABLE.KEY in ROWS` with 1 to %d rows.", maxBatch), "%q is not understood", rest)
		return
	}
	p.sections[len(p.sections)-1].Batch = &Batch{Table: over[1], Key: over[2], Size: size}
}

// begin is where the section of a marker begins: at its line, or at the start
// of the file if nothing but comments is before.
func (p *parser) begin(offset int) int {
	if len(p.sections) == 0 {
		return 0
	}
	return offset
}

// property is what holds for the section that it stands in.
func (p *parser) property(word, text string, t sqltext.Token) {
	s := p.current(p.first, t.Line)
	if len(s.Statements) > 0 {
		p.wrong(p.file, t.Line, "Put it right below the line that begins the section.", "%s stands behind the first statement of its section", word)
		return
	}
	switch word {
	case "irreversible":
		s.Irreversible = p.because(text, t)
	case "no-transaction":
		s.Plain = true
		if text != word {
			p.wrong(p.file, t.Line, "Write `-- noon: no-transaction` alone.", "%q is not understood", text)
		}
	case "replaces":
		p.replaces(text, t)
	}
}

func (p *parser) replaces(text string, t sqltext.Token) {
	parts := numbers().FindStringSubmatch(text)
	if parts == nil {
		p.wrong(p.file, t.Line, "Write `-- noon: replaces 1-7 with 9 sections`; `noon migration squash` does.", "%q is not understood", text)
		return
	}
	from, _ := strconv.ParseInt(parts[1], 10, 64) // the expression allows 18 digits
	to, _ := strconv.ParseInt(parts[2], 10, 64)
	if from < 1 || from > to || to != p.migration.Number {
		p.wrong(p.file, t.Line, "A migration replaces those up to its own number: `noon migration squash` writes it.", "%d-%d does not end with number %d", from, to, p.migration.Number)
		return
	}
	sections, _ := strconv.Atoi(parts[3]) // the expression allows 9 digits
	p.migration.Replaces = Range{From: from, To: to, Sections: sections}
}

func (p *parser) because(text string, t sqltext.Token) string {
	parts := because().FindStringSubmatch(text)
	if parts == nil {
		word, _, _ := strings.Cut(text, " ")
		p.wrong(p.file, t.Line, fmt.Sprintf("Write `-- noon: %s \"why\"`.", word), "%s does not say why", word)
		return ""
	}
	return parts[2]
}

// end checks the sections and gives them their checksums.
func (p *parser) end() {
	if len(p.sections) == 0 {
		p.wrong(p.file, 0, "Write a statement, or remove the file.", "it holds no statement")
		return
	}
	for i := range p.sections {
		s := &p.sections[i]
		end := len(p.text)
		if i+1 < len(p.sections) {
			end = p.starts[i+1]
		}
		s.Checksum = checksum(p.text[p.starts[i]:end])
		if len(s.Statements) == 0 {
			p.wrong(p.file, s.Line, "Write a statement, or remove the section.", "section %q holds no statement", s.Kind)
		}
		if s.Batch != nil {
			p.batched(s)
		}
	}
}

// batched checks a section that is run in ranges of a key.
func (p *parser) batched(s *Section) {
	if len(s.Statements) > 1 {
		p.wrong(p.file, s.Statements[1].Line, "Give it a section of its own.", "a section that runs in batches has one statement")
	}
	if s.Plain {
		p.wrong(p.file, s.Line, "Remove the directive.", "batches are transactions: no-transaction can not hold")
	}
	if len(s.Statements) == 0 {
		return
	}
	if _, whole := between(s.Statements[0], "0", "0"); !whole {
		p.wrong(p.file, s.Statements[0].Line, "Bound it, both ends included: WHERE "+s.Batch.Key+" BETWEEN :low AND :high.", "the statement does not use :low and :high")
	}
}
