package daemon

import (
	"testing"

	"github.com/noon-deploy/noon"
)

func TestClash(t *testing.T) {
	t.Parallel()
	app := func(path string, domains ...string) noon.App {
		return noon.App{
			Services:     []noon.Service{{Name: "web", Paths: []string{path}}, {Name: "worker"}},
			Environments: []noon.Environment{{Name: "e", Domains: domains}},
		}
	}
	cases := map[string]struct {
		a, b noon.App
		want string
	}{
		"both without domains": {app("/"), app("/"), "any host name, path /"},
		"one with a domain":    {app("/"), app("/", "a.example.com"), ""},
		"other domains":        {app("/", "b.example.com"), app("/", "a.example.com"), ""},
		"one domain in common": {app("/", "b.example.com", "c.example.com"), app("/", "c.example.com"), "c.example.com, path /"},
		"other paths":          {app("/a"), app("/b"), ""},
	}
	for name, tc := range cases {
		if got := clash(tc.a, "e", tc.b, "e"); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}
