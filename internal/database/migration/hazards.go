package migration

import (
	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/migration/sqltext"
)

// Hazards tells what sections would do to users, as far as the words of their
// statements say: no grammar, no sizes. It is for MariaDB, MySQL and SQLite;
// whether a change of a table copies it the server is asked when it is made.
// Alone says that there is no release before which could miss anything.
func Hazards(d sqltext.Dialect, list []Rest, alone bool) []noon.Hazard {
	var all []noon.Hazard
	made := map[string]bool{} // tables that the sections make: nobody has rows in them
	for _, r := range list {
		gone := alone || r.Section.Kind == Contract
		for i := r.Done; i < len(r.Section.Statements); i++ {
			st := r.Section.Statements[i]
			if st.Begins("CREATE", "TABLE") {
				made[target(st)] = true
			}
			h, found := hazard(d, st, gone, r.Section.Batch != nil)
			if !found || made[target(st)] {
				continue
			}
			h.File, h.Line, h.Statement, h.Phase = r.Section.File, st.Line, st.Text, noon.DataBoth
			if gone {
				h.Phase = noon.DataAlone
			}
			if why := r.Section.Blocking[i]; why != "" {
				h.Gravity, h.Accepted = noon.GravityNote, why
			}
			all = append(all, h)
		}
	}
	return all
}

// hazard is that of one statement; rules are called as those for PostgreSQL.
func hazard(d sqltext.Dialect, st sqltext.Statement, gone, batched bool) (noon.Hazard, bool) {
	const later = "Put it into the section `-- noon: contract`, which runs when the release before is gone."
	alters := st.Begins("ALTER", "TABLE")
	drop := func(rule, text string) (noon.Hazard, bool) {
		return noon.Hazard{Gravity: noon.GravityError, Rule: rule, Text: text, Advice: later}, !gone
	}
	switch {
	case st.Begins("DROP", "TABLE"), st.Begins("DROP", "VIEW"):
		return drop("drop-table", "it is gone for the release that still runs, with its data")
	case st.Begins("TRUNCATE"):
		return noon.Hazard{Gravity: noon.GravityError, Rule: "truncate", Text: "all rows are gone", Advice: "Delete what must go in batches, and keep a backup."}, true
	case alters && dropsColumn(st):
		return drop("drop-column", "the column is gone for the release that still runs, with its data")
	case alters && st.Has("RENAME"), st.Begins("RENAME", "TABLE"):
		return drop("rename-column", "the release that still runs knows it by its old name alone")
	case d == sqltext.MySQL && st.Has("COPY", "SHARED", "EXCLUSIVE") && st.Has("ALGORITHM", "LOCK"):
		return noon.Hazard{Gravity: noon.GravityError, Rule: "rewrite-table", Text: "writers wait until the table is changed, as the statement asks for", Advice: "Leave ALGORITHM and LOCK away: noon asks for what blocks nobody."}, true
	case d == sqltext.MySQL && alters && st.Has("PARTITION", "PARTITIONING"):
		return noon.Hazard{Gravity: noon.GravityError, Rule: "rewrite-table", Text: "a change of partitions may copy the table, and the server can not be asked whether it does", Advice: "Rehearse it."}, true
	case !batched && (st.Begins("UPDATE") || st.Begins("DELETE")):
		return noon.Hazard{Gravity: noon.GravityWarning, Rule: "change-many-rows", Text: "it may change many rows in one statement, which are locked until it ends", Advice: "Do it in batches: `-- noon: data over TABLE.KEY in 1000`."}, true
	}
	return noon.Hazard{}, false
}

// target is the name of the table that a statement is about.
func target(st sqltext.Statement) string {
	for mark, first := range map[string]string{"UPDATE": "UPDATE", "FROM": "DELETE", "TRUNCATE": "TRUNCATE"} {
		if st.Begins(first) {
			return tableAfter(st, mark)
		}
	}
	return tableAfter(st, "TABLE")
}

// dropsColumn reports whether an ALTER TABLE has a clause DROP [COLUMN] name.
func dropsColumn(st sqltext.Statement) bool {
	words := st.Words(len(st.Tokens))
	for i, w := range words[:max(len(words)-1, 0)] {
		if w.Is("DROP") && !words[i+1].Is("INDEX", "KEY", "PRIMARY", "FOREIGN", "CONSTRAINT", "CHECK", "PARTITION", "DEFAULT", "SYSTEM") {
			return true
		}
	}
	return false
}
