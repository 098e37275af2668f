package manifest

import (
	"fmt"
	"strings"
	"time"

	"github.com/noon-deploy/noon"
)

// mostRate bounds the statements a second of a rehearsal's load.
const mostRate = 10_000

func rehearsalRule() rule[noon.Rehearsing] {
	return object("rehearsal", []field[noon.Rehearsing]{
		key("copy", choice("copy", noon.CopyKinds()...), func(r *noon.Rehearsing) *noon.CopyKind { return &r.Copy },
			"How the copy is made: \"dump\" works while users write; \"template\" is PostgreSQL's own and needs that nobody is connected; \"command\" runs yours.").or("dump"),
		key("command", commandRule(), func(r *noon.Rehearsing) *[]string { return &r.Command },
			"Fills the empty database at COPY_URL from the one at SOURCE_URL, for copy: command."),
		key("at", variableRule(), func(r *noon.Rehearsing) *string { return &r.At },
			"Name of the variable or secret with the address of the server for copies. Without it they are made on the server of the store."),
		key("mask", dictionary("expressions by column", columnRule(), expressionRule()), func(r *noon.Rehearsing) *map[string]string { return &r.Mask },
			"SQL that takes the place of a value on the copy, before anything else sees it."),
		key("load", fileRule("path", "rehearsal.sql", false), func(r *noon.Rehearsing) *string { return &r.Load },
			"File of the release with SQL that users run meanwhile. Without it reads and writes are made from the tables that the change names."),
		key("rate", wholeRule(1, mostRate), func(r *noon.Rehearsing) *int { return &r.Rate },
			"Statements a second of that load.").or("100"),
		key("required", boolRule(), func(r *noon.Rehearsing) *bool { return &r.Required },
			"A deployment waits before the store is changed until a rehearsal of the same release was good.").or("false"),
		key("max_age", durationRule(time.Minute), func(r *noon.Rehearsing) *time.Duration { return &r.MaxAge },
			"How old a rehearsal may be that counts.").or("24h"),
	}, checkRehearsal)
}

func checkRehearsal(d *decoder, v value, r *noon.Rehearsing) {
	command := d.written(join(v.path, "command"))
	switch {
	case r.Copy == noon.CopyCommand && !command:
		d.wrong(d.spot(join(v.path, "copy")), join(v.path, "copy"), v.path+" has no command", "Add \"command:\" with what fills the copy.")
	case r.Copy != noon.CopyCommand && r.Copy != "" && command:
		d.wrong(d.spot(join(v.path, "command")), join(v.path, "command"), fmt.Sprintf("%s has a command and copies by %s", v.path, r.Copy), "Write \"copy: command\", or remove the command.")
	}
}

// columnRule is a column of a table.
func columnRule() rule[string] {
	return word(shape{label: "table.column", example: "customers.email"}, "", func(text string) (string, error) {
		table, column, ok := strings.Cut(text, ".")
		if !ok || strings.TrimSpace(table) == "" || strings.TrimSpace(column) == "" || strings.ContainsRune(text, 0) {
			return "", &trouble{fmt.Sprintf("%s names no column", quote(text)), "Write TABLE.COLUMN."}
		}
		return text, nil
	})
}

// expressionRule is SQL; the server of the copy is who understands it.
func expressionRule() rule[string] {
	return word(shape{label: "SQL expression", example: `"'x' || id"`}, "", func(text string) (string, error) {
		if strings.TrimSpace(text) == "" {
			return "", &trouble{"the expression is empty", "Write NULL, or what takes the place of the value."}
		}
		return text, nil
	})
}
