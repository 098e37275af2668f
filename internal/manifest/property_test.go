package manifest_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/manifest"
)

// TestAnyAppAnyOrder: every app can be written, and read again whatever the
// order of the keys.
func TestAnyAppAnyOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := drawApp(t)
		order := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "order"), 0))
		source := encode(want, func(keys tree) tree {
			order.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
			return keys
		})
		got, err := manifest.Parse("noon.yaml", []byte(source))
		if err != nil {
			t.Fatalf("%v\n%s", err, source)
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Fatalf("%s\n%s", diff, source)
		}
	})
}

// TestAppSurvivesJSON: the app is stored and sent as JSON.
func TestAppSurvivesJSON(t *testing.T) {
	t.Parallel()
	want, err := manifest.Parse("noon.yaml", readFile(t, "example.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got noon.App
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

type drawer struct{ *rapid.T }

func (d drawer) name(label string) string {
	return rapid.StringMatching(`[a-z]([a-z0-9-]{0,8}[a-z0-9])?`).Draw(d.T, label)
}

// names draws some different names; a first letter keeps the kinds apart.
func (d drawer) names(prefix string, least int) []string {
	all := rapid.SliceOfNDistinct(rapid.StringMatching(prefix+`[a-z0-9]{1,6}`), least, 4, rapid.ID[string]).Draw(d.T, prefix)
	if len(all) == 0 {
		return nil
	}
	return all
}

func (d drawer) duration(least time.Duration) time.Duration {
	return time.Duration(rapid.Int64Range(int64(least), int64(48*time.Hour)).Draw(d.T, "duration"))
}

func (d drawer) text() string { return rapid.StringN(1, 12, -1).Draw(d.T, "text") }

func (d drawer) bool() bool { return rapid.Bool().Draw(d.T, "bool") }

func (d drawer) number(from, to int) int { return rapid.IntRange(from, to).Draw(d.T, "number") }

// argv has a program that is surely one, then anything without zero bytes.
func (d drawer) argv() []string {
	argument := rapid.String().Filter(func(s string) bool { return !slices.Contains([]byte(s), 0) })
	return append([]string{"./" + d.name("program")}, rapid.SliceOfN(argument, 0, 3).Draw(d.T, "arguments")...)
}

func (d drawer) values(prefix string) map[string]string {
	names := d.names(prefix, 0)
	if names == nil {
		return nil
	}
	all := map[string]string{}
	for _, n := range names {
		all[n] = rapid.StringMatching(`[ -~äß€😀]{0,12}`).Draw(d.T, "value")
	}
	return all
}

func (d drawer) command() noon.Command {
	return noon.Command{Command: d.argv(), Timeout: d.duration(time.Millisecond), Idempotent: d.bool()}
}

func drawApp(t *rapid.T) noon.App {
	d := drawer{t}
	a := noon.App{
		Name: d.name("app"), Bake: d.duration(0), Keep: d.number(1, 50),
		Build:     noon.Build{Timeout: d.duration(time.Millisecond), Files: d.names("f", 0)},
		Variables: d.names("V", 0), Secrets: d.names("S", 0),
	}
	if d.bool() {
		a.Build.Command = d.argv()
	}
	for i, name := range d.names("s", 1) {
		a.Services = append(a.Services, d.service(name, i))
	}
	for _, name := range d.names("j", 0) {
		a.Jobs = append(a.Jobs, noon.Job{
			Name: name, Command: d.argv(), Timeout: d.duration(time.Millisecond),
			Schedule: rapid.SampledFrom([]string{"0 3 * * *", "*/5 1-4 * JAN MON-FRI", "@daily", "@every 10s"}).Draw(t, "schedule"),
			Zone:     rapid.SampledFrom([]string{"UTC", "Europe/Berlin", "America/St_Johns"}).Draw(t, "zone"),
		})
	}
	for _, name := range d.names("d", 0) {
		s := noon.Store{Name: name, Kind: d.name("kind"), Coexistence: noon.Shared, Compatible: d.bool()}
		switch {
		case d.bool():
			c := d.command()
			s.Migrate, s.Changes = &c, d.names("m", 0)
		case d.bool() && len(a.Secrets) > 0:
			s.URL, s.Migrations = a.Secrets[0], d.name("dir")
			s.Kind, s.Coexistence = "postgres", rapid.SampledFrom([]noon.Coexistence{noon.Shared, noon.Versioned}).Draw(t, "coexistence")
			if d.bool() {
				s.Lint = noon.Lint{Refuse: rapid.SampledFrom([]noon.Gravity{noon.GravityError, noon.GravityWarning, noon.GravityNever}).Draw(t, "refuse"), Uses: d.names("table", 0)}
			}
			if s.Coexistence == noon.Versioned {
				s.Role = d.name("role")
			}
		}
		a.Stores = append(a.Stores, s)
	}
	for _, moment := range noon.HookMoments() {
		for _, name := range d.names("h", 0) {
			a.Hooks = append(a.Hooks, noon.Hook{Moment: moment, Name: name, Command: d.command()})
		}
	}
	for _, name := range d.names("r", 0) {
		a.Smoke = append(a.Smoke, d.smoke(name))
	}
	for _, name := range d.names("e", 1) {
		a.Environments = append(a.Environments, d.environment(name, a))
	}
	slices.SortFunc(a.Services, func(x, y noon.Service) int { return cmp.Compare(x.Name, y.Name) })
	slices.SortFunc(a.Jobs, func(x, y noon.Job) int { return cmp.Compare(x.Name, y.Name) })
	slices.SortFunc(a.Stores, func(x, y noon.Store) int { return cmp.Compare(x.Name, y.Name) })
	return a
}

// service draws one; the first answers requests, so that smoke has a target.
func (d drawer) service(name string, i int) noon.Service {
	s := noon.Service{
		Name: name, Command: d.argv(), Instances: d.number(1, 9), Env: d.values("E"), Drain: d.duration(0),
		Stop:  noon.Stop{Signal: rapid.SampledFrom([]string{"TERM", "INT", "USR2"}).Draw(d.T, "signal"), Grace: d.duration(0)},
		Ready: noon.Probe{Interval: d.duration(time.Millisecond)},
		Limits: noon.Limits{
			Memory: rapid.Int64Range(0, 1<<50).Draw(d.T, "memory"), CPUs: rapid.Float64Range(0, 4096).Draw(d.T, "cpus"),
			Processes: d.number(0, 1000), Files: d.number(0, 1000),
		},
	}
	s.Ready.Timeout = s.Ready.Interval + d.duration(0)
	switch d.number(0, 3) {
	case 0:
		s.Ready.HTTP = "/healthz?full=1"
	case 1:
		s.Ready.TCP = true
	case 2:
		s.Ready.Command = d.argv()
	}
	if i == 0 {
		s.Paths = []string{"/"}
	} else if d.bool() {
		s.Paths = []string{"/" + name, "/x/" + name}
		if d.bool() {
			s.Strip = []string{"/x/" + name}
			s.Protocol = noon.H2C
		}
	}
	if d.bool() {
		s.Dir, s.User = "server/"+name, "www-data"
	}
	return s
}

func (d drawer) smoke(name string) noon.Smoke {
	s := noon.Smoke{
		Name: name, Method: rapid.SampledFrom([]string{"GET", "POST", "DELETE"}).Draw(d.T, "method"), Path: "/" + name + "?a=b",
		Headers: d.values("H"), Body: rapid.String().Filter(func(s string) bool { return !slices.Contains([]byte(s), 0) }).Draw(d.T, "body"), Timeout: d.duration(time.Millisecond),
		Expect: noon.Expect{Status: d.number(100, 599), Headers: d.values("X"), Body: d.names("b", 0), NotBody: d.names("n", 0)},
	}
	if d.bool() {
		s.Expect.JSON = map[string]any{
			"items.0.price": float64(d.number(-1000, 1000)) / 4,
			d.text():        []any{d.text(), d.bool(), nil, map[string]any{d.text(): rapid.Float64Range(-1e15, 1e15).Draw(d.T, "float")}},
		}
	}
	return s
}

func (d drawer) environment(name string, a noon.App) noon.Environment {
	e := noon.Environment{Name: name, Hosts: []string{noon.LocalHost}, Variables: d.values("V"), Approval: d.bool(), Warm: d.duration(0)}
	if n := len(a.Environments); n > 0 && d.bool() {
		e.After = a.Environments[d.number(0, n-1)].Name
	}
	if d.bool() {
		e.Domains = []string{name + ".example.com", "*." + name + ".example.com"}
		e.Instances = map[string]int{a.Services[0].Name: d.number(1, 9)}
	}
	if d.bool() {
		e.TLS = d.tls(e.Domains)
	}
	if d.bool() {
		d.traffic(&e)
	}
	if d.bool() {
		from := d.number(0, 1438)
		e.Window = &noon.Window{From: from, To: d.number(from+1, 1440), Zone: "Europe/Berlin"}
		if d.bool() {
			e.Window.Days = []time.Weekday{time.Monday, time.Sunday, time.Thursday}
		}
	}
	return e
}

// tls draws settings for an environment whose second domain is a wildcard.
func (d drawer) tls(domains []string) *noon.TLS {
	t := &noon.TLS{Redirect: d.bool(), MinVersion: rapid.SampledFrom([]string{"1.2", "1.3"}).Draw(d.T, "version")}
	if len(domains) > 0 && d.bool() {
		t.Canonical = domains[0]
	}
	if d.bool() {
		t.ClientCA = "/etc/ssl/" + d.name("clients")
	}
	switch d.number(0, 2) {
	case 0:
		t.Internal = true
		return t
	case 1:
		t.Certificates = []noon.CertificateFiles{{Cert: "/etc/" + d.name("cert"), Key: "/etc/" + d.name("key")}}
	default:
		t.ACME = &noon.ACME{Directory: "https://ca.example.com/dir", TermsAccepted: true, OnDemand: &noon.OnDemand{Ask: "/allowed"}}
		if d.bool() {
			t.ACME.Email, t.ACME.OnDemand.Allow = "ops@example.com", []string{"*.example.com", "a.example.com"}
		}
	}
	if d.bool() {
		year := 365 * 24 * time.Hour
		t.HSTS = &noon.HSTS{MaxAge: year + time.Duration(d.number(0, 1_000_000))*time.Second, Subdomains: true, Preload: d.bool()}
	}
	return t
}

func (d drawer) traffic(e *noon.Environment) {
	t := &e.Traffic
	for _, name := range d.names("f", 0) {
		t.Redirects = append(t.Redirects, noon.Redirect{From: "/" + name + "/*", To: "https://example.com/" + name + "?q=*", Status: rapid.SampledFrom(noon.RedirectStatuses()).Draw(d.T, "status")})
	}
	t.Request.Remove = d.names("r", 0)
	for _, name := range d.names("s", 0) {
		if t.Request.Set == nil {
			t.Request.Set = map[string]string{}
		}
		t.Request.Set["X-"+name] = rapid.StringMatching(`([a-zäé"][ -~]{0,8}[a-z])?`).Draw(d.T, "value")
	}
	t.Response = noon.HeaderRules{Remove: d.names("r", 0)}
	for i, name := range d.names("p", 0) {
		if e.Pages == nil {
			e.Pages = map[string]string{}
		}
		e.Pages[[]string{"404", "503", "4xx", "5xx"}[i]] = "errors/" + name + ".html"
	}
	t.Trusted = rapid.SampledFrom([][]string{nil, {"10.0.0.0/8", "2001:db8::/32", "192.0.2.7"}}).Draw(d.T, "trusted")
	t.Limits = noon.TrafficLimits{
		Body: rapid.Int64Range(0, 1<<50).Draw(d.T, "body"), InFlight: d.number(1, 1000), Queue: d.number(0, 1000), QueueTime: d.duration(time.Millisecond), PerAddress: d.number(0, 1000),
		FirstByte: d.duration(time.Millisecond), Idle: d.duration(time.Millisecond), Total: d.duration(time.Millisecond), Goodbye: d.duration(time.Millisecond),
	}
	t.Replay = noon.Replay{Keyed: d.bool(), Memory: rapid.Int64Range(0, 1<<30).Draw(d.T, "memory"), Spool: rapid.Int64Range(0, 1<<40).Draw(d.T, "spool"), Budget: d.number(0, 100), After: d.duration(time.Millisecond)}
	t.Outliers = noon.Outliers{Off: d.bool(), Row: d.number(0, 100), Above: d.number(0, 100), Answers: d.number(0, 100), Time: d.duration(time.Second), Most: d.number(0, 100)}
	if d.bool() {
		t.Replay.Paths = []string{"/orders", "/"}
		t.Health = &noon.HealthCheck{Path: "/healthz?a", Interval: d.duration(100 * time.Millisecond), Timeout: d.duration(time.Millisecond), Failures: d.number(1, 100)}
	}
	for _, name := range d.names("s", 0) {
		s := noon.Segment{Name: name, Addresses: []string{"192.0.2.0/24"}}
		for _, in := range []string{"cookie", "header", "query"} {
			if d.bool() {
				s.Matches = append(s.Matches, noon.Match{In: in, Name: name, Values: d.names("v", 0)})
			}
		}
		e.Segments = append(e.Segments, s)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(string(readFile(f, "example.yaml")))
	for _, name := range []string{"typos", "together", "syntax", "hostile"} {
		f.Add(string(readFile(f, "testdata/errors/"+name+".yaml")))
	}
	for _, seed := range []string{
		"", "{}", "a: *b", "? a", "- - - a", "a: |\n b\n", "a: 'b\n\n c'\n", "<<: {a: b}", "---\na: b\n...\n---\n",
		"{a: b, c}", "[a: b]", "a: {b: [c, {d: e}]}\n", "\ufeffa: b", "a:\n\tb: c", "a: \"\\ud800\\x00\"", "!!binary a", "a: &a [*a]",
	} {
		f.Add(seed)
		f.Add(whole(seed + "\n"))
	}
	f.Fuzz(func(t *testing.T, source string) {
		app, err := manifest.Parse("noon.yaml", []byte(source))
		if err != nil {
			if noon.KindOf(err) != noon.Invalid || noon.HintOf(err) == "" || err.Error() == "" {
				t.Fatalf("kind %q, hint %q: %v", noon.KindOf(err), noon.HintOf(err), err)
			}
			return
		}
		again, err := manifest.Parse("noon.yaml", []byte(encode(app, asWritten)))
		if err != nil {
			t.Fatalf("%v\n%s", err, encode(app, asWritten))
		}
		if diff := gocmp.Diff(app, again); diff != "" {
			t.Fatal(fmt.Sprint(diff, "\n", encode(app, asWritten)))
		}
		data, err := json.Marshal(app)
		if err != nil {
			t.Fatal(err)
		}
		var stored noon.App
		if err := json.Unmarshal(data, &stored); err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff(app, stored); diff != "" {
			t.Fatal(diff)
		}
	})
}
