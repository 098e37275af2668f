package migration

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/noon-deploy/noon/internal/database/migration/sqltext"
)

// Phase is how far migrations are taken, in this order.
type Phase string

// The phases.
const (
	Expanded   Phase = "expanded"   // what the new release needs is there, the old release works on
	Migrated   Phase = "migrated"   // the data are there as well
	Contracted Phase = "contracted" // what only the old release needed is gone
)

// Phases in their order.
func Phases() []Phase { return []Phase{Expanded, Migrated, Contracted} }

// Kind is what a section of a migration is for.
type Kind string

// The kinds, in the order in which sections stand in a file.
const (
	Expand     Kind = "expand"
	Data       Kind = "data"
	Contract   Kind = "contract"
	Down       Kind = "down"          // takes back expand and data
	DownOfLast Kind = "down contract" // takes back contract
)

func kinds() []Kind { return []Kind{Expand, Data, Contract, Down, DownOfLast} }

// phase is what is reached when every section up to this kind is done.
func (k Kind) phase() Phase {
	switch k {
	case Expand:
		return Expanded
	case Data:
		return Migrated
	default:
		return Contracted
	}
}

func (k Kind) down() bool { return k == Down || k == DownOfLast }

// Set is a directory of migrations, in the order of their numbers.
type Set struct {
	Dialect    sqltext.Dialect
	Migrations []Migration
}

// Migration is what the files of one number say.
type Migration struct {
	Number   int64
	Name     string
	File     string    // the one that takes forward, for people
	Sections []Section // in the order in which they are run, then those that take back
	Replaces Range     // what it stands for; zero if it stands for itself
}

// Range is what a squashed migration stands for.
type Range struct {
	From, To int64 // numbers, both included
	Sections int   // that take forward, of them together
}

// Section is a part of a migration that is run as one.
type Section struct {
	Number       int // from 1, of the migration
	Kind         Kind
	File         string
	Line         int // from 1
	Statements   []sqltext.Statement
	Checksum     string // of its text, with line ends as \n
	Plain        bool   // without a transaction around it
	Irreversible string // why, "" if it is not declared
	Batch        *Batch // nil if its statement is run once
	Blocking     map[int]string
}

// Batch says how a statement is run in ranges of a key.
type Batch struct {
	Table, Key string // as they are written
	Size       int    // rows of the first batch
}

// ID gives "0007_rename".
func (m Migration) ID() string { return fmt.Sprintf("%04d_%s", m.Number, m.Name) }

// forward are the sections that take forward.
func (m Migration) forward() []Section {
	return slices.DeleteFunc(slices.Clone(m.Sections), func(s Section) bool { return s.Kind.down() })
}

// section is the one of a kind that occurs at most once.
func (m Migration) section(kind Kind) (Section, bool) {
	i := slices.IndexFunc(m.Sections, func(s Section) bool { return s.Kind == kind })
	if i < 0 {
		return Section{}, false
	}
	return m.Sections[i], true
}

func (m Migration) has(kind Kind) bool {
	_, ok := m.section(kind)
	return ok
}

// find is the migration of a number.
func (s Set) find(number int64) (Migration, bool) {
	i, ok := slices.BinarySearchFunc(s.Migrations, number, func(m Migration, n int64) int {
		return int(min(1, max(-1, m.Number-n)))
	})
	if !ok {
		return Migration{}, false
	}
	return s.Migrations[i], true
}

// Reason is why going back over a section of a migration loses something.
type Reason struct {
	Migration string // its ID
	Kind      Kind
	Why       string
	Missing   bool // there is no script for it, so that it can not be done at all
}

// String gives "0007_rename contract: why".
func (r Reason) String() string { return fmt.Sprintf("%s %s: %s", r.Migration, r.Kind, r.Why) }

// Irreversible lists why the migrations after a number can not be taken back,
// or not without loss: because a directive says so, because the script that
// takes back is missing, or because computed finds it. computed may be nil.
func (s Set) Irreversible(after int64, computed func(Section) (why string, lossy bool)) []Reason {
	var all []Reason
	for _, m := range s.Migrations {
		if m.Number > after {
			all = append(all, m.irreversible(computed)...)
		}
	}
	return all
}

func (m Migration) irreversible(computed func(Section) (string, bool)) []Reason {
	var all []Reason
	for _, s := range m.forward() {
		if s.Irreversible != "" {
			all = append(all, Reason{Migration: m.ID(), Kind: s.Kind, Why: s.Irreversible})
		} else if computed != nil {
			if why, lossy := computed(s); lossy {
				all = append(all, Reason{Migration: m.ID(), Kind: s.Kind, Why: why})
			}
		}
	}
	if m.has(Contract) && !m.has(DownOfLast) {
		all = append(all, Reason{m.ID(), Contract, "there is no section `-- noon: down contract`", true})
	}
	if !m.has(Down) && (m.has(Expand) || m.has(Data)) {
		all = append(all, Reason{m.ID(), Expand, "there is no down script", true})
	}
	return all
}

// checksum is that of a text whose line ends do not matter.
func checksum(text string) string {
	sum := sha256.Sum256([]byte(strings.ReplaceAll(text, "\r\n", "\n")))
	return hex.EncodeToString(sum[:])
}

// begun is the checksum of the first n statements: what may no longer change
// while the others may.
func (s Section) begun(n int) string {
	var text strings.Builder
	for _, st := range s.Statements[:min(n, len(s.Statements))] {
		text.WriteString(st.Text + ";\n")
	}
	return checksum(text.String())
}

// at is the place of a statement, for people.
func (s Section) at(i int) string {
	if i >= len(s.Statements) {
		return fmt.Sprintf("%s:%d", s.File, s.Line)
	}
	return fmt.Sprintf("%s:%d", s.File, s.Statements[i].Line)
}
