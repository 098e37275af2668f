package noon_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/noon-deploy/noon"
)

func TestRefusal(t *testing.T) {
	t.Parallel()
	p := noon.Plan{Kind: noon.PlanDeploy, Site: noon.Site{App: "shop", Environment: "production"}, To: noon.Revision{Release: 7}}
	p.Hazards = []noon.Hazard{{Store: "db", Gravity: noon.GravityError, Text: "what nobody refuses"}}
	if err := p.Refusal(); err != nil {
		t.Errorf("nothing refuses it: %v", err)
	}
	for i := range 7 {
		p.Hazards = append(p.Hazards, noon.Hazard{
			File: "db/0001_a.sql", Line: i + 1, Rule: "create-index", Text: "nobody can write it", Advice: "Build it CONCURRENTLY.", Refuses: true, Expected: "2 s to 6 s",
		})
	}
	err := p.Refusal()
	text := fmt.Sprint(err)
	if noon.KindOf(err) != noon.Invalid || strings.Count(text, "\n") != 5 || !strings.HasPrefix(text, "deploy r7 to production: db/0001_a.sql:1 (create-index): nobody can write it; 2 s to 6 s\n") ||
		!strings.HasSuffix(text, "\nand 2 more; `noon plan` shows all") {
		t.Errorf("the error is\n%s", text)
	}
	if hint := noon.HintOf(err); strings.Count(hint, "CONCURRENTLY") != 1 || !strings.HasPrefix(hint, "Nothing was changed. Build it") {
		t.Errorf("the hint is %s", hint)
	}
}

func TestHazardPlace(t *testing.T) {
	t.Parallel()
	for want, h := range map[string]noon.Hazard{
		"store db": {Store: "db"}, "a.sql": {Store: "db", File: "a.sql"}, "a.sql:3": {Store: "db", File: "a.sql", Line: 3},
	} {
		if got := h.Place(); got != want {
			t.Errorf("%+v is at %s, want %s", h, got, want)
		}
	}
}

func TestGravity(t *testing.T) {
	t.Parallel()
	order := []noon.Gravity{noon.GravityNote, noon.GravityWarning, noon.GravityError, noon.GravityNever}
	for i, a := range order {
		for j, b := range order {
			if got := a.AtLeast(b); got != (i >= j) {
				t.Errorf("%s at least %s: %v", a, b, got)
			}
		}
	}
}
