package proxy_test

import (
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/noon-deploy/noon/internal/proxy"
)

// TestUserLeavesDeafInstance: a user leaves in the middle of an upload of which
// the instance takes nothing. Nothing of it may be left.
func TestUserLeavesDeafInstance(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	app := backend(t, func(http.ResponseWriter, *http.Request) { <-gate })
	t.Cleanup(func() { close(gate) })
	r := start(t, proxy.Limits{})
	mustRoute(t, r, routing(1, 1, app))
	c := dialRaw(t, r.url)
	if _, err := io.WriteString(c.conn, "POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 9000000000\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	part := []byte(strings.Repeat("a", 1<<20))
	var err error
	for err == nil { // until nobody takes any more
		_ = c.conn.SetWriteDeadline(time.Now().Add(time.Second))
		_, err = c.conn.Write(part)
	}
	if !os.IsTimeout(err) {
		t.Fatal(err)
	}
	_ = c.conn.(*net.TCPConn).SetLinger(0)
	_ = c.conn.Close()
	eventually(t, "the request is over", func() bool {
		requests, streams := work(t, r, "r1_"+app)
		return requests+streams == 0
	})
}
