package lint_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/dbtest"
	"github.com/noon-deploy/noon/internal/database/lint"
)

// A catalogue that was read and written finds the same as the database: types,
// domains, functions, default partitions, and what clients have run.
func TestReadFrom(t *testing.T) {
	s, err := dbtest.Postgres(t.Context(), "shared_preload_libraries=pg_stat_statements")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	url, err := s.PostgresDatabase(t.Context(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	conn := connect(t, url)
	for _, sql := range []string{
		"create extension pg_stat_statements",
		"create domain positive as int check (value > 0)",
		"create function dice() returns int language plpgsql as 'begin return 4; end'",
		"create table p (id int) partition by range (id)", "create table rest partition of p default",
		"create table t (id int primary key, kept int, free positive)",
		"select kept from t where id = 5",
	} {
		run(t, conn, sql)
	}
	c, err := lint.ReadFrom(t.Context(), url, nil)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	again := new(lint.Catalog)
	if err := json.Unmarshal(data, again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c, again); diff != "" {
		t.Errorf("written and read again it differs:\n%s", diff)
	}
	uses, unread := lint.UsesOfQueries(again)
	if unread != 0 {
		t.Errorf("%d queries could not be read", unread)
	}
	for sql, want := range map[string]string{
		"alter table t drop column kept":                           "in-use",
		"alter table t drop column free":                           "",
		"alter table t alter column free type int":                 "",
		"alter table t add column n positive":                      "add-column-domain",
		"alter table t add column n int default dice()":            "add-column-volatile-default",
		"create table q partition of p for values from (0) to (9)": "create-partition",
	} {
		if got := rulesOf(lint.Check(parse(t, "-- noon: contract\n"+sql), again, lint.Options{Uses: uses, Tiny: -1})); got != want {
			t.Errorf("%s: %q, want %q", sql, got, want)
		}
	}
	if _, err := lint.ReadFrom(t.Context(), s.PostgresURL("none"), nil); noon.KindOf(err) != noon.Unavailable || noon.HintOf(err) == "" {
		t.Errorf("a database that is not there: %v", err)
	}
	if _, err := lint.ReadFrom(t.Context(), "postgres://%", nil); noon.KindOf(err) != noon.Invalid {
		t.Errorf("an address that is none: %v", err)
	}
}
