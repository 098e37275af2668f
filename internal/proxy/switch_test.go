package proxy_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/proxy"
)

// TestSwitchUnderLoad swaps the live release hundreds of times while clients
// send GETs and POSTs over kept and new connections.
func TestSwitchUnderLoad(t *testing.T) {
	t.Parallel()
	p := start(t, proxy.Limits{})
	var addresses [2]string
	for i := range addresses {
		addresses[i] = backend(t, says(fmt.Sprintf("r%d", i+1)))
	}
	// acked is the number of switches that were acknowledged; begun of those
	// that were sent. A request may be answered by any release that was live
	// between the two.
	var begun, acked atomic.Int64
	swap := func(n int64) {
		begun.Store(n)
		mustRoute(t, p, routing(n, int(n%2)+1, addresses[n%2]))
		acked.Store(n)
	}
	swap(1)
	kept, fresh := client(t), client(t)
	fresh.Transport.(*http.Transport).DisableKeepAlives = true
	l := newLoad()
	check := func(c *http.Client, method string) func() error {
		return func() error {
			from := acked.Load()
			var body *strings.Reader
			req := request(t, method, p.url+"/", nil)
			if method == http.MethodPost {
				body = strings.NewReader("order")
				req = request(t, method, p.url+"/", body)
			}
			a, err := do(c, req)
			if err := wantOK(a, err); err != nil {
				return err
			}
			if a.header.Get("Noon-Release") != a.body {
				return fmt.Errorf("%w: header %q, body %q", errWrongRelease, a.header.Get("Noon-Release"), a.body)
			}
			if to := begun.Load(); from == to && a.body != fmt.Sprintf("r%d", from%2+1) {
				return fmt.Errorf("%w: %s after switch %d", errWrongRelease, a.body, from)
			}
			return nil
		}
	}
	l.run(4, check(kept, http.MethodGet))
	l.run(4, check(kept, http.MethodPost))
	l.run(2, check(fresh, http.MethodGet))
	l.run(2, check(fresh, http.MethodPost))
	for n := int64(2); n < 400; n++ {
		swap(n)
		if n%10 == 0 { // let requests in between
			from := l.count()
			eventually(t, "requests are answered", func() bool { return l.count() >= from+24 })
		}
	}
	l.end(t)
	t.Logf("%d requests, 399 switches", l.sent)
	st, err := p.Status(t.Context(), shop)
	if err != nil || st.Fence != (noon.Fence{Epoch: 1, Generation: 399}) {
		t.Errorf("status %+v, %v", st, err)
	}
}
