package proxy_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/proxy"
)

// BenchmarkOpen is how long a proxy that was killed takes to know its routes
// again.
func BenchmarkOpen(b *testing.B) {
	for _, row := range []struct {
		sites int
		tls   *noon.TLS
	}{{1, nil}, {1000, nil}, {1000, &noon.TLS{Internal: true, MinVersion: "1.2"}}} {
		b.Run(fmt.Sprintf("%d sites, TLS %v", row.sites, row.tls != nil), func(b *testing.B) {
			dir := shortDir(b)
			if err := os.MkdirAll(filepath.Join(dir, "sites"), 0o700); err != nil {
				b.Fatal(err)
			}
			for n := range row.sites {
				r := routing(1, 1)
				r.Site.App, r.TLS, r.Paths = fmt.Sprint("app", n), row.tls, nil
				r.Domains = []string{r.Site.App + ".example.com"}
				for i := range 10 {
					r.Paths = append(r.Paths, noon.Path{Prefix: fmt.Sprint("/part", i), Service: "web"})
				}
				r.Endpoints = []noon.Endpoint{{ID: r.Site.App, Revision: rev(1), Service: "web", Address: "127.0.0.1:1"}}
				if err := proxy.WriteStored(dir, r); err != nil {
					b.Fatal(err)
				}
			}
			begin := processorTime(b)
			for b.Loop() {
				p, err := proxy.Open(proxy.Config{Dir: dir, Control: filepath.Join(dir, "p.sock"), Version: "bench"})
				if err != nil {
					b.Fatal(err)
				}
				p.Close()
			}
			b.ReportMetric(float64(processorTime(b)-begin)/float64(b.N)/1e6, "cpu-ms/op")
		})
	}
}
