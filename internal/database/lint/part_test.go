package lint_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/noon-deploy/noon/internal/database/lint"
	"github.com/noon-deploy/noon/internal/database/sqlparse"
)

// Parts are judged one after the other, each with those who are there: what a
// part before has made is nobody's, what it has set does not last.
func TestParts(t *testing.T) {
	t.Parallel()
	const sql = `create table fresh (id int); set search_path to nowhere;
drop table customers; create index fresh_id on fresh (id); create index orders_placed on orders (placed);
update orders set code = '' where id between :low and :high;
drop table settings;
`
	statements, err := lint.Parse(sql)
	if err != nil {
		t.Fatal(err)
	}
	place := func(word string) int { return strings.Index(sql, word) }
	uses := []lint.Use{{Table: "settings", Column: "*", Release: "r7", Source: "noon.yaml"}}
	parts := []lint.Part{
		{From: 0, To: place("drop table customers"), Done: true},
		{From: place("drop table customers"), To: place("update"), Alone: true},
		{From: place("update"), To: place("drop table settings"), Batched: true},
		{From: place("drop table settings"), To: len(sql), Alone: true, Uses: uses},
	}
	var got []string
	for _, list := range lint.CheckParts([]lint.Script{{File: "a.sql", Statements: statements}}, parts, shop(), lint.Options{}) {
		got = append(got, rulesOf(list))
	}
	if diff := cmp.Diff([]string{"", "create-index several-locks", "", "in-use"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestUnreadable(t *testing.T) {
	t.Parallel()
	wrong := &sqlparse.Error{Line: 3, Column: 5, Message: "syntax error"}
	f := lint.Unreadable("a.sql", wrong, shop())
	if f.Severity != lint.Error || f.Line != 3 || f.Hazard != "in column 5: syntax error" {
		t.Errorf("%+v", f)
	}
	newer := shop()
	newer.Server.Version = 180001
	if f := lint.Unreadable("a.sql", wrong, newer); f.Severity != lint.Warning {
		t.Errorf("on a server that is newer than the grammar: %+v", f)
	}
}
