package migration

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/migration/sqltext"
)

// Limits of what is read.
const (
	maxFile = 16 << 20 // bytes
	maxName = 100      // letters
)

// FileError is something wrong in a file.
type FileError struct {
	File string
	Line int // 0 if it is about the file as a whole
	Text string
	Hint string
}

// Error gives "0007_rename.up.sql:3: text".
func (m *FileError) Error() string {
	if m.Line == 0 {
		return m.File + ": " + m.Text
	}
	return fmt.Sprintf("%s:%d: %s", m.File, m.Line, m.Text)
}

// Read reads the migrations of a directory: NNNN_name.up.sql with
// NNNN_name.down.sql, or NNNN_name.sql. Files that do not end in .sql are left
// alone. The error names every mistake.
func Read(dir fs.FS, d sqltext.Dialect) (Set, error) {
	entries, err := fs.ReadDir(dir, ".")
	if err != nil {
		return Set{}, &noon.Error{
			Kind: noon.NotFound, Op: "read migrations", Err: err,
			Hint: "Name the directory of the migrations with --dir; `noon migration create NAME` makes the first one.",
		}
	}
	r := reader{dialect: d, found: map[int64]*Migration{}}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".sql") && !e.IsDir() {
			r.file(dir, e.Name())
		}
	}
	set := Set{Dialect: d}
	for _, m := range r.found {
		r.finish(m)
		set.Migrations = append(set.Migrations, *m)
	}
	slices.SortFunc(set.Migrations, func(a, b Migration) int { return cmp.Compare(a.Number, b.Number) })
	if len(r.mistakes) > 0 {
		return Set{}, r.refuse()
	}
	return set, nil
}

type reader struct {
	dialect  sqltext.Dialect
	found    map[int64]*Migration
	mistakes []*FileError
}

func (r *reader) wrong(file string, line int, hint, format string, args ...any) {
	r.mistakes = append(r.mistakes, &FileError{File: file, Line: line, Text: fmt.Sprintf(format, args...), Hint: hint})
}

func (r *reader) refuse() error {
	slices.SortStableFunc(r.mistakes, func(a, b *FileError) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	all := make([]error, len(r.mistakes))
	for i, m := range r.mistakes {
		all[i] = m
	}
	return &noon.Error{Kind: noon.Invalid, Op: "read migrations", Err: errors.Join(all...), Hint: r.mistakes[0].Hint}
}

var fileName = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^([0-9]{1,18})_([A-Za-z0-9][A-Za-z0-9_-]*?)(\.up|\.down)?\.sql$`)
})

func (r *reader) file(dir fs.FS, name string) {
	parts := fileName().FindStringSubmatch(name)
	if parts == nil || len(parts[2]) > maxName {
		r.wrong(name, 0, fmt.Sprintf("Rename it: up to 18 digits, _, up to %d letters, digits, - and _.", maxName),
			"its name is not NNNN_name.up.sql, NNNN_name.down.sql or NNNN_name.sql")
		return
	}
	number, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil || number == 0 {
		r.wrong(name, 0, "Count from 0001.", "its number is not above 0")
		return
	}
	text, ok := r.text(dir, name)
	if !ok {
		return
	}
	m := r.found[number]
	if m == nil {
		m = &Migration{Number: number, Name: parts[2]}
		r.found[number] = m
	}
	if m.Name != parts[2] {
		r.wrong(name, 0, "Give one of them the next free number; take the one that was not applied anywhere yet.",
			"number %d is that of %s too", number, m.anyFile())
		return
	}
	sections := r.parse(name, text, parts[3] == ".down", m)
	r.join(m, name, parts[3] == ".down", sections)
}

func (m Migration) anyFile() string {
	if m.File != "" || len(m.Sections) == 0 {
		return cmp.Or(m.File, m.Name)
	}
	return m.Sections[0].File
}

// join adds the sections of a file to those of another file of the number.
func (r *reader) join(m *Migration, file string, down bool, sections []Section) {
	if !down && m.File != "" {
		r.wrong(file, 0, "Keep one of them.", "number %d is that of %s too", m.Number, m.File)
		return
	}
	if !down {
		m.File = file
	}
	for _, s := range sections {
		if before, twice := m.section(s.Kind); s.Kind.down() && twice {
			r.wrong(file, s.Line, "Keep one of them.", "section %q is at %s:%d already", s.Kind, before.File, before.Line)
			continue
		}
		m.Sections = append(m.Sections, s)
	}
}

func (r *reader) text(dir fs.FS, name string) (string, bool) {
	data, err := fs.ReadFile(dir, name)
	switch {
	case err != nil:
		r.wrong(name, 0, "Make it readable.", "%v", err)
	case len(data) > maxFile:
		r.wrong(name, 0, "Load data from files of their own; a migration says how.", "it has %d bytes, the most is %d", len(data), maxFile)
	default:
		return string(data), true
	}
	return "", false
}

// finish checks what needs all files of a number.
func (r *reader) finish(m *Migration) {
	if m.File == "" && len(m.Sections) > 0 {
		r.wrong(m.Sections[0].File, 0, "Add the .up.sql file, or remove this one.", "it takes back what no .up.sql file does")
		return
	}
	slices.SortStableFunc(m.Sections, func(a, b Section) int {
		if m.Replaces.To > 0 && !a.Kind.down() && !b.Kind.down() {
			return 0 // it stands for others, one after the other
		}
		return slices.Index(kinds(), a.Kind) - slices.Index(kinds(), b.Kind)
	})
	for i := range m.Sections {
		m.Sections[i].Number = i + 1
	}
	if down, ok := m.section(DownOfLast); ok && !m.has(Contract) {
		r.wrong(down.File, down.Line, "Call it `-- noon: down`.", "there is no contract that it could take back")
	}
}
