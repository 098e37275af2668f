package postgres

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/noon-deploy/noon/internal/database/change"
)

// pending is the column that marks rows of which a new column was not made
// yet, one bit for each group.
const pending = "_noon_pending"

// journalSchema holds noon's own tables and functions.
const journalSchema = "noon"

// quote writes a name as SQL reads it.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func quoteAll(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = quote(n)
	}
	return strings.Join(quoted, ", ")
}

func qualified(schema, name string) string { return quote(schema) + "." + quote(name) }

// literal writes a string as SQL reads it, whatever standard_conforming_strings
// says.
func literal(s string) string {
	q := "'" + strings.ReplaceAll(s, "'", "''") + "'"
	if strings.Contains(s, `\`) {
		return "E" + strings.ReplaceAll(q, `\`, `\\`)
	}
	return q
}

// fit makes a name that the server will not cut: one that is too long ends in
// a hash of the whole of it.
func fit(name string) string {
	if len(name) <= change.MaxName {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	tail := "_" + hex.EncodeToString(sum[:])[:12]
	head := name[:change.MaxName-len(tail)]
	return strings.ToValidUTF8(head, "") + tail
}

func versionSchema(app string, version int) string { return app + "_v" + strconv.Itoa(version) }
