package migration

import (
	"strings"

	"github.com/noon-deploy/noon/internal/database/migration/sqltext"
)

// between puts literals in place of :low and :high; whole is false if one of
// them is not there.
func between(st sqltext.Statement, low, high string) (text string, whole bool) {
	var b strings.Builder
	seen := map[string]bool{}
	for i, t := range st.Tokens {
		if t.Offset < st.Offset || t.Offset >= st.Offset+len(st.Text) {
			continue
		}
		next := sqltext.Token{}
		if i+1 < len(st.Tokens) {
			next = st.Tokens[i+1]
		}
		mark := t.Text == ":" && t.Kind == sqltext.Symbol && next.Is("LOW", "HIGH") && (i == 0 || st.Tokens[i-1].Text != ":")
		literal := i > 0 && t.Is("LOW", "HIGH") && st.Tokens[i-1].Text == ":" && (i == 1 || st.Tokens[i-2].Text != ":")
		switch {
		case mark: // the word that follows is replaced with it
		case literal && t.Is("LOW"):
			b.WriteString(low)
			seen["low"] = true
		case literal:
			b.WriteString(high)
			seen["high"] = true
		default:
			b.WriteString(t.Text)
		}
	}
	return b.String(), seen["low"] && seen["high"]
}
