package tui_test

import (
	"testing"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/api"
)

var newest = noon.Release{
	App: "shop", Number: 2, Digest: "sha256:3b2f6c1d0e9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c4d3e2f1a0b9c8d7e6f5a4b3c",
	Commit: "8c41de0f5b7a9c2d3e4f5a6b7c8d9e0f1a2b3c4d", Title: "prices with tax\x1b[2J", Size: 8_123_456,
}

func TestPlan(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]noon.Plan{"first": first(t), "second": second(t), "back": back(t), "data": versioned(t), "hazards": hazardous(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := api.Preview{Plan: p}
			if p.Kind == noon.PlanDeploy && p.To == r2 {
				v.Release = newest
				v.Missing = []string{"SESSION_KEY"}
				v.Behind = []string{"d6"}
			}
			golden(t, "plan-"+name+".txt", page(0).Plan(v))
			golden(t, "summary-"+name+".txt", page(0).Summary(v))
		})
	}
}

func TestPlanIsDeterministic(t *testing.T) {
	t.Parallel()
	want := page(0).Plan(api.Preview{Plan: second(t)})
	for range 20 {
		if got := page(0).Plan(api.Preview{Plan: second(t)}); got != want {
			t.Fatalf("two drawings of one plan differ:\n%s\n%s", want, got)
		}
	}
}

func TestPlanInColour(t *testing.T) {
	t.Parallel()
	p := page(0)
	p.Color = true
	golden(t, "plan-colour.txt", p.Plan(api.Preview{Plan: second(t), Release: newest}))
}

// A plan that a newer noon made may hold what this one does not know.
func TestPlanOfTheFuture(t *testing.T) {
	t.Parallel()
	v := api.Preview{Plan: noon.Plan{
		Kind: noon.PlanDeploy, Site: production, To: r2,
		States: []noon.State{
			{Kind: "shadowed", Enter: []noon.Need{{Gate: &noon.Gate{Kind: "moon"}}, {}}, Leave: []noon.Need{{Check: &noon.Check{Kind: "latency"}}}},
			{Kind: noon.Staged, Enter: []noon.Need{{Gate: &noon.Gate{Kind: noon.GateWindow}}}, Leave: []noon.Need{{Check: &noon.Check{Kind: noon.CheckSmoke}}}},
		},
	}}
	golden(t, "plan-future.txt", page(0).Plan(v))
}
