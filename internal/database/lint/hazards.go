package lint

import (
	"fmt"
	"strings"
)

// Reference writes the reference of all rules, in Markdown.
func Reference() string {
	var b strings.Builder
	b.WriteString(`# Hazards

What ` + "`noon migration lint`" + ` finds in a migration for PostgreSQL. Each row is a rule: what the
statement does, what happens to users, and what to do instead. *Error*: users would wait or see
errors, or the statement fails. *Warning*: somebody should look before it runs. *Note*: worth knowing.
Rules marked with ✓ have a safe form that ` + "`--fix`" + ` writes. What only makes users wait is not found on
tables that the script makes itself or that are known to have fewer than 10,000 rows.

The locks and the rewrites that lint claims are compared with a running server, statement by
statement, in the tests of noon. This page is generated from the rules.
`)
	for _, group := range []struct {
		title string
		rules []Rule
	}{{"Columns", columnRules()}, {"Constraints", constraintRules()}, {"Indexes", indexRules()}, {"Tables", tableRules()}, {"Other", otherRules()}} {
		fmt.Fprintf(&b, "\n## %s\n\n| rule | the statement … | what happens | what to do | |\n|---|---|---|---|---|\n", group.title)
		for _, r := range group.rules {
			mark := ""
			if r.Fixed {
				mark = "✓"
			}
			fmt.Fprintf(&b, "| `%s` (%s) | %s | %s | %s | %s |\n", r.ID, r.Severity, r.Title, r.Why, r.Advice, mark)
		}
	}
	b.WriteString("\n## Expected time\n\n" + expectedText())
	return b.String()
}

func expectedText() string {
	var b strings.Builder
	b.WriteString("A range from rates that were " + measured + ". A row counts as one for every 100 bytes of the\ntable, at least. Take it as an order of magnitude; a rehearsal on a copy measures.\n\n| work | rows a second |\n|---|---|\n")
	for _, w := range []Work{Scan, Build, Rewrite, Change} {
		low, high := w.rate()
		fmt.Fprintf(&b, "| %s | %s to %s |\n", w, thousands(int64(low)), thousands(int64(high)))
	}
	return b.String()
}
