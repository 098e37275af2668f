package main_test

import (
	"context"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/noon-deploy/noon/internal/load"
)

// TestCustomersDoNotNoticeAHandover replaces the web process and the worker
// while customers shop, with a plain proxy in front that only knows where to
// send the next request.
func TestCustomersDoNotNoticeAHandover(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { handOver(t, sqlite(t)) })
	t.Run("postgres", func(t *testing.T) { handOver(t, postgres(t)) })
}

func handOver(t *testing.T, at place) {
	t.Helper()
	old := startWeb(t, at)
	worker := start(t, at, "worker")

	var target atomic.Pointer[url.URL]
	point := func(p *process) {
		u, err := url.Parse(p.base)
		if err != nil {
			t.Fatal(err)
		}
		target.Store(u)
	}
	point(old)
	front := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target.Load()); r.Out.Host = r.In.Host },
		FlushInterval: -1,
	})
	defer front.Close()

	customers := load.New(load.Config{Base: front.URL, Rate: 6, Streams: 4, Seed: 12})
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- customers.Run(ctx) }()
	customers.SetAllowed("r1")
	for _, release := range []string{"r2", "r3"} {
		orders := customers.Result().OrdersAcknowledged
		until(t, "orders at the old one", func() bool {
			r := customers.Result()
			return r.OrdersAcknowledged >= orders+2 && r.StreamsOpened >= 4
		})
		next := start(t, at, "web", release)
		next.base = "http://" + next.await(t, `address=(127\.0\.0\.1:\d+)`)[1]
		customers.SetAllowed("r1", "r2", "r3")
		point(next)
		customers.SetAllowed(release)
		old.stop(t)
		taker := start(t, at, "worker")
		worker.stop(t)
		old, worker = next, taker
		until(t, "streams at the new one", func() bool { return customers.Result().StreamsMoved > 0 })
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	v, err := customers.Verify(t.Context(), load.OrdersOverHTTP(old.base, "", token))
	if err != nil {
		t.Fatal(err)
	}
	r := customers.Result()
	if r.Failed+r.WrongRelease+r.StreamsCut+r.UploadsLost != 0 || r.PerRelease["r3"] == 0 {
		t.Errorf("%+v", r)
	}
	if v.Stored != v.Acknowledged || v.Missing+v.Duplicated+v.Resent+v.HandledTwice+v.UploadsLost != 0 {
		t.Errorf("%+v", v)
	}
}
