package proxy_test

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/proxy"
	"github.com/noon-deploy/noon/internal/proxy/meter"
)

// seen runs a proxy whose counts the test may add to.
func seen(t *testing.T) (*running, *meter.Registry) {
	t.Helper()
	dir := shortDir(t)
	control := filepath.Join(dir, "p.sock")
	p, err := proxy.Open(proxy.Config{Dir: dir, Listen: []string{"127.0.0.1:0"}, Control: control, Version: "test", Limits: proxy.Limits{Stop: 100 * time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return &running{Client: proxy.NewClient(control), url: "http://" + p.Addrs()[0].String(), dir: dir, control: control}, p.Meter()
}

// admin is a route that no request of these tests is for.
func admin(release int) meter.Key {
	return meter.Key{Site: shop, Service: "web", Route: "/admin", Revision: rev(release)}
}

func routeOf(tr noon.TrafficSeen, route string, release int) noon.RouteTraffic {
	for _, r := range tr.Routes {
		if r.Route == route && r.Revision == rev(release) {
			return r
		}
	}
	return noon.RouteTraffic{}
}

func TestTrafficOfTheSpan(t *testing.T) {
	t.Parallel()
	r, counts := seen(t)
	before := counts.Series(admin(1))
	for i := range 1000 { // long ago: counted, but no traffic
		before.Done(200, time.Hour, 1, 1)
		before.Session(uint64(i % 100))
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				before.Done(200, 10*time.Millisecond, 100, 1000)
				counts.Series(admin(2)).Done(503, time.Second, 0, 0)
				counts.Series(admin(2)).Failed(meter.Timeout)
			}
		}
	}()
	tr, err := r.Traffic(t.Context(), 300*time.Millisecond)
	close(stop)
	<-stopped
	if err != nil {
		t.Fatal(err)
	}
	old, fresh := routeOf(tr, "/admin", 1), routeOf(tr, "/admin", 2)
	if tr.Over < 300*time.Millisecond || old.Rate <= 0 || old.Requests < 1000 || old.ServerErrors != 0 || old.In <= 0 || old.Out < old.In {
		t.Errorf("over %v: %+v", tr.Over, old)
	}
	if old.P99 > 11*time.Millisecond || old.P50 < 9*time.Millisecond {
		t.Errorf("what was before the span is in its latency: %v, %v", old.P50, old.P99)
	}
	if old.Sessions < 97 || old.Sessions > 103 {
		t.Errorf("%d sessions of 100", old.Sessions)
	}
	if fresh.Rate <= 0 || fresh.ServerErrors != fresh.Rate || fresh.Failed <= 0 {
		t.Errorf("the other release: %+v", fresh)
	}
}

func TestTrafficInFlight(t *testing.T) {
	t.Parallel()
	r, _ := seen(t)
	arrived, release := make(chan struct{}), make(chan struct{})
	addr := backend(t, func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-release
		w.WriteHeader(http.StatusNoContent)
	})
	mustRoute(t, r, routing(1, 1, addr))
	answered := make(chan error, 1)
	req := request(t, http.MethodGet, r.url+"/slow", nil)
	c := client(t)
	go func() {
		_, err := do(c, req)
		answered <- err
	}()
	<-arrived
	tr, err := r.Traffic(t.Context(), 100*time.Millisecond)
	close(release)
	if rerr := <-answered; err != nil || rerr != nil {
		t.Fatal(err, rerr)
	}
	if len(tr.Services) != 1 {
		t.Fatalf("services are %+v", tr.Services)
	}
	want := noon.ServiceTraffic{Site: shop, Service: "web", Revision: rev(1), Points: noon.PointsWhole, Instances: 1, Requests: 1}
	if tr.Services[0] != want || tr.Connections < 1 {
		t.Errorf("in flight is %+v over %d connections", tr.Services[0], tr.Connections)
	}
}

func TestSpanIsChecked(t *testing.T) {
	t.Parallel()
	r, _ := seen(t)
	for _, span := range []time.Duration{-time.Second, time.Millisecond, time.Minute} {
		_, err := r.Traffic(t.Context(), span)
		wantKind(t, err, noon.Invalid)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := r.Traffic(ctx, 10*time.Second)
	wantKind(t, err, noon.Unavailable)
}

func TestShowTellsWhatIsRoutedAndWhy(t *testing.T) {
	t.Parallel()
	r, _ := seen(t)
	if list, err := r.Show(t.Context()); err != nil || len(list) != 0 {
		t.Fatalf("of nothing: %v, %v", list, err)
	}
	first := routing(3, 1, backend(t, says("one")))
	first.Domains = []string{"shop.example.com"}
	first.Paths = append(first.Paths, noon.Path{Prefix: "/api", Service: "api"})
	first.Shares = []noon.Share{{Revision: rev(1), Points: 9500}, {Revision: rev(2), Points: 500}}
	first.Previews = []noon.Preview{{Token: "s3cr3t-t0ken", Revision: rev(2)}}
	first.Segments = []noon.Segment{{Name: "staff", Revision: rev(1), Visitors: []string{"s3cr3t-visitor"}, Addresses: []string{"192.0.2.0/24"}, Matches: []noon.Match{{In: "header", Name: "X-Beta", Values: []string{"s3cr3t"}}}}}
	first.Endpoints[0].Drain = 15 * time.Second
	begin := time.Now().Add(-time.Second)
	mustRoute(t, r, first)
	list, err := r.Show(t.Context())
	if err != nil || len(list) != 1 {
		t.Fatalf("%v, %v", list, err)
	}
	v := list[0]
	if v.Site != shop || v.Fence != first.Fence || v.Sequence != 3 || v.Removed || v.Since.Before(begin) || v.Since.After(time.Now().Add(time.Second)) {
		t.Errorf("%+v", v)
	}
	if len(v.Domains) != 1 || len(v.Paths) != 2 || len(v.Shares) != 2 || len(v.Previews) != 1 || v.Previews[0] != rev(2) {
		t.Errorf("%+v", v)
	}
	if len(v.Endpoints) != 1 || v.Endpoints[0].Address != first.Endpoints[0].Address || v.Endpoints[0].Drain != 15*time.Second || !v.Endpoints[0].Routed {
		t.Errorf("endpoints are %+v", v.Endpoints)
	}
	text, err := json.Marshal(list)
	if err != nil || strings.Contains(string(text), "s3cr3t") {
		t.Errorf("the token is told: %s, %v", text, err)
	}
	if len(v.Segments) != 1 || v.Segments[0].Name != "staff" || v.Segments[0].Visitors != 1 || v.Segments[0].Matches[0] != "header X-Beta" {
		t.Errorf("segments are %+v", v.Segments)
	}
	want := []string{
		"r1.c0 has segment staff and no instance of api: its requests wait, then are answered 503",
		"r1.c0 has 95 % of new requests and no instance of api: its requests wait, then are answered 503",
		"r2.c0 has 5 % of new requests and no instance of web: its requests wait, then are answered 503",
		"r2.c0 has 5 % of new requests and no instance of api: its requests wait, then are answered 503",
	}
	if strings.Join(v.Problems, "\n") != strings.Join(want, "\n") {
		t.Errorf("problems are %q", v.Problems)
	}
	second := routing(4, 1)
	second.Shares = nil
	mustRoute(t, r, second)
	if list, err = r.Show(t.Context()); err != nil || len(list[0].Problems) != 1 || !strings.Contains(list[0].Problems[0], "no release is live") {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestShowTellsOfWhatCanNotBeRead(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	if err := os.MkdirAll(filepath.Join(dir, "sites"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "sites", shop.Key()+".json"), []byte("noon-routing 1 half"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := startIn(t, dir, proxy.Limits{})
	list, err := r.Show(t.Context())
	if err != nil || len(list) != 1 || len(list[0].Problems) != 1 {
		t.Fatalf("%+v, %v", list, err)
	}
	text, err := r.Metrics(t.Context())
	if err != nil || !strings.Contains(string(text), `noon_site_problem{app="shop",environment="production"} 1`) {
		t.Errorf("%v: %s", err, text)
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	r, counts := seen(t)
	next := routing(1, 1, backend(t, says("one")))
	next.Shares = []noon.Share{{Revision: rev(1), Points: 9999}, {Revision: rev(2), Points: 1}}
	mustRoute(t, r, next)
	counts.Series(admin(1)).Done(204, 3*time.Millisecond, 10, 20)
	text, err := r.Metrics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`noon_requests_total{app="shop",environment="production",service="web",route="/admin",release="r1.c0",class="2xx"} 1`,
		`noon_share_ratio{app="shop",environment="production",release="r1.c0"} 0.9999`,
		`noon_share_ratio{app="shop",environment="production",release="r2.c0"} 0.0001`,
		`noon_requests_in_flight{app="shop",environment="production",service="web",release="r1.c0"} 0`,
		`noon_instances{app="shop",environment="production",service="web",release="r1.c0"} 1`,
		`noon_held_requests{app="shop",environment="production"} 0`,
		`noon_site_problem{app="shop",environment="production"} 0`,
		`noon_build_info{version="test"} 1`,
	} {
		if !strings.Contains(string(text), want+"\n") {
			t.Errorf("no line %s", want)
		}
	}
	for _, name := range []string{"go_goroutines", "go_memstats_heap_alloc_bytes", "process_cpu_seconds_total", "process_start_time_seconds", "noon_connections"} {
		if !regexp.MustCompile(`(?m)^` + name + ` [0-9.e+]+$`).Match(text) {
			t.Errorf("no %s", name)
		}
	}
	// A family is in one piece: its TYPE comes once, its samples behind it.
	family, done := "", map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, _, _ := strings.Cut(rest, " ")
			if done[name] {
				t.Errorf("%s comes twice", name)
			}
			family, done[name] = name, true
		} else if !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, family) {
			t.Errorf("in family %s: %s", family, line)
		}
	}
}
