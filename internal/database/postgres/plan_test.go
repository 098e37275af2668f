package postgres_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/change"
	"github.com/noon-deploy/noon/internal/database/pgcatalog"
	"github.com/noon-deploy/noon/internal/database/postgres"
)

var update = flag.Bool("update", false, "write the golden files")

// Plans of declared changes over the catalogue of a shop are what the golden
// files say, and the same each time.
func TestPlansAreGolden(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no changes: %v", err)
	}
	s := newShop(t, `
create type status as enum ('new', 'sent');
create table city (id int primary key, name text);
create table users (id bigint generated always as identity primary key, mail text not null unique, age text not null default '7',
  first text, last text, note text, city_id int references city (id), state status, check (length(age) < 4));
create index users_age on users (age desc, lower(mail)) include (note) where age <> '0';
create function touch() returns trigger language plpgsql as 'begin return new; end';
create trigger touched before update on users for each row execute function touch();
create publication feed for table users`)
	conn := s.connect(t, s.noon)
	catalog, err := pgcatalog.Read(t.Context(), conn, []string{"public", "shop_v3"})
	if err != nil {
		t.Fatal(err)
	}
	steady(catalog, s)
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		set, err := change.Read(change.File{Name: filepath.Base(file), Data: data})
		if err != nil {
			t.Fatal(err)
		}
		target := postgres.Target{App: "shop", Schema: "public", Role: "shop", From: 3}
		shared.plan.Lock()
		p := postgres.Make(set, catalog, target)
		again := postgres.Make(set, catalog, target)
		shared.plan.Unlock()
		if diff := cmp.Diff(p, again); diff != "" {
			t.Errorf("%s: two plans differ:\n%s", file, diff)
		}
		golden(t, strings.TrimSuffix(file, ".yaml")+".golden", show(p))
		if _, err := json.Marshal(p); err != nil {
			t.Error(err)
		}
	}
}

// A read replica is refused in the plan.
func TestReplicaIsRefused(t *testing.T) {
	t.Parallel()
	catalog := &pgcatalog.Catalog{Server: pgcatalog.Server{InRecovery: true, Version: 150000}}
	err := postgres.Make(change.Set{}, catalog, postgres.Target{App: "shop", Schema: "public", Role: "shop"}).Refusal()
	if err == nil || !strings.Contains(err.Error(), "it is a read replica") || !strings.Contains(noon.HintOf(err), "primary") {
		t.Errorf("%v (%s)", err, noon.HintOf(err))
	}
}

// steady takes out what differs from run to run.
func steady(c *pgcatalog.Catalog, s *shop) {
	for i := range c.Tables {
		c.Tables[i].OID, c.Tables[i].Owner = 0, strings.Replace(c.Tables[i].Owner, s.owner, "shop", 1)
	}
	c.Server.Version = 150000
}

// show writes a plan for people.
func show(p postgres.Plan) string {
	var b strings.Builder
	for _, f := range p.Findings {
		b.WriteString(f.String() + "\n")
		if f.Hint != "" {
			b.WriteString("  " + f.Hint + "\n")
		}
	}
	for _, phase := range []struct {
		name   string
		stages []postgres.Stage
	}{{"expand", p.Expand}, {"contract", p.Contract}, {"withdraw", p.Withdraw}} {
		for _, st := range phase.stages {
			b.WriteString("\n== " + phase.name + ": " + st.Name + " (" + string(st.Kind) + ")\n")
			for _, l := range st.Locks {
				b.WriteString("-- lock " + l.Table + " " + l.Mode + "\n")
			}
			for _, sql := range slices.Concat(st.Before, st.SQL) {
				b.WriteString(sql + ";\n")
			}
			if f := st.Backfill; f != nil {
				b.WriteString("-- walk " + f.Table + " by " + strings.Join(f.Key, ", ") + "\n-- set " + strings.Join(f.Set, ", ") + "\n")
				for _, a := range f.Agree {
					b.WriteString("-- agree " + a + "\n")
				}
			}
		}
	}
	b.WriteString("\n== losses\n")
	for _, l := range p.Losses {
		b.WriteString(l.What + ": " + l.SQL + "\n")
	}
	b.WriteString("\n== irreversible\n" + strings.Join(p.Lost, "\n") + "\n\n== relies on\n" + strings.Join(p.Shape, "\n") + "\n")
	return b.String()
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (go test -update writes it anew):\n%s", file, diff)
	}
}
