package noon_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/noon-deploy/noon"
)

func TestAppFindsItsParts(t *testing.T) {
	t.Parallel()
	app := noon.App{
		Services:     []noon.Service{{Name: "web", Paths: []string{"/"}}, {Name: "worker"}},
		Environments: []noon.Environment{{Name: "staging"}, {Name: "production", After: "staging"}},
		Hooks: []noon.Hook{
			{Moment: noon.BeforeDeploy, Name: "announce"},
			{Moment: noon.AfterDeploy, Name: "thank"},
			{Moment: noon.BeforeDeploy, Name: "warn"},
		},
	}
	if e, ok := app.Environment("production"); !ok || e.After != "staging" {
		t.Errorf("environment = %+v, %v", e, ok)
	}
	if e, ok := app.Environment("nowhere"); ok {
		t.Errorf("environment = %+v", e)
	}
	if s, ok := app.Service("web"); !ok || !s.Routed() {
		t.Errorf("service = %+v, %v", s, ok)
	}
	if s, ok := app.Service("worker"); !ok || s.Routed() {
		t.Errorf("service = %+v, %v", s, ok)
	}
	if s, ok := app.Service("nothing"); ok {
		t.Errorf("service = %+v", s)
	}
	var names []string
	for _, h := range app.HooksAt(noon.BeforeDeploy) {
		names = append(names, h.Name)
	}
	if d := cmp.Diff([]string{"announce", "warn"}, names); d != "" || app.HooksAt(noon.OnFailure) != nil {
		t.Errorf("hooks (-want +got):\n%s", d)
	}
}

func TestExitOK(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		exit *noon.Exit
		want bool
	}{
		{nil, false},
		{&noon.Exit{Known: true}, true},
		{&noon.Exit{}, false},
		{&noon.Exit{Known: true, Code: 1}, false},
		{&noon.Exit{Known: true, Signal: "SIGKILL"}, false},
	} {
		if got := c.exit.OK(); got != c.want {
			t.Errorf("OK of %+v = %v", c.exit, got)
		}
	}
}
