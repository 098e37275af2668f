package proxy_test

import (
	"net"
	"net/http"
	"testing"

	"github.com/noon-deploy/noon/internal/proxy"
)

// TestInstanceResets: an instance that dies with something unread resets its
// connections. A request that may be sent again does not notice.
func TestInstanceResets(t *testing.T) {
	t.Parallel()
	resets := backend(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
	})
	r := start(t, proxy.Limits{})
	mustRoute(t, r, routing(1, 1, resets, backend(t, says("r1"))))
	c := client(t)
	for range 40 {
		if a := get(t, c, r.url); a.body != "r1" {
			t.Fatalf("%+v", a)
		}
	}
}
