package mariadb

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/noon-deploy/noon/internal/database/migration/sqltext"
)

const (
	// pending is the column that marks rows: see the constants of marks.
	pending = "noon_pending"
	// own is what the names of noon's own tables, triggers and indexes begin with.
	own = "noon_"
	// scratch is the temporary table in which a plan is tried.
	scratch = own + "try"

	maxName = 64 // letters of a name, of MariaDB and MySQL
	maxUser = 32 // of a user, of MySQL; MariaDB allows more
	maxBase = 20 // bytes of what the names of an app's releases begin with
)

// Name is that of a release's user and of its database: both belong to the
// server, so the app's prefix is a part of it. It has at most 32 bytes.
func Name(app, release string) string {
	name := base(app) + "_" + release
	if len(name) <= maxUser {
		return name
	}
	return strings.ToValidUTF8(name[:maxUser-9], "") + "_" + digest(name)
}

// base is what all names of an app's releases begin with.
func base(app string) string {
	if len(app) <= maxBase {
		return app
	}
	return app[:maxBase-9] + "_" + digest(app)
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:4])
}

func versionName(app string, version int) string { return app + "_v" + strconv.Itoa(version) }

// quote writes a name as SQL reads it.
func quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

func quoteAll(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = quote(n)
	}
	return strings.Join(quoted, ", ")
}

func qualified(database, name string) string { return quote(database) + "." + quote(name) }

// literal writes a string as SQL reads it in the sessions of this package,
// whose sql_mode is their own.
func literal(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(s) + "'"
}

// free is a name that none of those taken is: the wanted one, or one with the
// version.
func free(wanted string, version int, taken []string) string {
	name := wanted
	for n := 0; slices.ContainsFunc(taken, func(t string) bool { return strings.EqualFold(t, name) }); n++ {
		tail := "_v" + strconv.Itoa(version)
		if n > 0 {
			tail += "_" + strconv.Itoa(n)
		}
		name = shorten(wanted, maxName-len(tail)) + tail
	}
	return name
}

// shorten keeps at most so many letters.
func shorten(name string, letters int) string {
	for utf8.RuneCountInString(name) > letters {
		_, size := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-size]
	}
	return name
}

// named are the words and quoted names of an SQL text, without quotes.
func named(text string) []string {
	statements, err := sqltext.Split(sqltext.MySQL, text)
	if err != nil {
		return nil // the server will say what is wrong with it
	}
	var list []string
	for _, st := range statements {
		for _, t := range st.Tokens {
			switch t.Kind {
			default: // names nothing
			case sqltext.Word:
				list = append(list, t.Text)
			case sqltext.Name:
				list = append(list, strings.ReplaceAll(strings.TrimSuffix(strings.TrimPrefix(t.Text, "`"), "`"), "``", "`"))
			}
		}
	}
	return list
}

// mentions reports whether an SQL text names something.
func mentions(text, name string) bool {
	return slices.ContainsFunc(named(text), func(n string) bool { return strings.EqualFold(n, name) })
}
