package h1_test

import (
	"bytes"
	"errors"
	"io"
	"net/http/httputil"
	"net/netip"
	"slices"
	"testing"

	"github.com/noon-deploy/noon/internal/proxy/h1"
	"github.com/noon-deploy/noon/internal/proxy/h1/h1test"
)

// knownError checks that an error is one that a caller can answer with.
func knownError(t *testing.T, err error, statuses ...int) {
	t.Helper()
	if err == nil || errors.Is(err, h1.ErrPreface) {
		return
	}
	e, ok := errors.AsType[*h1.Error](err)
	if !ok || e.Reason == "" || len(e.Reason) > 300 {
		t.Fatalf("error %v", err)
	}
	if !slices.Contains(statuses, e.Status) {
		t.Fatalf("status %d of %v", e.Status, err)
	}
}

func FuzzRequest(f *testing.F) {
	for _, c := range h1test.Cases() {
		if len(c.Raw) < 2000 {
			f.Add(c.Raw)
		}
	}
	f.Add([]byte(browser))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m := read(raw)
		knownError(t, m.err, 400, 414, 417, 431, 501, 505)
		if slow := readSlowly(raw); !m.equal(slow) {
			t.Fatalf("at once: %v\nbyte by byte: %v", m, slow)
		}
		if m.err != nil || !m.whole {
			return
		}
		if err := agree(raw, m); err != nil {
			t.Fatalf("%q: %v", raw, err)
		}
		var again h1.Request
		if n, err := again.Parse(serialise(&m.request)); n == 0 || err != nil || head(&again) != head(&m.request) {
			t.Fatalf("written anew: %d, %v, %s, read: %v", n, err, head(&again), m)
		}
	})
}

func FuzzResponse(f *testing.F) {
	for _, a := range h1test.Answers() {
		if len(a.Raw) < 2000 {
			f.Add(a.Raw, a.Head)
		}
	}
	f.Add([]byte(answer), false)
	f.Fuzz(func(t *testing.T, raw []byte, head bool) {
		var r h1.Response
		n, err := r.Parse(exactly(raw), head)
		knownError(t, err, 502)
		if n == 0 || err != nil {
			return
		}
		for end := range n {
			var part h1.Response
			if k, err := part.Parse(exactly(raw[:end]), head); k != 0 || err != nil {
				t.Fatalf("%q: %d, %v", raw[:end], k, err)
			}
		}
		if err := agreeAnswer(raw, head, &r, n); err != nil {
			t.Fatalf("%q: %v", raw, err)
		}
	})
}

func FuzzChunked(f *testing.F) {
	for _, c := range h1test.Cases() {
		if _, body, found := bytes.Cut(c.Raw, []byte("Transfer-Encoding: chunked\r\n\r\n")); found && len(body) < 2000 {
			f.Add(body, uint8(3))
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte, step uint8) {
		body, rest, trailer, done, err := decode(raw, max(len(raw), 1))
		knownError(t, err, 400, 431)
		for _, n := range []int{1, int(step) + 1} {
			b, r, tr, d, e := decode(raw, n)
			if d != done || (e == nil) != (err == nil) || err == nil && (b != body || r != rest || fields(tr) != fields(trailer)) || err != nil && e.Error() != err.Error() {
				t.Fatalf("at once: %q, %q, %s, %v, %v\n%d at a time: %q, %q, %s, %v, %v", body, rest, fields(trailer), done, err, n, b, r, fields(tr), d, e)
			}
		}
		if !done {
			return
		}
		theirs, err := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(raw)))
		if err != nil || string(theirs) != body {
			t.Fatalf("net/http sees %q, %v, not %q", theirs, err, body)
		}
		for _, f := range trailer {
			if f.Kind != h1.Other {
				t.Fatalf("trailer field %s is %s", f.Name, f.Kind)
			}
		}
	})
}

// An address in brackets is accepted exactly if it is one.
func FuzzIPv6(f *testing.F) {
	for _, s := range []string{"::", "::1", "1::", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "::ffff:1.2.3.4", "1:2:3:4:5:6:1.2.3.4", "1::2::3", "1:2", ":1", "1:", ":::", "1:::2", "::1.2.3.04", "::1.2.3", "::256.1.1.1", "12345::", "1.2.3.4", "1.2.3.4::", "::1.2.3.4:5"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var r h1.Request
		raw := "GET / HTTP/1.1\r\nHost: [" + s + "]\r\n\r\n"
		n, err := r.Parse([]byte(raw))
		ip, wrong := netip.ParseAddr(s)
		good := wrong == nil && ip.Is6() && ip.Zone() == ""
		if accepted := n == len(raw) && err == nil; accepted != good {
			t.Fatalf("[%s]: accepted %v, is an address: %v (%v, %v)", s, accepted, good, err, wrong)
		}
	})
}
