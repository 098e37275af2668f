package proxy_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/noon-deploy/noon/internal/proxy"
)

// TestEarlyAnswer: an instance answers before it has the whole body. Nobody
// else's request may go on the connection on which the rest still comes.
func TestEarlyAnswer(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	mixed := make(chan []byte, 100)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go answerEarly(conn, mixed)
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	r := start(t, proxy.Limits{})
	mustRoute(t, r, routing(1, 1, l.Addr().String()))
	up := dialRaw(t, r.url)
	if a := up.send("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 900000\r\n\r\n" + strings.Repeat("a", 1000)); a.body != "early" {
		t.Fatalf("%+v", a)
	}
	c := client(t)
	for range 20 {
		if a := get(t, c, r.url); a.body != "early" {
			t.Errorf("%+v", a)
		}
	}
	_, _ = up.conn.Write([]byte(strings.Repeat("a", 1000))) // it may be closed
	select {
	case b := <-mixed:
		t.Errorf("in the middle of a body: %.200q", b)
	case <-time.After(50 * time.Millisecond):
	}
}

// answerEarly answers every head at once, and sends what is wrong with the body
// behind it.
func answerEarly(conn net.Conn, mixed chan<- []byte) {
	defer func() { _ = conn.Close() }()
	in := bufio.NewReader(conn)
	for {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly")
		if body, _ := io.ReadAll(req.Body); bytes.Contains(body, []byte("GET ")) {
			mixed <- body
		}
	}
}
