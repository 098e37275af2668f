package proxy_test

import (
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/noon-deploy/noon/internal/proxy"
)

// TestUploadKeepsConnection: the connection of a user whose body was passed on
// as it came is good for the next request, unless the answer says otherwise.
func TestUploadKeepsConnection(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{}, 1)
	app := backend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			arrived <- struct{}{}
		}
		body, _ := io.ReadAll(r.Body)
		_, _ = fmt.Fprintf(w, "%s %d", r.Method, len(body))
	})
	r := start(t, proxy.Limits{})
	mustRoute(t, r, routing(1, 1, app))
	for name, parts := range map[string][2]string{
		"chunked":  {"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "5\r\nworld\r\n0\r\n\r\n"},
		"expected": {"Content-Length: 10\r\nExpect: 100-continue\r\n\r\nhello", "world"},
	} {
		c := dialRaw(t, r.url)
		if _, err := io.WriteString(c.conn, "POST / HTTP/1.1\r\nHost: shop\r\n"+parts[0]); err != nil {
			t.Fatal(err)
		}
		<-arrived
		a := c.send(parts[1])
		if a.status == http.StatusContinue {
			a = c.send("")
		}
		if a.body != "POST 10" || a.header.Get("Connection") != "" {
			t.Errorf("%s: %+v", name, a)
		}
		if a := c.get("/"); a.body != "GET 0" {
			t.Errorf("%s, the next one: %+v", name, a)
		}
		// What is read behind the body can not be given back: the user is told.
		if _, err := io.WriteString(c.conn, "POST / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"); err != nil {
			t.Fatal(err)
		}
		<-arrived
		if a := c.send("0\r\n\r\nGET / HTTP/1.1\r\nHost: shop\r\n\r\n"); a.body != "POST 5" || a.header.Get("Connection") != "close" {
			t.Errorf("with a request behind it: %+v", a)
		}
	}
}
