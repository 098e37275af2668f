package tui_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/tui"
)

func traffic() noon.TrafficSeen {
	staging := noon.Site{App: "shop", Environment: "staging"}
	return noon.TrafficSeen{
		At: noonTime, Over: 2003 * time.Millisecond, Held: 3, Connections: 56,
		Routes: []noon.RouteTraffic{
			{Site: production, Service: "web", Route: "/", Revision: r1, Rate: 1203.6, ClientErrors: 0.5, P50: 3200 * time.Microsecond, P99: 45 * time.Millisecond, In: 100, Out: 1_234_567, Requests: 100_000, Sessions: 12_034},
			{Site: production, Service: "web", Route: "/", Revision: r2, Rate: 60.2, ServerErrors: 12, Failed: 0.04, P50: 1200 * time.Millisecond, P99: 75 * time.Second, Sessions: 99},
			{Site: production, Service: "web", Route: "/api", Revision: r1, Rate: 0.04},
			{Route: "\x1b[31m", Rate: 2.25, ClientErrors: 2.25},
		},
		Services: []noon.ServiceTraffic{
			{Site: production, Service: "web", Revision: r1, Points: 9500, Instances: 2, Requests: 4, Streams: 7},
			{Site: production, Service: "web", Revision: r2, Points: 500, Instances: 1},
			{Site: staging, Service: "web", Revision: r2, Points: 10000, Instances: 1},
		},
	}
}

func TestTraffic(t *testing.T) {
	t.Parallel()
	colour := page(60)
	colour.Color = true
	golden(t, "top.txt", page(0).Traffic(traffic())+"\n"+page(0).Traffic(noon.TrafficSeen{Over: 2 * time.Second}))
	golden(t, "top-colour.txt", colour.Traffic(traffic()))
}

func TestRouted(t *testing.T) {
	t.Parallel()
	endpoint := func(r noon.Revision, n int, routed, avoided bool) noon.RoutedEndpoint {
		return noon.RoutedEndpoint{
			EndpointStatus: noon.EndpointStatus{ID: fmt.Sprintf("shop@production_%v_web_%d_1", r, n), Revision: r, Service: "web", Routed: routed, Requests: n, Streams: 2 * n, Served: 1_000_000, Failed: int64(n)},
			Address:        fmt.Sprintf("127.0.0.1:4100%d", n), Drain: 15 * time.Second, Avoided: avoided,
		}
	}
	list := []noon.Routed{
		{
			Site: production, Fence: noon.Fence{Epoch: 3, Generation: 12}, Sequence: 4, Since: ago(5 * time.Minute), Domains: []string{"shop.example.com", "*.shop.example.com"},
			Paths:    []noon.Path{{Prefix: "/", Service: "web"}, {Prefix: "/api", Service: "api", Strip: true, Revision: &r2}},
			Segments: []noon.RoutedSegment{{Name: "staff", Revision: r2, Visitors: 2, Addresses: 1, Matches: []string{"header X-Beta"}}, {Name: "none", Revision: r1}},
			Hold:     &noon.Hold{Limit: 5 * time.Second, Most: 1000}, Closed: &noon.Closed{By: "ada"},
			Shares: []noon.Share{{Revision: r1, Points: 9999}, {Revision: r2, Points: 1}}, Previews: []noon.Revision{r2},
			Endpoints: []noon.RoutedEndpoint{endpoint(r1, 0, true, false), endpoint(r1, 1, true, true), endpoint(r2, 2, false, false)},
			Held:      1, Problems: []string{"r2.c1 has 0.01 % of new requests and no instance of api: its requests wait, then are answered 503"},
		},
		{Site: noon.Site{App: "mail", Environment: "test"}, Problems: []string{"no release is live: requests are answered 503"}},
		{Site: noon.Site{App: "old", Environment: "test"}, Fence: noon.Fence{Epoch: 1, Generation: 2}, Sequence: 1, Removed: true},
	}
	golden(t, "routed.txt", page(0).Routed(list)+"\n"+page(0).Routed(nil))
	golden(t, "routed-narrow.txt", page(50).Routed(list))
}

// A screen draws over what it drew, hides the cursor meanwhile, and cuts what
// the terminal has no room for.
func TestScreen(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	columns, rows := 10, 5
	s := tui.NewScreen(&out, func() (int, int) { return columns, rows })
	s.Draw("one\ntwo\n")
	s.Draw("three is long\n")
	columns = 5 // the line now takes three
	s.Draw(strings.Repeat("x\n", 9))
	s.Close()
	s.Close()
	want := "\x1b[?25l\x1b[Jone\ntwo\n" +
		"\r\x1b[2A\x1b[Jthree is long\n" +
		"\r\x1b[3A\x1b[Jx\nx\nx\n… 6 lines more\n\x1b[?25h"
	if out.String() != want {
		t.Errorf("%q\nwant\n%q", out.String(), want)
	}
}
