package lint

import (
	"strings"

	"github.com/noon-deploy/noon/internal/database/sqlparse"
)

// Sections writes steps as sections of a migration of noon. What comes after
// data is in the contract: data are brought over before it.
func Sections(list []Step) string {
	var b strings.Builder
	kind := "expand"
	for _, s := range list {
		if s.Data != "" {
			b.WriteString("-- noon: data over " + s.Data + " in 1000\n")
			kind = "contract"
		} else {
			b.WriteString("-- noon: " + kind + "\n")
		}
		s.body(&b)
	}
	return b.String()
}

func (s Step) body(b *strings.Builder) {
	if s.Alone {
		b.WriteString("-- noon: no-transaction\n")
	}
	for _, sql := range s.SQL {
		b.WriteString(sql + ";\n")
	}
}

// Fixed writes a script with its statements replaced by their safe form, where
// there is one, and tells how many were. Each step becomes a section of a
// migration of noon; comments and all other statements stay as they are. What
// brings data over, and what can come only after that, stands behind everything
// that expands. Findings are those of the same script; what was accepted stays.
func Fixed(sql string, statements []sqlparse.Statement, findings []Finding) (fixed string, n int) {
	w := writer{sections: map[string]*strings.Builder{}, kind: "expand"}
	for _, kind := range sectionKinds() {
		w.sections[kind] = new(strings.Builder)
	}
	done := 0
	for i, s := range statements {
		end, ends := s.Offset+len(s.Text), ""
		if semicolon := strings.IndexByte(sql[end:], ';'); semicolon >= 0 && strings.TrimSpace(sql[end:end+semicolon]) == "" {
			end += semicolon + 1
		} else {
			ends = ";" // of the last one; something may stand behind it now
		}
		w.enter(s)
		fix := fixOf(findings, i)
		if fix == nil || w.kind != "expand" && hasData(fix) {
			w.keep(sql[done:end]+ends, startsSection(s))
		} else {
			w.keep(strings.TrimRight(sql[done:s.Offset], " \t"), startsSection(s))
			w.replace(fix)
			n++
		}
		done = end
	}
	if n == 0 {
		return sql, 0
	}
	w.sections[w.kind].WriteString(sql[done:])
	var b strings.Builder
	for _, kind := range sectionKinds() {
		text := strings.Trim(w.sections[kind].String(), "\n")
		if text == "" {
			continue
		}
		b.WriteString(text + "\n")
	}
	return b.String(), n
}

// sectionKinds are the kinds of sections in their order in a file.
func sectionKinds() []string { return []string{"expand", "data", "contract", "down"} }

// writer puts a script together, section by section.
type writer struct {
	sections map[string]*strings.Builder
	kind     string // of the section that is being read
	apart    bool   // the last thing written to it is a section of its own
}

// enter follows the directives before a statement.
func (w *writer) enter(s sqlparse.Statement) {
	for _, c := range s.Comments {
		d, ok := directiveOf(c.Text)
		if _, section := w.sections[d.Word]; ok && section {
			w.kind, w.apart = d.Word, false
		}
	}
}

func startsSection(s sqlparse.Statement) bool {
	for _, c := range s.Comments {
		switch d, _ := directiveOf(c.Text); d.Word {
		case "expand", "data", "contract", "down":
			return true
		}
	}
	return false
}

// keep writes what stays as it is, in a section of its own if the one before
// belongs to something else.
func (w *writer) keep(text string, starts bool) {
	b := w.sections[w.kind]
	if w.apart && !starts && strings.TrimSpace(text) != "" {
		b.WriteString("-- noon: " + w.kind)
		if !strings.HasPrefix(text, "\n") {
			b.WriteString("\n")
		}
	}
	b.WriteString(text)
	if strings.TrimSpace(text) != "" {
		w.apart = false
	}
}

// replace writes the steps of a safe form.
func (w *writer) replace(fix []Step) {
	kind := w.kind
	for _, s := range fix {
		b := w.sections[kind]
		if s.Data != "" {
			b = w.sections["data"]
			kind = "contract"
			b.WriteString("-- noon: data over " + s.Data + " in 1000\n")
		} else {
			line(b)
			b.WriteString("-- noon: " + kind + "\n")
		}
		s.body(b)
	}
	w.apart = true
}

// line ends the line that was begun.
func line(b *strings.Builder) {
	if b.Len() > 0 && !strings.HasSuffix(b.String(), "\n") {
		b.WriteString("\n")
	}
}

// fixOf is the safe form of a statement, nil if there is none.
func fixOf(findings []Finding, statement int) []Step {
	for _, f := range findings {
		if f.index == statement && f.Fix != nil && f.Accepted == "" {
			return f.Fix
		}
	}
	return nil
}

func hasData(fix []Step) bool {
	for _, s := range fix {
		if s.Data != "" {
			return true
		}
	}
	return false
}
