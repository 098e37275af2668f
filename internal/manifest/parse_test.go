package manifest_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/manifest"
)

func readFile(tb testing.TB, name string) []byte {
	tb.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func decodeYAML(t *testing.T, data []byte, into any) {
	t.Helper()
	if err := yaml.Unmarshal(data, into); err != nil {
		t.Fatal(err)
	}
}

func parse(t *testing.T, source string) noon.App {
	t.Helper()
	app, err := manifest.Parse("noon.yaml", []byte(source))
	if err != nil {
		t.Fatalf("%v\n%s", err, source)
	}
	return app
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	got := parse(t, `
app: shop
services:
  web: {command: ./shop web, paths: [/]}
jobs:
  nightly: {command: ./shop nightly, schedule: "0 3 * * *"}
stores:
  db: {kind: sqlite, coexistence: shared, migrate: {command: ./shop migrate}}
hooks:
  after-deploy: [{name: tell, command: ./tell}]
smoke:
  - {name: home, get: /}
environments:
  production:
    window: {}
`)
	want := noon.App{
		Name:  "shop",
		Build: noon.Build{Timeout: 10 * time.Minute},
		Services: []noon.Service{{
			Name: "web", Command: []string{"./shop", "web"}, Instances: 1, Paths: []string{"/"}, Drain: 30 * time.Second,
			Ready: noon.Probe{Interval: 100 * time.Millisecond, Timeout: 30 * time.Second},
			Stop:  noon.Stop{Signal: "TERM", Grace: 10 * time.Second},
		}},
		Jobs: []noon.Job{{Name: "nightly", Command: []string{"./shop", "nightly"}, Schedule: "0 3 * * *", Zone: "UTC", Timeout: time.Hour}},
		Stores: []noon.Store{{
			Name: "db", Kind: "sqlite", Coexistence: noon.Shared,
			Migrate: &noon.Command{Command: []string{"./shop", "migrate"}, Timeout: 10 * time.Minute},
		}},
		Hooks: []noon.Hook{{
			Moment: noon.AfterDeploy, Name: "tell", Command: noon.Command{Command: []string{"./tell"}, Timeout: 5 * time.Minute},
		}},
		Smoke: []noon.Smoke{{Name: "home", Method: "GET", Path: "/", Timeout: 5 * time.Second, Expect: noon.Expect{Status: 200}}},
		Keep:  5,
		Environments: []noon.Environment{{
			Name: "production", Hosts: []string{"local"}, Warm: 10 * time.Minute, Window: &noon.Window{To: 1440, Zone: "UTC"},
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestOrder(t *testing.T) {
	t.Parallel()
	app := parse(t, `
hooks:
  on-failure: [{name: f, command: a}]
  before-build: [{name: z, command: a}, {name: b, command: a}]
services: {web: {command: a}, api: {command: a}}
environments: {production: {after: staging}, staging: }
app: shop
`)
	var got []string
	for _, s := range app.Services {
		got = append(got, s.Name)
	}
	for _, h := range app.Hooks {
		got = append(got, h.Name)
	}
	for _, e := range app.Environments {
		got = append(got, e.Name)
	}
	if want := "api web z b f production staging"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

func TestCommands(t *testing.T) {
	t.Parallel()
	tests := []struct {
		line string
		want []string
	}{
		{`./web`, []string{"./web"}},
		{"  ./web \t -a\n-b ", []string{"./web", "-a", "-b"}},
		{`a 'b c' "d e" f\ g`, []string{"a", "b c", "d e", "f g"}},
		{`a '' ""`, []string{"a", "", ""}},
		{`a b'c'"d"e`, []string{"a", "bcde"}},
		{`a '\n$X|' "\n\"\\\$"`, []string{"a", `\n$X|`, `\n"\$`}},
		{`a --x=1 b=c # d`, []string{"a", "--x=1", "b=c", "#", "d"}},
		{`a $ 5$ "$"`, []string{"a", "$", "5$", "$"}},
		{`a *.go ~ {b,c}`, []string{"a", "*.go", "~", "{b,c}"}},
		{"a \\\n b \"c\\\nd\"", []string{"a", "b", "cd"}},
		{`grün "日本"`, []string{"grün", "日本"}},
	}
	for _, tt := range tests {
		app := parse(t, whole("services: {web: {command: "+text(tt.line)+"}}\n"))
		if got := app.Services[0].Command; !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.line, got, tt.want)
		}
	}
}

// TestVerbatim: values are what is written, whatever YAML makes of it.
func TestVerbatim(t *testing.T) {
	t.Parallel()
	app := parse(t, whole(`environments:
  a:
    variables: {A: 010, B: 1.10, C: yes, D: "true", E: true, F: 1_000, G: '', H: 0x1F, I: .5, J: 2026-01-02, K: 12:30}
`))
	want := map[string]string{
		"A": "010", "B": "1.10", "C": "yes", "D": "true", "E": "true", "F": "1_000", "G": "", "H": "0x1F", "I": ".5", "J": "2026-01-02", "K": "12:30",
	}
	if diff := cmp.Diff(want, app.Environments[0].Variables); diff != "" {
		t.Error(diff)
	}
}

func TestSizes(t *testing.T) {
	t.Parallel()
	for size, want := range map[string]int64{
		"1B": 1, "2KiB": 2048, "512MiB": 512 << 20, "1.5GiB": 3 << 29, "2KB": 2000, "3 MB": 3_000_000, "0.5GB": 500_000_000,
	} {
		app := parse(t, whole("services: {web: {command: a, limits: {memory: "+size+"}}}\n"))
		if got := app.Services[0].Limits.Memory; got != want {
			t.Errorf("%s: got %d, want %d", size, got, want)
		}
	}
}

func TestMissing(t *testing.T) {
	t.Parallel()
	app := parse(t, whole(`variables: [DATA_DIR, REGION]
secrets: [TOKEN, KEY]
environments: {production: {variables: {REGION: eu}}, staging: {}}
`))
	tests := []struct {
		env  string
		have []string
		want []string
	}{
		{"production", nil, []string{"DATA_DIR", "KEY", "TOKEN"}},
		{"production", []string{"DATA_DIR", "KEY", "TOKEN"}, nil},
		{"staging", []string{"KEY"}, []string{"DATA_DIR", "REGION", "TOKEN"}},
		{"unknown", []string{"KEY"}, []string{"DATA_DIR", "REGION", "TOKEN"}},
	}
	for _, tt := range tests {
		have := map[string]bool{}
		for _, name := range tt.have {
			have[name] = true
		}
		if got := manifest.Missing(app, tt.env, have); !slices.Equal(got, tt.want) {
			t.Errorf("%s with %v: got %v, want %v", tt.env, tt.have, got, tt.want)
		}
	}
}

// TestSecretIsNotShown: a secret that stands in the file by mistake is not
// repeated in logs.
func TestSecretIsNotShown(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"hunter2", "|\n        hunter2\n        hunter2\n", `"hunter2"`} {
		_, err := manifest.Parse("noon.yaml", []byte(whole("secrets: [A]\nenvironments:\n  x:\n    variables:\n      A: "+value+"\n")))
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: got %v", value, err)
		}
	}
}

func TestOneDocument(t *testing.T) {
	t.Parallel()
	for _, source := range []string{"---\n" + whole(""), whole("") + "...\n", "# c\n---\n" + whole("") + "...\n# c\n", "\ufeff" + whole("")} {
		parse(t, source)
	}
}
