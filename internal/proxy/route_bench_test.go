package proxy_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/proxy"
)

// BenchmarkRoute is what a new snapshot of one of many sites costs, eight at a
// time: the time of the processor, the client's included.
func BenchmarkRoute(b *testing.B) {
	const sites = 1000
	dir := shortDir(b)
	p, err := proxy.Open(proxy.Config{Dir: dir, Control: dir + "/p.sock", Version: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
	})
	var sequence atomic.Int64
	client := proxy.NewClient(dir + "/p.sock")
	route := func() {
		n := sequence.Add(1)
		r := routing(n, 1)
		r.Site.App = fmt.Sprint("app", n%sites)
		r.Domains, r.Paths = []string{r.Site.App + ".example.com"}, nil
		for i := range 10 {
			r.Paths = append(r.Paths, noon.Path{Prefix: fmt.Sprint("/part", i), Service: "web"})
		}
		r.Endpoints = []noon.Endpoint{{ID: r.Site.App, Revision: rev(1), Service: "web", Address: "127.0.0.1:1"}}
		if err := client.Route(b.Context(), r); err != nil {
			b.Error(err)
		}
	}
	for range sites {
		route()
	}
	begin := processorTime(b)
	b.SetParallelism(4)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			route()
		}
	})
	b.ReportMetric(float64(processorTime(b)-begin)/float64(b.N)/1e3, "cpu-µs/op")
}

func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
