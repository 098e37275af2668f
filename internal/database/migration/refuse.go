package migration

import (
	"slices"
	"strings"

	"github.com/noon-deploy/noon/internal/database/migration/sqltext"
)

// refusal says why a statement can not be part of a migration, "" if it can.
func refusal(d sqltext.Dialect, st sqltext.Statement) (why, hint string) {
	words := st.Words(2)
	switch {
	case strings.HasPrefix(st.Text, `\`) || d == sqltext.SQLite && strings.HasPrefix(st.Text, "."):
		return "it is a command of a command line program, not SQL", "Write what it stands for in SQL."
	case len(words) == 0:
		return "it is no statement", "Remove it."
	case transacts(d, st):
		return "it begins or ends a transaction", "Remove it: noon puts a transaction around every section; `-- noon: no-transaction` leaves it away."
	case d == sqltext.PostgreSQL && words[0].Is("COPY") && st.Has("STDIN"):
		return "its data would come from a client's input", "Write INSERT statements, or load the data with a hook."
	case d == sqltext.PostgreSQL && concurrentIndex(st) && indexName(st) == "":
		return "the index has no name", "Name it, so that noon can find it after a crash."
	case d == sqltext.MySQL && unfinished(st):
		return "a semicolon ends it in the middle of its body", "Write `DELIMITER //` before it, end it with //, and write `DELIMITER ;` after it."
	case d == sqltext.MySQL && st.Begins("DROP", "TABLE") && slices.ContainsFunc(st.Tokens, func(t sqltext.Token) bool { return t.Text == "," }):
		return "it drops several tables", "Write a statement for each, so that noon can tell after a crash which are done."
	case d == sqltext.MySQL && words[0].Is("USE", "LOCK", "UNLOCK"):
		return "it changes the session that noon works in", "Name databases in the statements instead."
	}
	return "", ""
}

// transacts reports whether the statement begins or ends a transaction.
func transacts(d sqltext.Dialect, st sqltext.Statement) bool {
	first := st.Words(1)[0]
	switch {
	case first.Is("COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE"):
		return true
	case first.Is("BEGIN", "END"):
		return true
	case st.Begins("START", "TRANSACTION"), st.Begins("PREPARE", "TRANSACTION"), st.Begins("SET", "AUTOCOMMIT"):
		return true
	}
	return d == sqltext.PostgreSQL && first.Is("ABORT") || d == sqltext.MySQL && first.Is("XA")
}

// unfinished reports whether the body of a routine was cut.
func unfinished(st sqltext.Statement) bool {
	head := st.Words(16)
	if len(head) == 0 || !head[0].Is("CREATE") {
		return false
	}
	routine := slices.ContainsFunc(head, func(t sqltext.Token) bool { return t.Is("TRIGGER", "PROCEDURE", "FUNCTION", "EVENT") })
	is := func(word string) func(sqltext.Token) bool {
		return func(t sqltext.Token) bool { return t.Is(word) }
	}
	return routine && slices.ContainsFunc(st.Tokens, is("BEGIN")) && !slices.ContainsFunc(st.Tokens, is("END"))
}

// nearest gives the known word that was probably meant, "" if none is close.
func nearest(word string, known []string) string {
	best, least := "", max(1, len(word)/3)+1
	for _, k := range known {
		if len(word) > 40 {
			return ""
		}
		if d := distance(strings.ToLower(word), k); d < least {
			best, least = k, d
		}
	}
	return best
}

// distance counts the letters to insert, remove or replace (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
