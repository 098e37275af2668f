//go:build linux

package load_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/noon-deploy/noon/bench/load"
)

const request = "GET /a HTTP/1.1\r\nHost: bench.example\r\n\r\n"

func plan(t *testing.T, s *httptest.Server, body int) load.Plan {
	t.Helper()
	marks := 0
	t.Cleanup(func() {
		if marks != 2 && !t.Failed() {
			t.Errorf("the window was marked %d times, not at both ends", marks)
		}
	})
	return load.Plan{
		Address: s.Listener.Addr().String(), Requests: [][]byte{[]byte(request)}, Body: body, Connections: 4,
		Warm: 20 * time.Millisecond, Window: 100 * time.Millisecond, Mark: func() error { marks++; return nil },
	}
}

func server(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func TestClosedLoop(t *testing.T) {
	for _, size := range []int{0, 200, 200_000} {
		var served atomic.Int64
		body := strings.Repeat("x", size)
		s := server(t, func(w http.ResponseWriter, _ *http.Request) {
			served.Add(1)
			w.Header().Set("Content-Length", itoa(size))
			_, _ = io.WriteString(w, body)
		})
		res, err := load.Run(plan(t, s, size))
		if err != nil || res.Errors > 0 {
			t.Fatalf("%d bytes: %v, %d errors: %v", size, err, res.Errors, res.Example)
		}
		if n := res.Requests(); n == 0 || int64(n) > served.Load() {
			t.Errorf("%d bytes: %d answers are counted, %d were given", size, n, served.Load())
		}
		if p50, p99 := res.Percentile(.5), res.Percentile(.99); p50 <= 0 || p99 < p50 {
			t.Errorf("p50 is %v, p99 %v", p50, p99)
		}
	}
}

func TestUploadInPieces(t *testing.T) {
	const size = 4 << 20 // more than a socket takes at once
	s := server(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		if n != size {
			w.WriteHeader(http.StatusBadRequest)
		}
		w.Header().Set("Content-Length", "2")
		_, _ = io.WriteString(w, "ok")
	})
	p := plan(t, s, 2)
	p.Requests = [][]byte{[]byte("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " + itoa(size) + "\r\n\r\n" + strings.Repeat("y", size))}
	res, err := load.Run(p)
	if err != nil || res.Errors > 0 || res.Requests() == 0 {
		t.Fatalf("%v, %d answers, %d errors: %v", err, res.Requests(), res.Errors, res.Example)
	}
}

func TestFreshConnections(t *testing.T) {
	var connections, requests atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		_, _ = io.WriteString(w, "ok")
	}))
	s.Config.ConnState = countNew(&connections)
	s.Start()
	t.Cleanup(s.Close)
	p := plan(t, s, 2)
	p.Fresh = true
	p.Requests = [][]byte{[]byte("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")}
	res, err := load.Run(p)
	if err != nil || res.Errors > 0 || res.Requests() == 0 {
		t.Fatalf("%v, %d answers, %d errors: %v", err, res.Requests(), res.Errors, res.Example)
	}
	if connections.Load() < requests.Load() {
		t.Errorf("%d requests came over %d connections", requests.Load(), connections.Load())
	}
}

// A server that stalls for a while delays everybody whose time had come
// meanwhile: a closed loop would see one slow request.
func TestOpenLoopCountsFromTheScheduledTime(t *testing.T) {
	const stall = 60 * time.Millisecond
	var n atomic.Int64
	s := server(t, func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1) == 40 {
			<-time.After(stall)
		}
		_, _ = io.WriteString(w, "ok")
	})
	p := plan(t, s, 2)
	p.Connections, p.Rate = 1, 500
	res, err := load.Run(p)
	if err != nil || res.Errors > 0 {
		t.Fatalf("%v, %d errors: %v", err, res.Errors, res.Example)
	}
	if want := 50; res.Requests() != want {
		t.Errorf("%d answers, not the %d that were due", res.Requests(), want)
	}
	slow := 0
	for _, d := range res.Latencies {
		if d > stall/4 {
			slow++
		}
	}
	if slow < 10 {
		t.Errorf("only %d answers were late", slow)
	}
}

func TestWrongAnswersAreErrors(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"status": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) },
		"length": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "longer") },
	} {
		s := server(t, h)
		p := load.Plan{
			Address: s.Listener.Addr().String(), Requests: [][]byte{[]byte(request)}, Body: 2, Connections: 4,
			Window: 500 * time.Millisecond, Mark: func() error { return nil },
		}
		res, err := load.Run(p)
		if err == nil && res.Errors == 0 || res.Requests() > 0 {
			t.Errorf("%s: %d answers pass, %d errors, %v", name, res.Requests(), res.Errors, err)
		}
	}
}
