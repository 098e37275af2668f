package tui_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/manifest"
	"github.com/noon-deploy/noon/internal/planner"
	"github.com/noon-deploy/noon/internal/tui"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares text with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want = bytes.ReplaceAll(want, []byte("\r\n"), []byte("\n"))
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got, -update writes it):\n%s", path, diff)
	}
}

// noonTime is when the tests take place.
var noonTime = time.Date(2026, time.November, 20, 12, 0, 0, 0, time.UTC)

func page(width int) tui.Page { return tui.Page{Width: width, Now: noonTime} }

// shop is the app of a manifest in testdata.
func shop(t *testing.T) noon.App {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "noon.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	app, err := manifest.Parse("noon.yaml", data)
	if err != nil {
		t.Fatal(err)
	}
	app.Stores[0].Quiet = true
	return app
}

var (
	production = noon.Site{App: "shop", Environment: "production"}
	r1         = noon.Revision{Release: 1, Config: 1}
	r2         = noon.Revision{Release: 2, Config: 1}
)

// first is the plan of a first deployment.
func first(t *testing.T) noon.Plan {
	t.Helper()
	return plan(t, planner.Input{
		Kind: noon.PlanDeploy, Site: production, To: r1,
		Apps: map[noon.Revision]noon.App{r1: shop(t)},
	})
}

// second is the plan that replaces r1 by r2, which brings a migration.
func second(t *testing.T) noon.Plan {
	t.Helper()
	before := first(t)
	return plan(t, planner.Input{
		Kind: noon.PlanDeploy, Site: production, To: r2,
		Current: before.States[len(before.States)-1],
		Apps:    map[noon.Revision]noon.App{r1: shop(t), r2: shop(t)},
		Marks:   map[noon.Revision]planner.StoreMark{r1: {"db": "a"}, r2: {"db": "b"}},
		Walked:  []planner.Walked{},
	})
}

// versioned is the plan that replaces r1 by r2, which brings changes of a
// database that noon migrates.
func versioned(t *testing.T) noon.Plan {
	t.Helper()
	before, app := first(t), shop(t)
	app.Stores = []noon.Store{{Name: "db", Kind: "postgres", Coexistence: noon.Versioned, URL: "DATABASE_URL", Migrations: "migrations"}}
	return plan(t, planner.Input{
		Kind: noon.PlanDeploy, Site: production, To: r2,
		Current: before.States[len(before.States)-1],
		Apps:    map[noon.Revision]noon.App{r1: app, r2: app},
		Brings: map[string][]noon.Brought{"db": {
			{Name: "0004_notes"}, {Name: "0005_split_name", Contracts: true, Loses: []string{"column customers.name"}},
		}},
	})
}

// hazardous is the plan of a deployment whose migrations would hurt.
func hazardous(t *testing.T) noon.Plan {
	t.Helper()
	p := second(t)
	p.Hazards = []noon.Hazard{
		{
			Store: "db", Phase: noon.DataBoth, Gravity: noon.GravityError, Rule: "create-index", File: "migrations/0004.sql", Line: 3, Refuses: true,
			Statement: "CREATE INDEX orders_at ON orders (at)", Text: "nobody can write public.orders until the index is built",
			Locks:    []noon.HazardLock{{Table: "public.orders", Mode: "SHARE", Blocks: "blocks writes"}},
			Expected: "index build of about 5,000,000 rows: 1 s to 5 s (measured)", Advice: "Build it CONCURRENTLY, outside of a transaction.",
			Instead: "-- noon: expand\n-- noon: no-transaction\nCREATE INDEX CONCURRENTLY orders_at ON orders (at);\n",
		},
		{Store: "db", Phase: noon.DataAlone, Gravity: noon.GravityWarning, Rule: "set-not-null", File: "migrations/0005.sql", Line: 9, Statement: "ALTER TABLE \x1b[2J", Text: "it is read from beginning to end", Advice: "Prove it by a check."},
		{Store: "db", Phase: noon.DataBoth, Gravity: noon.GravityNote, Rule: "drop-table", File: "migrations/0004.sql", Line: 7, Text: "it is gone", Accepted: "nobody has used it since r3"},
		{Store: "db", Gravity: noon.GravityWarning, Text: "what its migrations would do could not be looked at", Advice: "Try again."},
	}
	return p
}

// back is the plan of a rollback to r1 while it is warm.
func back(t *testing.T) noon.Plan {
	t.Helper()
	before := second(t)
	return plan(t, planner.Input{
		Kind: noon.PlanRollback, Site: production, To: r1,
		Current: before.States[before.Index(noon.Switched)],
		Apps:    map[noon.Revision]noon.App{r1: shop(t), r2: shop(t)},
		Walked:  []planner.Walked{{A: 1, B: 2, Where: "d2 in production"}},
	})
}

func plan(t *testing.T, in planner.Input) noon.Plan {
	t.Helper()
	p, err := planner.Plan(in)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
