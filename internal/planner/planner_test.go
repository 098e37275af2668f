package planner_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/planner"
)

var update = flag.Bool("update", false, "write the golden files anew")

var (
	site = noon.Site{App: "shop", Environment: "production"}
	r1   = noon.Revision{Release: 1}
	r2   = noon.Revision{Release: 2, Config: 1}
	r3   = noon.Revision{Release: 3, Config: 1}
)

func app(change ...func(*noon.App)) noon.App {
	a := noon.App{
		Name: "shop", Keep: 3, Bake: 5 * time.Second,
		Services: []noon.Service{
			{Name: "web", Instances: 3, Paths: []string{"/"}, Drain: 10 * time.Second, Ready: noon.Probe{HTTP: "/healthz", Timeout: 20 * time.Second}},
			{Name: "worker", Instances: 1, Ready: noon.Probe{Timeout: 30 * time.Second}},
		},
		Jobs: []noon.Job{{Name: "nightly", Schedule: "0 3 * * *", Timeout: time.Hour}},
		Stores: []noon.Store{{
			Name: "db", Coexistence: noon.Shared, Compatible: true, Changes: []string{"migrations"},
			Migrate: &noon.Command{Command: []string{"./shop", "migrate"}, Timeout: time.Minute},
		}},
		Hooks: []noon.Hook{
			{Moment: noon.BeforeDeploy, Name: "announce", Command: noon.Command{Command: []string{"./announce"}}},
			{Moment: noon.AfterDeploy, Name: "tell", Command: noon.Command{Command: []string{"./tell"}}},
			{Moment: noon.BeforeRollback, Name: "warn", Command: noon.Command{Command: []string{"./warn"}}},
			{Moment: noon.OnFailure, Name: "page", Command: noon.Command{Command: []string{"./page"}}},
		},
		Smoke:        []noon.Smoke{{Name: "home", Method: "GET", Path: "/", Expect: noon.Expect{Status: 200}}},
		Environments: []noon.Environment{{Name: "production", Hosts: []string{"b", "a"}, Warm: 10 * time.Minute}},
	}
	for _, c := range change {
		c(&a)
	}
	return a
}

// state of an environment in which r1 is live and nothing else is up.
func live(t *testing.T, a noon.App, r noon.Revision) noon.State {
	t.Helper()
	p, err := planner.Plan(planner.Input{Kind: noon.PlanDeploy, Site: site, To: r, Apps: map[noon.Revision]noon.App{r: a}})
	if err != nil {
		t.Fatal(err)
	}
	return p.States[len(p.States)-1]
}

func input(t *testing.T, kind noon.PlanKind, change ...func(*noon.App)) planner.Input {
	t.Helper()
	a := app(change...)
	return planner.Input{
		Kind: kind, Site: site, Current: live(t, a, r1), To: r2,
		Apps:  map[noon.Revision]noon.App{r1: a, r2: a},
		Marks: map[noon.Revision]planner.StoreMark{r1: {"db": "sha256:a"}, r2: {"db": "sha256:b"}},
	}
}

func TestPlansAreGolden(t *testing.T) {
	t.Parallel()
	cases := map[string]func(t *testing.T) planner.Input{
		"first": func(t *testing.T) planner.Input {
			t.Helper()
			in := input(t, noon.PlanDeploy)
			in.Current = noon.State{}
			return in
		},
		"deploy": func(t *testing.T) planner.Input {
			t.Helper()
			return input(t, noon.PlanDeploy)
		},
		"no-migration": func(t *testing.T) planner.Input {
			t.Helper()
			in := input(t, noon.PlanDeploy)
			in.Marks[r2] = in.Marks[r1]
			return in
		},
		"quiet": func(t *testing.T) planner.Input {
			t.Helper()
			return input(t, noon.PlanDeploy, func(a *noon.App) {
				a.Stores[0].Quiet = true
				a.Environments[0].Window = &noon.Window{From: 540, To: 960, Zone: "UTC"}
			})
		},
		"unproven": func(t *testing.T) planner.Input {
			t.Helper()
			return input(t, noon.PlanDeploy, func(a *noon.App) { a.Stores[0].Compatible, a.Smoke = false, nil })
		},
		"gates": func(t *testing.T) planner.Input {
			t.Helper()
			return input(t, noon.PlanDeploy, func(a *noon.App) {
				a.Environments[0].Approval = true
				a.Environments[0].Window = &noon.Window{Days: []time.Weekday{time.Monday}, From: 540, To: 960, Zone: "UTC"}
			})
		},
		"rollback-warm": warmRollback,
		"rollback-cold": func(t *testing.T) planner.Input {
			t.Helper()
			return input(t, noon.PlanRollback)
		},
		"data-first": func(t *testing.T) planner.Input {
			t.Helper()
			in := input(t, noon.PlanDeploy, migrated(noon.Versioned))
			in.Current = noon.State{}
			in.Brings = brings()
			return in
		},
		"data-versioned": func(t *testing.T) planner.Input {
			t.Helper()
			in := input(t, noon.PlanDeploy, migrated(noon.Versioned))
			in.Brings = brings()
			return in
		},
		"data-sql": func(t *testing.T) planner.Input {
			t.Helper()
			in := input(t, noon.PlanDeploy, migrated(noon.Shared))
			in.Brings = brings()
			return in
		},
		"data-rehearsed": func(t *testing.T) planner.Input {
			t.Helper()
			in := input(t, noon.PlanDeploy, migrated(noon.Versioned), func(a *noon.App) { a.Stores[0].Rehearsal.Required = true })
			in.Brings = brings()
			in.Rehearsed = map[string]planner.Rehearsed{"db": {Because: "rehearsed 14m ago on 1,000,000 rows"}}
			return in
		},
		"data-rehearsed-long-ago": func(t *testing.T) planner.Input {
			t.Helper()
			in := input(t, noon.PlanDeploy, migrated(noon.Shared), func(a *noon.App) { a.Stores[0].Compatible = false })
			in.Brings = brings()
			in.Rehearsed = map[string]planner.Rehearsed{"db": {Old: true, Because: "rehearsed 9d ago on 1,000,000 rows"}}
			return in
		},
		"data-hazards": func(t *testing.T) planner.Input {
			t.Helper()
			in := input(t, noon.PlanDeploy, migrated(noon.Shared))
			in.Brings, in.Hazards = brings(), hazards()
			return in
		},
		"data-rollback-warm": func(t *testing.T) planner.Input {
			t.Helper()
			in := input(t, noon.PlanDeploy, migrated(noon.Versioned))
			p, err := planner.Plan(in)
			if err != nil {
				t.Fatal(err)
			}
			in.Kind, in.Current, in.To = noon.PlanRollback, p.States[p.Index(noon.Switched)], r1
			return in
		},
		"third-while-first-is-warm": func(t *testing.T) planner.Input {
			t.Helper()
			in := input(t, noon.PlanDeploy)
			p, err := planner.Plan(in)
			if err != nil {
				t.Fatal(err)
			}
			in.Current, in.To = p.States[p.Index(noon.Switched)], r3
			in.Apps[r3], in.Marks[r3] = in.Apps[r2], in.Marks[r2]
			in.Walked = []planner.Walked{{A: 2, B: 3, Where: "d3 in staging"}}
			return in
		},
	}
	for name, in := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := planner.Plan(in(t))
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.MarshalIndent(p, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, filepath.Join("testdata", name+".json"), append(got, '\n'))
		})
	}
}

// migrated makes the store one that noon migrates.
func migrated(c noon.Coexistence) func(*noon.App) {
	return func(a *noon.App) {
		a.Stores = []noon.Store{{Name: "db", Kind: "postgres", Coexistence: c, Compatible: c == noon.Shared, URL: "DATABASE_URL", Migrations: "migrations"}}
	}
}

func hazards() []noon.Hazard {
	return []noon.Hazard{
		{Store: "db", Phase: noon.DataBoth, Gravity: noon.GravityError, Rule: "create-index", File: "migrations/0004.sql", Line: 3, Text: "nobody can write public.users until the index is built", Advice: "Build it CONCURRENTLY."},
		{Store: "db", Phase: noon.DataAlone, Gravity: noon.GravityWarning, Rule: "set-not-null", File: "migrations/0005.sql", Line: 9, Text: "public.users is read from beginning to end"},
		{Store: "db", Phase: noon.DataBoth, Gravity: noon.GravityNote, Rule: "drop-table", File: "migrations/0004.sql", Line: 7, Text: "it is gone", Accepted: "nobody has used it since r3"},
	}
}

// What refuses a deployment is each store's word; going back is never refused.
func TestHazardsRefuse(t *testing.T) {
	t.Parallel()
	for refuse, want := range map[noon.Gravity]string{"": "create-index", noon.GravityError: "create-index", noon.GravityWarning: "create-index set-not-null", noon.GravityNever: ""} {
		for _, kind := range []noon.PlanKind{noon.PlanDeploy, noon.PlanRollback} {
			in := input(t, kind, migrated(noon.Shared), func(a *noon.App) { a.Stores[0].Lint.Refuse = refuse })
			in.Hazards = hazards()
			p, err := planner.Plan(in)
			if err != nil {
				t.Fatal(err)
			}
			var refusing []string
			for _, h := range p.Hazards {
				if h.Refuses {
					refusing = append(refusing, h.Rule)
				}
			}
			expected := want
			if kind == noon.PlanRollback {
				expected = ""
			}
			if got := strings.Join(refusing, " "); got != expected || (p.Refusal() != nil) != (expected != "") {
				t.Errorf("refuse %q, %s: refused for %q (%v), want %q", refuse, kind, got, p.Refusal(), expected)
			}
			if in.Hazards[0].Refuses {
				t.Error("the input was changed")
			}
		}
	}
}

func brings() map[string][]noon.Brought {
	return map[string][]noon.Brought{"db": {
		{Name: "0004_add_notes"},
		{Name: "0005_split_name", Contracts: true, Loses: []string{"column users.name"}},
	}}
}

func warmRollback(t *testing.T) planner.Input {
	t.Helper()
	in := input(t, noon.PlanDeploy)
	p, err := planner.Plan(in)
	if err != nil {
		t.Fatal(err)
	}
	in.Kind, in.Current, in.To = noon.PlanRollback, p.States[p.Index(noon.Switched)], r1
	return in
}

func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (write it with -update)", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	in := input(t, noon.PlanDeploy)
	in.To = r1
	if _, err := planner.Plan(in); noon.KindOf(err) != noon.Conflict || noon.HintOf(err) == "" {
		t.Errorf("deploying what is live: %v", err)
	}
	in = input(t, noon.PlanRollback, migrated(noon.Versioned))
	in.Past = brings()
	if _, err := planner.Plan(in); noon.KindOf(err) != noon.Conflict || !strings.Contains(err.Error(), "0005_split_name") || noon.HintOf(err) == "" {
		t.Errorf("going back behind a point of no return: %v", err)
	}
	in = input(t, noon.PlanDeploy)
	in.Site.Environment = "nowhere"
	if _, err := planner.Plan(in); noon.KindOf(err) != noon.Invalid || noon.HintOf(err) == "" {
		t.Errorf("deploying to an environment that is not declared: %v", err)
	}
}

// TestEveryPlan draws apps and environments and checks what must hold in every
// plan: users are never without a release, nobody is sent to a release before
// its state said that it is up and checked, and the same input gives the same
// plan.
func TestEveryPlan(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in := draw(t)
		p, err := planner.Plan(in)
		if err != nil {
			t.Fatal(err)
		}
		again, _ := planner.Plan(in)
		if !reflect.DeepEqual(p, again) {
			t.Fatal("the same input gives another plan")
		}
		if p.States[0].Kind != noon.Settled || !reflect.DeepEqual(p.States[0].Presences, in.Current.Presences) {
			t.Fatal("the plan does not begin with what there is")
		}
		if last := p.States[len(p.States)-1]; last.Live() != in.To {
			t.Fatalf("the plan ends with %s", last.Live())
		}
		for i, st := range p.States {
			checkState(t, in, p, i, st)
		}
	})
}

func checkState(t *rapid.T, in planner.Input, p noon.Plan, i int, st noon.State) {
	total := 0
	for _, presence := range st.Presences {
		total += presence.Share
		if presence.Share > 0 && !presence.Up() {
			t.Fatalf("%s: %s has users and no instances", st.Kind, presence.Revision)
		}
	}
	if total != noon.PointsWhole && (total != 0 || in.Current.Live() != noon.Revision{}) {
		t.Fatalf("%s: shares add up to %d", st.Kind, total)
	}
	if i == 0 {
		return
	}
	before := p.States[i-1]
	if st.Live() != before.Live() {
		up, _ := before.Presence(st.Live())
		if !up.Up() {
			t.Fatalf("%s: users go to %s, which was not up before", st.Kind, st.Live())
		}
	}
	if len(st.Irreversible) > 0 && st.Kind != noon.Expanded && st.Kind != noon.Contracted {
		t.Fatalf("%s can not be undone", st.Kind)
	}
}

func draw(t *rapid.T) planner.Input {
	a := app()
	a.Services[0].Instances = rapid.IntRange(1, 5).Draw(t, "instances")
	a.Environments[0].Hosts = []string{"a", "b", "c"}[:rapid.IntRange(1, 3).Draw(t, "hosts")]
	a.Environments[0].Approval = rapid.Bool().Draw(t, "approval")
	a.Stores[0].Quiet = rapid.Bool().Draw(t, "quiet")
	if rapid.Bool().Draw(t, "no jobs") {
		a.Jobs = nil
	}
	in := planner.Input{Kind: noon.PlanDeploy, Site: site, To: r2, Apps: map[noon.Revision]noon.App{r1: a, r2: a, r3: a}}
	first, err := planner.Plan(planner.Input{Kind: noon.PlanDeploy, Site: site, To: r1, Apps: in.Apps})
	if err != nil {
		t.Fatal(err)
	}
	steps := rapid.IntRange(0, 2).Draw(t, "deployments before")
	if steps > 0 {
		in.Current = first.States[len(first.States)-1]
	}
	if steps > 1 {
		second, err := planner.Plan(planner.Input{Kind: noon.PlanDeploy, Site: site, To: r2, Current: in.Current, Apps: in.Apps})
		if err != nil {
			t.Fatal(err)
		}
		in.Current = second.States[len(second.States)-1-rapid.IntRange(0, 1).Draw(t, "warm")]
		in.To = rapid.SampledFrom([]noon.Revision{r1, r3}).Draw(t, "to")
		in.Kind = rapid.SampledFrom([]noon.PlanKind{noon.PlanDeploy, noon.PlanRollback}).Draw(t, "kind")
	}
	return in
}

func ExamplePlan() {
	a := app()
	p, err := planner.Plan(planner.Input{Kind: noon.PlanDeploy, Site: site, To: r1, Apps: map[noon.Revision]noon.App{r1: a}})
	if err != nil {
		panic(err)
	}
	for i := range p.States {
		fmt.Println(p.Label(i))
	}
	// Output:
	// S0 settled
	// S1 prepared
	// S3 expanded
	// S4 staged
	// S6 switched
}

// TestFailedRehearsal: what has failed on a copy is not done to production. The
// way back is open all the same.
func TestFailedRehearsal(t *testing.T) {
	t.Parallel()
	in := input(t, noon.PlanDeploy, migrated(noon.Versioned))
	in.Brings = brings()
	in.Rehearsed = map[string]planner.Rehearsed{"db": {Failed: true, Because: "its rehearsal 2m ago on 9 rows failed: the row with id = 77 has no new form"}}
	_, err := planner.Plan(in)
	if noon.KindOf(err) != noon.Conflict || !strings.Contains(err.Error(), "db as r2 has it is broken") || !strings.Contains(err.Error(), "id = 77") || !strings.Contains(noon.HintOf(err), "noon rehearse r2") {
		t.Errorf("%v (%s)", err, noon.HintOf(err))
	}
	in.Kind = noon.PlanRollback
	if _, err := planner.Plan(in); err != nil {
		t.Errorf("the way back: %v", err)
	}
}
