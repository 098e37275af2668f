package lint

import (
	"cmp"
	"slices"

	"github.com/noon-deploy/noon/internal/database/pgcatalog"
)

// Lock is a mode of PostgreSQL's table locks, in the words of LOCK TABLE
// (section 13.3.1 of its manual).
type Lock string

// The modes, from the weakest to the strongest.
const (
	AccessShare          Lock = "ACCESS SHARE"
	RowShare             Lock = "ROW SHARE"
	RowExclusive         Lock = "ROW EXCLUSIVE"
	ShareUpdateExclusive Lock = "SHARE UPDATE EXCLUSIVE"
	Share                Lock = "SHARE"
	ShareRowExclusive    Lock = "SHARE ROW EXCLUSIVE"
	Exclusive            Lock = "EXCLUSIVE"
	AccessExclusive      Lock = "ACCESS EXCLUSIVE"
)

// Locks are the modes, from the weakest to the strongest.
func Locks() []Lock {
	return []Lock{AccessShare, RowShare, RowExclusive, ShareUpdateExclusive, Share, ShareRowExclusive, Exclusive, AccessExclusive}
}

// Stronger reports whether l comes after o in [Locks].
func (l Lock) Stronger(o Lock) bool { return slices.Index(Locks(), l) > slices.Index(Locks(), o) }

// Blocks tells whom a lock keeps waiting.
func (l Lock) Blocks() string {
	switch l {
	case AccessExclusive:
		return "blocks reads and writes"
	case Exclusive, ShareRowExclusive, Share:
		return "blocks writes"
	case ShareUpdateExclusive:
		return "blocks other changes of the table and VACUUM"
	default:
		return "blocks changes of the table"
	}
}

// Locked is a lock on a table.
type Locked struct {
	Table pgcatalog.Name `json:"table"`
	Mode  Lock           `json:"mode"`
}

// Effect is what a statement does to tables that were there before the script.
// Locks of mode ACCESS SHARE are left out: they wait for nobody but who has
// ACCESS EXCLUSIVE. So are indexes, sequences and the server's own catalogue.
type Effect struct {
	Statement int              `json:"statement"` // its index
	Locks     []Locked         `json:"locks"`     // by table
	Rewrites  []pgcatalog.Name `json:"rewrites"`  // tables that are written anew
	Scans     []pgcatalog.Name `json:"scans"`     // tables that are read from beginning to end
	Builds    []pgcatalog.Name `json:"builds"`    // tables of which an index is built
	Changes   []pgcatalog.Name `json:"changes"`   // tables all or many of whose rows are changed
	Opaque    bool             `json:"opaque"`    // it also runs what can not be looked into

	order []pgcatalog.Name // in which it locks tables
}

func (e *Effect) lock(table pgcatalog.Name, mode Lock) {
	for i := range e.Locks {
		if e.Locks[i].Table == table {
			if mode.Stronger(e.Locks[i].Mode) {
				e.Locks[i].Mode = mode
			}
			return
		}
	}
	e.order = append(e.order, table)
	e.Locks = append(e.Locks, Locked{table, mode})
	slices.SortFunc(e.Locks, func(a, b Locked) int { return a.Table.Compare(b.Table) })
}

// mode is the lock that the effect has on a table, "" for none.
func (e Effect) mode(table pgcatalog.Name) Lock {
	for _, l := range e.Locks {
		if l.Table == table {
			return l.Mode
		}
	}
	return ""
}

// strongest is the strongest lock of an effect, "" if it takes none.
func (e Effect) strongest() Lock {
	var strongest Lock
	for _, l := range e.Locks {
		if strongest == "" || l.Mode.Stronger(strongest) {
			strongest = l.Mode
		}
	}
	return strongest
}

func addName(list []pgcatalog.Name, name pgcatalog.Name) []pgcatalog.Name {
	i, found := slices.BinarySearchFunc(list, name, pgcatalog.Name.Compare)
	if found {
		return list
	}
	return slices.Insert(list, i, name)
}

// Work is what a statement does while it holds its locks.
type Work string

// Kinds of work, and how many rows of about 100 bytes they take a second.
// Measured with tables of 1,000,000 rows on PostgreSQL 15.18 and two shared
// cores; see duration.go.
const (
	Nothing Work = ""
	Scan    Work = "scan"
	Build   Work = "index build"
	Rewrite Work = "rewrite"
	Change  Work = "change of rows"
)

// work is the most of what an effect does to a table.
func (e Effect) work(table pgcatalog.Name) Work {
	for _, w := range []struct {
		tables []pgcatalog.Name
		work   Work
	}{{e.Changes, Change}, {e.Rewrites, Rewrite}, {e.Builds, Build}, {e.Scans, Scan}} {
		if slices.Contains(w.tables, table) {
			return w.work
		}
	}
	return Nothing
}

// compareFindings orders findings as the statements stand.
func compareFindings(a, b Finding) int {
	return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), b.Severity.rank()-a.Severity.rank(), cmp.Compare(a.Rule, b.Rule))
}
