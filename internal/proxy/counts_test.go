package proxy_test

import (
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/noon-deploy/noon/internal/proxy"
)

var requestsTotal = regexp.MustCompile(`(?m)^noon_requests_total\{app="shop".*class="2xx"\} (\d+)$`)

// counted is how many requests are told.
func counted(t *testing.T, p *running) int {
	t.Helper()
	text, err := p.Metrics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m := requestsTotal.FindSubmatch(text)
	if m == nil {
		return 0
	}
	n, err := strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestCountsGoOn: what is counted never falls when a proxy replaces another
// one, whatever that one still finishes, and nothing is counted twice.
func TestCountsGoOn(t *testing.T) {
	t.Parallel()
	arrived, gate := make(chan struct{}, 1), make(chan struct{})
	app := backend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			arrived <- struct{}{}
			<-gate
		}
		_, _ = fmt.Fprint(w, "ok")
	})
	p, _ := startChild(t, shortDir(t), proxy.Limits{})
	mustRoute(t, p, routing(1, 1, app))
	c := freshClient(t)
	ask := func(n int) {
		t.Helper()
		for range n {
			get(t, c, p.url)
		}
	}
	ask(5)
	slow := make(chan error, 1)
	go func() { slow <- wantOK(do(c, request(t, http.MethodGet, p.url+"/slow", nil))) }()
	<-arrived
	first := pid(t, p)
	for range 2 { // the counts of the first go to the third
		if err := p.Upgrade(t.Context(), []string{os.Args[0]}); err != nil {
			t.Fatal(err)
		}
	}
	if n := counted(t, p); n != 5 {
		t.Errorf("%d requests after the upgrades, want 5", n)
	}
	ask(3)
	eventually(t, "all are counted", func() bool { return counted(t, p) == 8 })
	gate <- struct{}{}
	if err := <-slow; err != nil {
		t.Fatal(err)
	}
	last := 8
	eventually(t, "the first has ended", func() bool {
		n := counted(t, p)
		if n < last || n > 9 {
			t.Errorf("%d requests are told after %d", n, last)
		}
		last = n
		return syscall.Kill(first, 0) != nil
	})
	if n := counted(t, p); n != 9 {
		t.Errorf("%d requests at the end, want 9", n)
	}
	seen, err := p.Traffic(t.Context(), 100*time.Millisecond)
	if err != nil || len(seen.Routes) == 0 {
		t.Fatalf("%+v %v", seen, err)
	}
	for _, r := range seen.Routes {
		if r.Site == shop && (r.Requests != 9 || r.Rate != 0 || r.Sessions == 0) {
			t.Errorf("%+v", r)
		}
	}
}
