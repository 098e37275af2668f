package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/proxy"
)

// distantly routes to instances that speak HTTP/2 alone.
func distantly(t *testing.T, limits proxy.Limits, traffic noon.Traffic, addresses ...string) *running {
	t.Helper()
	p := start(t, limits)
	r := routing(1, 1)
	r.Traffic, r.Endpoints = traffic, h2Endpoints(1, addresses...)
	mustRoute(t, p, r)
	return p
}

// TestDistantAnswers: every kind of answer, from an instance that speaks HTTP/2
// alone, over both protocols of users.
func TestDistantAnswers(t *testing.T) {
	t.Parallel()
	app := h2backend(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/none":
			w.WriteHeader(http.StatusNoContent)
		case "/same":
			w.WriteHeader(http.StatusNotModified)
		case "/only-trailers":
			w.Header().Set("Grpc-Status", "5")
		case "/known":
			w.Header().Set("Content-Length", "3")
			_, _ = fmt.Fprint(w, "abc")
		case "/agent":
			_, _ = fmt.Fprintf(w, "%q %q %q", r.Header.Get("User-Agent"), r.Header.Get("Te"), r.Host)
		default:
			_, _ = fmt.Fprint(w, r.RequestURI)
			_ = http.NewResponseController(w).Flush()
			_, _ = fmt.Fprint(w, r.Header["X-Twice"], r.Header.Get("Cookie"))
		}
	})
	each(t, func(t *testing.T, c *http.Client) {
		t.Helper()
		p := distantly(t, proxy.Limits{}, noon.Traffic{}, app)
		for _, row := range []struct {
			method, path, body string
			status             int
		}{
			{"GET", "/none", "", 204},
			{"GET", "/same", "", 304},
			{"GET", "/only-trailers", "", 200},
			{"GET", "/known", "abc", 200},
			{"HEAD", "/known", "", 200},
			{"GET", "/x%2Fy%20z?q=%41;b", "/x%2Fy%20z?q=%41;b[1 2]a=b", 200},
			{"GET", "//x", "//x[1 2]a=b", 200},
			{"DELETE", "/", "/[1 2]a=b", 200},
			{"GET", "/agent", `"" "trailers" "shop"`, 200},
		} {
			a, err := do(c, request(t, row.method, p.url+row.path, nil, withHost("shop"), withHeader("User-Agent", ""), func(r *http.Request) {
				r.Header["X-Twice"] = []string{"1", "2"}
				r.Header.Set("Cookie", "a=b")
			}))
			if err != nil || a.body != row.body || a.status != row.status || a.header.Get("Noon-Release") != "r1" {
				t.Errorf("%s %s: %+v %v", row.method, row.path, a, err)
			}
			if row.path == "/known" && a.header.Get("Content-Length") != "3" {
				t.Errorf("%s: %v", row.method, a.header)
			}
		}
	})
}

// TestDistantFails: one of two can not be reached; then one resets what it was
// sent. Nothing that can be sent again fails, and nothing else is sent twice.
func TestDistantFails(t *testing.T) {
	t.Parallel()
	echo := func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		_, _ = fmt.Fprint(w, n, err)
	}
	each(t, func(t *testing.T, c *http.Client) {
		t.Helper()
		p := distantly(t, proxy.Limits{}, noon.Traffic{}, refusing(t), h2backend(t, echo))
		for i := range 40 {
			size := []int64{0, 10, 70_000, 300_000}[i%4]
			req := request(t, http.MethodPost, p.url, io.LimitReader(zeros{}, size))
			req.ContentLength = []int64{size, -1}[i/4%2]
			if a, err := do(c, req); err != nil || a.body != fmt.Sprint(size, " <nil>") {
				t.Fatalf("%d: %+v %v", i, a, err)
			}
		}
		var seen atomic.Int64
		dies := h2backend(t, func(http.ResponseWriter, *http.Request) {
			seen.Add(1)
			panic(http.ErrAbortHandler)
		})
		p = distantly(t, proxy.Limits{}, noon.Traffic{}, dies, h2backend(t, echo))
		failed := int64(0)
		for range 30 {
			if a, err := do(c, request(t, http.MethodPost, p.url, strings.NewReader("x"))); err != nil {
				t.Fatal(err)
			} else if a.status == http.StatusBadGateway {
				failed++
			}
		}
		if failed != seen.Load() {
			t.Errorf("%d POSTs failed, %d reached the instance that resets them", failed, seen.Load())
		}
		for range 30 {
			if a := get(t, c, p.url); a.body != "0 <nil>" {
				t.Fatalf("%+v", a)
			}
		}
	})
}

// TestDistantIsSlow: an instance that does not begin its answer, or does not
// end it.
func TestDistantIsSlow(t *testing.T) {
	t.Parallel()
	app := h2backend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/begins" {
			_, _ = fmt.Fprint(w, "begun")
			_ = http.NewResponseController(w).Flush()
		}
		<-r.Context().Done()
	})
	each(t, func(t *testing.T, c *http.Client) {
		t.Helper()
		p := distantly(t, proxy.Limits{FirstByte: 50 * time.Millisecond}, noon.Traffic{Limits: noon.TrafficLimits{Idle: 50 * time.Millisecond}}, app)
		if a := get(t, c, p.url+"/never"); a.status != http.StatusGatewayTimeout {
			t.Errorf("%+v", a)
		}
		if a, err := do(c, request(t, http.MethodGet, p.url+"/begins", nil)); err == nil {
			t.Errorf("%+v, want an answer that is cut", a)
		}
		eventually(t, "nothing is in flight", func() bool { n, _ := work(t, p, "r1_"+app); return n == 0 })
	})
}

// TestUserOfDistantLeaves: the instance is told.
func TestUserOfDistantLeaves(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, c *http.Client) {
		t.Helper()
		arrived, left := make(chan struct{}), make(chan struct{})
		p := distantly(t, proxy.Limits{}, noon.Traffic{}, h2backend(t, func(_ http.ResponseWriter, r *http.Request) {
			close(arrived)
			<-r.Context().Done()
			close(left)
		}))
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-arrived; cancel() }()
		if _, err := do(c, request(t, http.MethodGet, p.url, nil).WithContext(ctx)); err == nil {
			t.Error("the user should have left")
		}
		<-left
	})
}

// TestDistantTalk: request and answer go on beside each other for as long as
// they like.
func TestDistantTalk(t *testing.T) {
	t.Parallel()
	p := distantly(t, proxy.Limits{FirstByte: 200 * time.Millisecond}, noon.Traffic{}, h2backend(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		_, _ = io.Copy(flushing{w}, r.Body)
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
	}))
	body, says := io.Pipe()
	res, err := h2client(t).Do(request(t, http.MethodPost, p.url, body))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	silence := time.NewTicker(300 * time.Millisecond)
	defer silence.Stop()
	for _, word := range []string{"one", "two", "six"} {
		<-silence.C
		_, _ = io.WriteString(says, word)
		heard := make([]byte, 3)
		if _, err := io.ReadFull(res.Body, heard); err != nil || string(heard) != word {
			t.Fatalf("%q %v", heard, err)
		}
	}
	_ = says.Close()
	if rest, err := io.ReadAll(res.Body); err != nil || len(rest) > 0 || res.Trailer.Get("Grpc-Status") != "0" {
		t.Errorf("%q %v %v", rest, err, res.Trailer)
	}
}

// flushing sends everything at once.
type flushing struct{ http.ResponseWriter }

func (f flushing) Write(p []byte) (int, error) {
	n, err := f.ResponseWriter.Write(p)
	return n, errors.Join(err, http.NewResponseController(f.ResponseWriter).Flush())
}
