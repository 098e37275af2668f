package proxy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/proxy"
	"github.com/noon-deploy/noon/internal/proxy/meter"
)

// logged runs a proxy with an access log and gives what is read of that once
// it has ended.
func logged(t *testing.T, routed noon.Routing, use func(p *running)) []map[string]any {
	t.Helper()
	dir := shortDir(t)
	path := filepath.Join(dir, "access.log")
	access, err := meter.OpenLog(meter.LogConfig{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	p, err := proxy.Open(proxy.Config{
		Dir: dir, Listen: []string{"127.0.0.1:0"}, Control: filepath.Join(dir, "p.sock"), Version: "test",
		Limits: proxy.Limits{Stop: 100 * time.Millisecond}, Access: access,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	r := &running{Client: proxy.NewClient(filepath.Join(dir, "p.sock")), proxy: p, url: "http://" + p.Addrs()[0].String(), dir: dir}
	mustRoute(t, r, routed)
	use(r)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := access.Close(); err != nil {
		t.Error(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var list []map[string]any
	for line := range bytes.Lines(data) {
		var e map[string]any
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		list = append(list, e)
	}
	return list
}

var (
	madeID    = regexp.MustCompile(`^[0-9A-Za-z]{16,32}$`)
	madeTrace = regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-00$`)
)

// TestNames: a request has one id and one trace: in the instance, in a second
// one after the first has failed, and in the access log. What the client says
// counts if it has the form.
func TestNames(t *testing.T) {
	t.Parallel()
	const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	each(t, func(t *testing.T, c *http.Client) {
		t.Helper()
		var mu sync.Mutex
		var ids, traces []string
		var died atomic.Bool
		app := func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			ids, traces = append(ids, r.Header.Get("X-Request-Id")), append(traces, strings.Join(r.Header.Values("Traceparent"), ","))
			mu.Unlock()
			if r.URL.Path == "/twice" && died.CompareAndSwap(false, true) {
				panic(http.ErrAbortHandler)
			}
			w.WriteHeader(http.StatusAccepted)
		}
		rows := []struct{ path, id, trace string }{
			{"/", "", ""},
			{"/twice", "", ""},
			{"/", "mine-1", trace},
			{"/", "no good", "00-" + strings.Repeat("0", 32) + "-00f067aa0ba902b7-01"},
			{"/", strings.Repeat("x", 200), "garbage"},
		}
		one, two := backend(t, app), backend(t, app)
		list := logged(t, routing(1, 1, one, two), func(p *running) {
			for _, row := range rows {
				a := get(t, c, p.url+row.path+"?token=secret", withHost("shop"), withHeader("User-Agent", "tester"), func(r *http.Request) {
					if row.id != "" {
						r.Header.Set("X-Request-Id", row.id)
					}
					if row.trace != "" {
						r.Header.Set("Traceparent", row.trace)
					}
				})
				if a.status != http.StatusAccepted {
					t.Errorf("%+v", a)
				}
			}
		})
		if len(list) != len(rows) || len(ids) != len(rows)+1 {
			t.Fatalf("%d lines, %d requests came", len(list), len(ids))
		}
		if ids[1] != ids[2] || traces[1] != traces[2] || ids[0] == ids[1] {
			t.Errorf("tried again it is called %q and %q, %q and %q", ids[1], ids[2], traces[1], traces[2])
		}
		ids, traces = append(ids[:1], ids[2:]...), append(traces[:1], traces[2:]...)
		for i, e := range list {
			if !madeTrace.MatchString(traces[i]) && traces[i] != trace || !madeID.MatchString(ids[i]) && ids[i] != "mine-1" {
				t.Errorf("%d: called %q, %q", i, ids[i], traces[i])
			}
			if (traces[i] == trace) != (rows[i].trace == trace) || (ids[i] == "mine-1") != (rows[i].id == "mine-1") {
				t.Errorf("%d: called %q, %q, sent %+v", i, ids[i], traces[i], rows[i])
			}
			text := fmt.Sprint(e)
			if !strings.Contains(text, ids[i]) || !strings.Contains(text, traces[i][3:35]) {
				t.Errorf("%d: the log does not know %q, %q: %v", i, ids[i], traces[i], e)
			}
			for _, want := range []string{"202", "tester", "client:127.0.0", "r1_127.0.0.1", rows[i].path, "token", "production", "web"} {
				if !strings.Contains(text, want) {
					t.Errorf("%d: no %q in %v", i, want, e)
				}
			}
			if strings.Contains(text, "secret") {
				t.Errorf("%d: the value of a query is told: %v", i, e)
			}
		}
	})
}

// TestCounted: every request is counted once, where it belongs.
func TestCounted(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, c *http.Client) {
		t.Helper()
		p := start(t, proxy.Limits{})
		status := func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/bad") {
				w.WriteHeader(http.StatusTeapot)
			}
			_, _ = w.Write([]byte("ok"))
		}
		r := routing(1, 1, backend(t, status))
		r.Domains = []string{"shop.example.com"}
		r.Endpoints = append(r.Endpoints, endpoints(2, backend(t, status))...)
		r.Paths = append(r.Paths, noon.Path{Prefix: "/api/", Service: "web"})
		r.Previews = []noon.Preview{{Token: "new", Revision: rev(2)}}
		mustRoute(t, p, r)
		for range 3 {
			get(t, c, p.url+"/", withHost("shop.example.com"))
		}
		get(t, c, p.url+"/api/bad", withHost("shop.example.com"))
		get(t, c, p.url+"/api/x", withHost("shop.example.com"), withHeader("Noon-Preview", "new"))
		get(t, c, p.url+"/", withHost("nobody.example.com"))
		want := []string{
			`noon_requests_total{app="shop",environment="production",service="web",route="/",release="r1.c0",class="2xx"} 3`,
			`noon_requests_total{app="shop",environment="production",service="web",route="/api/",release="r1.c0",class="4xx"} 1`,
			`noon_requests_total{app="shop",environment="production",service="web",route="/api/",release="r2.c0",class="2xx"} 1`,
			`noon_requests_total{app="",environment="",service="",route="",release="",class="4xx"} 1`,
		}
		missing := func() string {
			text, err := p.Metrics(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, line := range want {
				if !strings.Contains(string(text), line+"\n") {
					return line
				}
			}
			return ""
		}
		eventually(t, "they are counted: "+missing(), func() bool { return missing() == "" })
	})
}
