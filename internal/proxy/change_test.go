package proxy_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/proxy"
)

// TestManyChangesAtOnce: changes that are made durable together are checked
// against one another. What was acknowledged is in the files, the highest of
// each site, and of those that exclude each other one wins.
func TestManyChangesAtOnce(t *testing.T) {
	t.Parallel()
	const sites, sequences, rivals = 12, 5, 4
	p := start(t, proxy.Limits{})
	var wg sync.WaitGroup
	var acked [sites]atomic.Int64 // the highest sequence
	routed := func(app string, sequence int64, domain string) noon.Routing {
		r := routing(sequence, 1)
		r.Site.App, r.Domains, r.Endpoints = app, []string{domain}, []noon.Endpoint{}
		return r
	}
	for n := range sites {
		for s := range int64(sequences) {
			wg.Go(func() {
				app := fmt.Sprint("app", n)
				err := p.Route(t.Context(), routed(app, s+1, app+".example.com"))
				switch {
				case err == nil:
					for before := acked[n].Load(); before < s+1 && !acked[n].CompareAndSwap(before, s+1); before = acked[n].Load() {
					}
				case noon.KindOf(err) != noon.Stale:
					t.Error(err)
				}
			})
		}
	}
	var won, twins atomic.Int64
	for n := range rivals {
		wg.Go(func() {
			if err := p.Route(t.Context(), routed(fmt.Sprint("rival", n), 1, "rival.example.com")); err == nil {
				won.Add(1)
			} else if noon.KindOf(err) != noon.Invalid {
				t.Error(err)
			}
		})
		wg.Go(func() {
			r := routed(fmt.Sprint("twin", n), 1, fmt.Sprintf("twin%d.example.com", n))
			r.Endpoints = endpoints(1, "127.0.0.1:1")
			if err := p.Route(t.Context(), r); err == nil {
				twins.Add(1)
			} else if noon.KindOf(err) != noon.Invalid {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 || twins.Load() != 1 {
		t.Errorf("%d sites have the domain of all, %d the endpoint", won.Load(), twins.Load())
	}
	for n := range sites {
		kept, err := proxy.ReadStored(p.dir, noon.Site{App: fmt.Sprint("app", n), Environment: "production"})
		if err != nil || kept.Sequence != sequences || acked[n].Load() != sequences {
			t.Errorf("app%d: sequence %d is in its file, %d was acknowledged, %v", n, kept.Sequence, acked[n].Load(), err)
		}
		st, err := p.Status(t.Context(), noon.Site{App: fmt.Sprint("app", n), Environment: "production"})
		if err != nil || st.Sequence != sequences {
			t.Errorf("app%d: %+v %v", n, st, err)
		}
	}
}
