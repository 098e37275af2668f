package manifest_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/manifest"
)

// here marks in an input where a mistake has to be reported.
const here = "☞"

// whole adds the required keys that a fragment does not have.
func whole(fragment string) string {
	for _, part := range []struct{ key, text string }{
		{"app:", "app: shop\n"},
		{"services:", "services: {web: {command: ./web, paths: [/]}}\n"},
		{"environments:", "environments: {staging: {}}\n"},
	} {
		if !strings.Contains("\n"+strings.ReplaceAll(fragment, here, ""), "\n"+part.key) {
			fragment += part.text
		}
	}
	return fragment
}

// unmark takes the marks out and gives their places.
func unmark(text string) (string, []string) {
	var places []string
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		for {
			before, after, ok := strings.Cut(line, here)
			if !ok {
				break
			}
			places = append(places, fmt.Sprintf("%d:%d", i+1, len([]rune(before))+1))
			line = before + after
		}
		lines[i] = line
	}
	return strings.Join(lines, "\n"), places
}

// mistakesOf parses what is expected to be wrong.
func mistakesOf(t *testing.T, input string) []*manifest.Mistake {
	t.Helper()
	app, err := manifest.Parse("noon.yaml", []byte(input))
	if err == nil {
		t.Fatalf("no mistake found; got %+v", app)
	}
	if noon.KindOf(err) != noon.Invalid || noon.HintOf(err) == "" {
		t.Errorf("kind %q, hint %q", noon.KindOf(err), noon.HintOf(err))
	}
	all, ok := errors.AsType[*manifest.Error](err)
	if !ok {
		t.Fatalf("%T is no *manifest.Error", err)
	}
	for _, m := range all.Mistakes {
		if m.Hint == "" || m.Message == "" {
			t.Errorf("%d:%d: message %q, hint %q", m.Line, m.Column, m.Message, m.Hint)
		}
	}
	return all.Mistakes
}

func TestMistakes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, input string
		want        []string // part of each message, in the order of the file
	}{
		{"unknown key", "☞sevices: {}\n", []string{`unknown key "sevices"`}},
		{"unknown key inside", "services:\n  web:\n    command: ./web\n    ☞instance: 2\n", []string{`unknown key "instance" in services.web`}},
		{"duplicate key", "app: shop\n☞app: shop\n", []string{"given twice; first in line 1"}},
		{"duplicate service", "services:\n  web: {command: ./a}\n  ☞web: {command: ./b}\n", []string{"given twice"}},
		{"duplicate variable value", "environments: {a: {variables: {X: 1, ☞X: 2}}}\n", []string{`"X" is given twice`}},
		{"map for text", "app: ☞{name: shop}\n", []string{"app has to be a name, not a map"}},
		{"list for map", "services: ☞[web]\n", []string{"services has to be a map"}},
		{"text for map", "services:\n  web: ☞./web\n", []string{"services.web has to be a map (service), not text"}},
		{"text for list", "variables: ☞DATA_DIR\n", []string{"variables has to be a list of variables, not text"}},
		{"text for number", "keep: ☞many\n", []string{"keep has to be a whole number, not text"}},
		{"quoted number", "keep: ☞\"5\"\n", []string{"not text"}},
		{"fraction", "keep: ☞1.5\n", []string{"whole number"}},
		{"octal", "keep: ☞010\n", []string{"whole number"}},
		{"huge number", "keep: ☞99999999999999999999\n", []string{"whole number"}},
		{"number out of range", "keep: ☞0\n", []string{"out of range"}},
		{"negative number", "services: {web: {command: ./web, instances: ☞-1}}\n", []string{"out of range"}},
		{"yes for true", "environments: {a: {approval: ☞yes}}\n", []string{"true or false"}},
		{"number for name", "app: ☞12\n", []string{"not a number"}},
		{"null for command", "services: {web: {☞command: }}\n", []string{"services.web.command has no value"}},
		{"null in list", "variables:\n  - A\n  ☞-\n  - B\n", []string{"variables[1] has no value"}},
		{"bad app name", "app: ☞Shop\n", []string{"lower-case letters"}},
		{"bad service name", "services:\n  ☞Web!: {command: ./web}\n", []string{"lower-case letters"}},
		{"long name", "app: ☞" + strings.Repeat("a", 41) + "\n", []string{"longer than 40"}},
		{"bad environment name", "environments: {☞1st: {}}\n", []string{"beginning with a letter"}},
		{"duration without unit", "bake: ☞5\n", []string{`"5" has no unit`}},
		{"bad duration", "bake: ☞5 minutes\n", []string{"not a duration"}},
		{"negative duration", "bake: ☞-5s\n", []string{"not a duration"}},
		{"duration too short", "build: {timeout: ☞0s}\n", []string{"too short"}},
		{"duration too long", "bake: ☞9999h\n", []string{"too long"}},
		{"size without unit", "services: {web: {command: ./web, limits: {memory: ☞512}}}\n", []string{`"512" has no unit`}},
		{"bad size", "services: {web: {command: ./web, limits: {memory: ☞512M}}}\n", []string{"not a size"}},
		{"impossible size", "services: {web: {command: ./web, limits: {memory: ☞0MiB}}}\n", []string{"no possible size"}},
		{"no cores", "services: {web: {command: ./web, limits: {cpus: ☞0}}}\n", []string{"not a number of cores"}},
		{"no number of cores", "services: {web: {command: ./web, limits: {cpus: ☞.nan}}}\n", []string{"has to be a number"}},
		{"empty command", "services: {web: {command: ☞\"\"}}\n", []string{"the command is empty"}},
		{"blank command", "services: {web: {command: ☞\"  \"}}\n", []string{"the command is empty"}},
		{"empty list", "services: {web: {command: ☞[]}}\n", []string{"the command is empty"}},
		{"number in command", "services: {web: {command: [./web, ☞8080]}}\n", []string{"has to be an argument, not a number"}},
		{"double quote", "services:\n  web:\n    command: ☞./web \"x\n", []string{"a double quote is not closed"}},
		{"single quote", "services:\n  web:\n    command: ☞./web 'x\n", []string{"a single quote is not closed"}},
		{"backslash", "services:\n  web:\n    command: ☞./web \\\n", []string{"nothing to escape"}},
		{"pipe", "services: {web: {command: ☞./web | tee log}}\n", []string{`'|' is for a shell`}},
		{"and", "services: {web: {command: ☞./a && ./b}}\n", []string{`'&' is for a shell`}},
		{"expansion", "services: {web: {command: ☞./web -p $PORT}}\n", []string{"would be expanded"}},
		{"expansion in quotes", "services:\n  web:\n    command: ☞./web \"${PORT}\"\n", []string{"would be expanded"}},
		{"assignment", "services: {web: {command: ☞A=1 ./web}}\n", []string{"is an assignment"}},
		{"outside", "services: {web: {command: ☞../web}}\n", []string{"outside of the release"}},
		{"missing command", "services:\n  ☞web: {paths: [/]}\n", []string{`services.web has no "command"`}},
		{"dir outside", "services: {web: {command: ./web, dir: ☞../up}}\n", []string{"outside of the repository"}},
		{"files absolute", "build: {files: [☞/etc]}\n", []string{"outside of the repository"}},
		{"files pattern", "build: {files: [☞\"a[\"]}\n", []string{"not a pattern"}},
		{"path without slash", "services: {web: {command: ./web, paths: [☞api]}}\n", []string{`does not begin with "/"`}},
		{"path with star", "services: {web: {command: ./web, paths: [☞/api/*]}}\n", []string{"not a plain prefix"}},
		{"path conflict", "services:\n  web: {command: ./web, paths: [/, /a]}\n  api: {command: ./api, paths: [/api, ☞/a]}\n", []string{`path "/a" belongs to service "web" already, in line 2`}},
		{"path twice", "services: {web: {command: ./web, paths: [/, ☞/]}}\n", []string{`path "/" belongs`}},
		{"two probes", "services: {web: {command: ./web, ready: {http: /, ☞tcp: true}}}\n", []string{"two kinds of probes"}},
		{"probe path", "services: {web: {command: ./web, ready: {http: ☞healthz}}}\n", []string{`does not begin with "/"`}},
		{"probe times", "services: {web: {command: ./web, ready: {interval: ☞1m}}}\n", []string{"longer than the timeout"}},
		{"signal", "services: {web: {command: ./web, stop: {signal: ☞STOP}}}\n", []string{"not a known signal"}},
		{"signal with SIG", "services: {web: {command: ./web, stop: {signal: ☞SIGINT}}}\n", []string{"not a known signal"}},
		{"reserved variable", "services: {web: {command: ./web, env: {☞PORT: 80}}}\n", []string{"given to processes by noon"}},
		{"bad variable", "variables: [☞DATA-DIR]\n", []string{"not the name of a variable"}},
		{"variable twice", "variables: [A, ☞A]\n", []string{"listed twice"}},
		{"variable and secret", "variables: [A]\nsecrets: [☞A]\n", []string{"in variables too"}},
		{"secret with value", "secrets: [A]\nenvironments: {a: {variables: {☞A: x}}}\n", []string{"A is a secret"}},
		{"env and variable", "variables: [A]\nservices: {web: {command: ./web, env: {☞A: x}}}\n", []string{"asked for from the environment"}},
		{"null value", "environments: {a: {variables: {☞A: }}}\n", []string{"has no value"}},
		{"cron", "jobs: {j: {command: ./j, schedule: ☞every night}}\n", []string{"is not a schedule"}},
		{"cron range", "jobs: {j: {command: ./j, schedule: ☞\"61 * * * *\"}}\n", []string{"is not a schedule"}},
		{"cron never", "jobs: {j: {command: ./j, schedule: ☞\"0 0 30 2 *\"}}\n", []string{"never comes"}},
		{"cron zone", "jobs: {j: {command: ./j, schedule: ☞\"TZ=UTC\"}}\n", []string{"holds no time zone"}},
		{"cron every", "jobs: {j: {command: ./j, schedule: ☞\"@every 100ms\"}}\n", []string{"not possible"}},
		{"time zone", "jobs: {j: {command: ./j, schedule: \"@daily\", zone: ☞Europe/Atlantis}}\n", []string{"not a known time zone"}},
		{"job named as service", "services: {a: {command: ./a}}\njobs: {☞a: {command: ./j, schedule: \"@daily\"}}\n", []string{"a service is named"}},
		{"coexistence", "stores: {db: {kind: sqlite, coexistence: ☞sharde}}\n", []string{"not a known coexistence"}},
		{"coexistence later", "stores: {db: {kind: postgres, coexistence: ☞copied}}\n", []string{"later version"}},
		{"versioned without migrations", "stores: {db: {kind: postgres, ☞coexistence: versioned}}\n", []string{"no migrations"}},
		{"versioned sqlite", "secrets: [U]\nstores: {db: {kind: sqlite, coexistence: versioned, url: U, ☞migrations: m}}\n", []string{"can not apply migrations"}},
		{"role of a shared store", "stores: {db: {kind: sqlite, coexistence: shared, ☞role: shop}}\n", []string{"is not versioned"}},
		{"role without a name", "secrets: [U]\nstores: {db: {kind: postgres, coexistence: versioned, url: U, migrations: m, role: ☞\" \"}}\n", []string{"not the name of a role"}},
		{"migrations of redis", "secrets: [U]\nstores: {db: {kind: redis, coexistence: shared, url: U, ☞migrations: m}}\n", []string{"can not apply migrations"}},
		{"migrations without url", "stores: {db: {kind: postgres, coexistence: shared, ☞migrations: m}}\n", []string{"no url"}},
		{"lint without migrations", "stores: {db: {kind: sqlite, coexistence: shared, ☞lint: {refuse: never}}}\n", []string{"lint but no migrations"}},
		{"refuse what", "secrets: [U]\nstores: {db: {kind: sqlite, coexistence: shared, url: U, migrations: m, lint: {refuse: ☞note}}}\n", []string{"not a known gravity"}},
		{"uses of nothing", "secrets: [U]\nstores: {db: {kind: sqlite, coexistence: shared, url: U, migrations: m, lint: {uses: [☞orders., ☞a.b.c.d]}}}\n", []string{"names no column", "names no column"}},
		{"migrations and migrate", "secrets: [U]\nstores: {db: {kind: postgres, coexistence: shared, url: U, migrate: {command: ./m}, ☞migrations: m}}\n", []string{"migrate too"}},
		{"url of nobody", "stores: {db: {kind: postgres, coexistence: shared, url: ☞U, migrations: m}}\n", []string{"neither in variables nor in secrets"}},
		{"store without kind", "stores: {☞db: {coexistence: shared}}\n", []string{`no "kind"`}},
		{"changes without migrate", "stores: {db: {kind: sqlite, coexistence: shared, ☞changes: [migrations]}}\n", []string{"no migrate"}},
		{"hook moment", "hooks: {☞before-deply: []}\n", []string{`unknown key "before-deply" in hooks`}},
		{"hook twice", "hooks: {after-deploy: [{name: a, command: ./a}, {name: ☞a, command: ./b}]}\n", []string{"two hooks named"}},
		{"smoke path", "smoke: [{name: home, get: ☞home}]\n", []string{`does not begin with "/"`}},
		{"smoke without path", "smoke: [☞{name: home}]\n", []string{"does not say what to ask"}},
		{"smoke with two", "smoke: [{name: home, get: /, ☞post: /}]\n", []string{"two targets"}},
		{"smoke with method", "smoke: [{name: home, get: /, ☞method: POST}]\n", []string{"a method besides get"}},
		{"smoke method", "smoke: [{name: home, method: ☞GRAB, path: /}]\n", []string{"not a known method"}},
		{"smoke status", "smoke: [{name: home, get: /, expect: {status: ☞99}}]\n", []string{"out of range"}},
		{"smoke names", "smoke: [{name: a, get: /}, {name: ☞a, get: /}]\n", []string{"two requests named"}},
		{"smoke header", "smoke: [{name: a, get: /, headers: {☞\"a b\": c}}]\n", []string{"not the name of a header"}},
		{"smoke header value", "smoke: [{name: a, get: /, headers: {a: ☞\"b\\nc\"}}]\n", []string{"line break"}},
		{"smoke number", "smoke: [{name: a, get: /, expect: {json: {a: ☞9007199254740993}}}]\n", []string{"keeps exactly"}},
		{"smoke infinity", "smoke: [{name: a, get: /, expect: {json: {a: {b: [☞.inf]}}}}]\n", []string{"JSON can hold"}},
		{"smoke unanswered", "services: {w: {command: ./w}}\n☞smoke: [{name: a, get: /}]\n", []string{"no service answers"}},
		{"instances of unknown", "environments: {a: {instances: {☞wep: 2}}}\n", []string{`no service "wep"`}},
		{"after unknown", "environments: {production: {after: ☞stagin}, staging: {}}\n", []string{`no environment "stagin"`}},
		{"after itself", "environments: {a: {after: ☞a}}\n", []string{"a waits for itself"}},
		{"after ring", "environments:\n  a: {after: ☞c}\n  b: {after: a}\n  c: {after: b}\n  d: {after: a}\n", []string{"a waits for itself through c, b"}},
		{"host", "environments: {a: {hosts: [☞web-1]}}\n", []string{"later version"}},
		{"no host", "environments: {a: {hosts: ☞[]}}\n", []string{"is empty"}},
		{"domain", "environments: {a: {domains: [☞\"https://a.example\"]}}\n", []string{"not a domain"}},
		{"domain twice", "environments: {a: {domains: [a.example]}, b: {domains: [☞a.example]}}\n", []string{`belongs to environment "a"`}},
		{"tls from nowhere", "environments: {a: {☞tls: {}}}\n", []string{"does not say where certificates come from"}},
		{"tls of two sources", "environments: {a: {domains: [a.example], tls: {internal: true, ☞acme: {terms-accepted: true}}}}\n", []string{"from internal already"}},
		{"terms", "environments: {a: {domains: [a.example], tls: {acme: {terms-accepted: ☞false}}}}\n", []string{"terms of the authority"}},
		{"no terms", "environments: {a: {domains: [a.example], tls: {☞acme: {email: a@b.example}}}}\n", []string{`has no "terms-accepted"`}},
		{"acme without domains", "environments: {a: {tls: {☞acme: {terms-accepted: true}}}}\n", []string{"for which names"}},
		{"acme with a star", "environments: {a: {domains: [☞\"*.a.example\"], tls: {acme: {terms-accepted: true}}}}\n", []string{"no certificate for"}},
		{"acme of a wrong URL", "environments: {a: {domains: [a.example], tls: {acme: {terms-accepted: true, directory: ☞\"http://ca.example/dir\"}}}}\n", []string{"not an https URL"}},
		{"email", "environments: {a: {domains: [a.example], tls: {acme: {terms-accepted: true, email: ☞ops}}}}\n", []string{"not an email address"}},
		{"on demand for all", "environments: {a: {tls: {acme: {terms-accepted: true, on-demand: ☞{}}}}}\n", []string{"lets anybody"}},
		{"relative certificate", "environments: {a: {tls: {certificates: [{cert: ☞shop.pem, key: /etc/shop.key}]}}}\n", []string{"not the absolute path"}},
		{"certificate without key", "environments: {a: {tls: {certificates: ☞[{cert: /etc/shop.pem}]}}}\n", []string{`has no "key"`}},
		{"no certificates", "environments: {a: {tls: {certificates: ☞[]}}}\n", []string{"is empty"}},
		{"canonical", "environments: {a: {domains: [a.example], tls: {internal: true, canonical: ☞b.example}}}\n", []string{"not one of the domains"}},
		{"canonical star", "environments: {a: {domains: [\"*.a.example\"], tls: {internal: true, canonical: ☞\"*.a.example\"}}}\n", []string{"not one domain"}},
		{"version of TLS", "environments: {a: {tls: {internal: true, min-version: ☞\"1.1\"}}}\n", []string{"not a known version"}},
		{"hsts and internal", "environments: {a: {tls: {internal: true, ☞hsts: {}}}}\n", []string{"does not go with internal"}},
		{"hsts preload", "environments: {a: {tls: {certificates: [{cert: /a, key: /b}], hsts: {preload: ☞true}}}}\n", []string{"needs a max-age"}},
		{"hsts period", "environments: {a: {tls: {certificates: [{cert: /a, key: /b}], hsts: {max-age: ☞180}}}}\n", []string{"has to be a period"}},
		{"hsts for ever", "environments: {a: {tls: {certificates: [{cert: /a, key: /b}], hsts: {max-age: ☞4000d}}}}\n", []string{"too long"}},
		{"hsts half a second", "environments: {a: {tls: {certificates: [{cert: /a, key: /b}], hsts: {max-age: ☞500ms}}}}\n", []string{"not a period"}},
		{"window reversed", "environments: {a: {window: {from: \"16:00\", to: ☞\"09:00\"}}}\n", []string{"ends before it begins"}},
		{"window open end", "environments: {a: {window: {from: ☞\"24:00\"}}}\n", []string{"ends before it begins"}},
		{"clock", "environments: {a: {window: {from: ☞\"9\"}}}\n", []string{"not a time of day"}},
		{"day", "environments: {a: {window: {days: [mon, ☞monday]}}}\n", []string{"not a known day"}},
		{"day twice", "environments: {a: {window: {days: [mon, ☞mon]}}}\n", []string{"listed twice"}},
		{"no services", "services: ☞{}\n", []string{"services is empty"}},
		{"no environments", "environments: ☞{}\n", []string{"environments is empty"}},
		{"anchor and alias", "services:\n  web: ☞&web {command: ./web}\n  api: ☞*web\n", []string{"anchors", "anchors"}},
		{"merge key", "services:\n  web:\n    ☞<<: {}\n    command: ./web\n", []string{"merge keys"}},
		{"tag", "app: ☞!!str shop\n", []string{"tags"}},
		{"complex key", "☞? app\n: shop\n", []string{`keys written with "?"`}},
		{"tab", "services:\n☞\tweb: {command: ./web}\n", []string{"a tab in the indentation"}},
		{"control character", "app: shop☞\x1b[31m\n", []string{"control character U+001B"}},
		{"no utf-8", "app: ☞\xff\n", []string{"not UTF-8"}},
		{"columns count characters", "environments: {a: {variables: {A: ü, ☞B-C: é}}}\n", []string{"not the name of a variable"}},
		{"carriage returns", "app: shop\r\nbake: ☞5\r\n", []string{"has no unit"}},
		{"byte order mark", "\ufeffbake: 5x\n", nil},
		{"several at once", "bake: ☞5\nkeep: ☞0\n☞foo: 1\nvariables: [☞A-B]\n", []string{"unit", "range", "foo", "variable"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			input, places := unmark(whole(tt.input))
			got := mistakesOf(t, input)
			if tt.want == nil {
				return
			}
			for i, m := range got {
				at := fmt.Sprintf("%d:%d", m.Line, m.Column)
				if i >= len(places) || at != places[i] || !strings.Contains(m.Message, tt.want[i]) {
					t.Errorf("mistake %d: %s: %s (%s)\nwant at %v: %q\n%s", i, at, m.Message, m.Path, places, tt.want, m.Excerpt)
				}
			}
			if len(got) != len(tt.want) {
				t.Errorf("%d mistakes, want %d", len(got), len(tt.want))
			}
		})
	}
}

// TestNotAManifest holds inputs that are wrong as a whole.
func TestNotAManifest(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, input, want string }{
		{"empty", "", "the file is empty"},
		{"comments only", "# app: shop\n", "the file is empty"},
		{"list", "- app\n", "has to be a map"},
		{"text", "shop\n", "has to be a map"},
		{"null", "~\n", `has no "app"`},
		{"two documents", "app: shop\n---\napp: shop\n", "a second document begins here"},
		{"after the end", whole("bake: 1s\n") + "...\nkeep: 3\n", "a second document begins here"},
		{"two ends", "app: shop\n...\n# c\n---\n", "a second document begins here"},
		{"directive", "%YAML 1.2\n---\napp: shop\n", "directives"},
		{"open bracket", "app: shop\nservices: {web: \n", "this is not YAML"},
		{"open quote", "app: \"shop\n", "this is not YAML"},
		{"bad indentation", "app: shop\n  services: {}\n", "this is not YAML"},
		{"colon", "app: a: b\n", "this is not YAML"},
		{"too large", "# " + strings.Repeat("x", 1<<20), "larger than 1 MiB"},
		{"too deep", "app: " + strings.Repeat("[", 1000), "nested too deeply"},
		{"too deep a block", strings.Repeat("- ", 1000), "nested too deeply"},
		{"too many", strings.Repeat("a: b\n", 200_000), "too many"},
		{"billion laughs", "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n", "anchors"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := mistakesOf(t, tt.input); !strings.Contains(got[0].Message, tt.want) {
				t.Errorf("got %q, want %q", got[0].Message, tt.want)
			}
		})
	}
}

func TestHints(t *testing.T) {
	t.Parallel()
	tests := []struct{ input, want string }{
		{"sevices: {}\n", `Did you mean "services"?`},
		{"not_body: {}\n", "It is one of: app, build,"},
		{"services: {web: {command: ./web, Instances: 2}}\n", `Did you mean "instances"?`},
		{"smoke: [{name: a, get: /, expect: {not_body: []}}]\n", `Did you mean "not-body"?`},
		{"services: {web: {command: ./web, stop: {signal: sigterm}}}\n", `Did you mean "TERM"?`},
		{"stores: {db: {kind: a, coexistence: share}}\n", `Did you mean "shared"?`},
		{"environments: {a: {instances: {wbe: 2}}}\n", `Did you mean "web"?`},
		{"environments: {a: {window: {days: [tues]}}}\n", `Did you mean "tue"?`},
		{"services: {web: {command: a | b}}\n", "[sh, -c,"},
		{"bake: 5\n", `Write "5s"`},
	}
	for _, tt := range tests {
		if got := mistakesOf(t, whole(tt.input))[0]; !strings.Contains(got.Hint, tt.want) {
			t.Errorf("%s: %s\nhint %q, want %q", tt.input, got.Message, got.Hint, tt.want)
		}
	}
}

func TestErrorText(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"typos", "together", "syntax", "hostile"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := manifest.Parse("noon.yaml", readFile(t, "testdata/errors/"+name+".yaml"))
			if err == nil {
				t.Fatal("no mistake found")
			}
			golden(t, "testdata/errors/"+name+".txt", []byte(err.Error()+"\n"))
		})
	}
}

func TestErrorTextIsBounded(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&b, "key%d: 1\n", i)
	}
	_, err := manifest.Parse("noon.yaml", []byte(whole(b.String())))
	if err == nil || !strings.Contains(err.Error(), "and 2950 more") || strings.Count(err.Error(), "\n") > 300 {
		t.Errorf("got %.300v", err)
	}
}
