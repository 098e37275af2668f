package soak_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/noon-deploy/noon/internal/proxy"
	"github.com/noon-deploy/noon/internal/proxy/h1/h1test"
)

// manner is how the bytes of a case are sent.
type manner int

const (
	atOnce manner = iota
	behind        // a good request
	inTwo         // the head, then the body
	manners
)

func (m manner) String() string {
	return [...]string{"at once", "behind a good request", "in two"}[m]
}

const (
	before = "GET /before HTTP/1.1\r\nHost: " + h1test.Site + "\r\n\r\n"
	after  = "GET /after HTTP/1.1\r\nHost: " + h1test.Site + "\r\n\r\n"
)

// TestSmuggling sends messages that servers disagree on through the proxy to
// an instance that takes nothing ambiguous: the proxy refuses them, or sends
// exactly one request on.
func TestSmuggling(t *testing.T) {
	t.Parallel()
	const workers = 6
	cases := h1test.Cases()
	for n := range workers {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			s := newSmuggler(t)
			for i, c := range cases {
				for m := range manners {
					if i%workers == n && (m != inTwo || c.Body != "" || c.InBody) {
						s.check(c, m)
					}
				}
			}
			t.Logf("%d messages", s.sent)
		})
	}
}

// smuggler is a proxy in front of a strict instance, and one user.
type smuggler struct {
	t       *testing.T
	r       *rig
	backend *strict
	sent    int
	cases   map[string]h1test.Case // by the address they were sent from
}

func newSmuggler(t *testing.T) *smuggler {
	t.Helper()
	s := &smuggler{t: t, r: newRig(t, proxy.Limits{Header: 2 * time.Second}), backend: &strict{}, cases: map[string]h1test.Case{}}
	s.r.route(s.r.routing(1, &running{release: 1, address: accepting(t, s.backend.serve)}))
	return s
}

// verdict is what came of a case.
type verdict struct {
	statuses []int
	told     bool // that the connection would end
	closed   bool
	got      []received
}

// send sends a case and reads up to answers answers, or the end.
func (s *smuggler) send(c h1test.Case, m manner, answers int) verdict {
	s.t.Helper()
	s.sent++
	from := net.IPv4(127, 1, byte(s.sent>>8), byte(s.sent))
	s.cases[from.String()] = c
	w, err := (&wires{address: s.r.config.Listen, from: from}).dial(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	_ = w.SetDeadline(time.Now().Add(patience))
	raw := c.Raw
	if m == behind {
		raw = append([]byte(before), raw...)
	}
	if head := bytes.Index(raw, []byte("\r\n\r\n")) + 4; m == inTwo && head > 4 {
		_, _ = w.Write(raw[:head]) // it may be refused already
		pause(s.t.Context(), 20*time.Millisecond)
		raw = raw[head:]
	}
	_, _ = w.Write(raw) // the same
	var v verdict
	for range answers {
		if !v.read(w, c) {
			break
		}
	}
	if c.Status == 0 && c.Rest == "" && !v.told {
		s.probe(w, c, &v)
	}
	if c.Status != 0 && !v.closed {
		_, err := w.in.Peek(1)
		v.closed = err != nil && !isTimeout(err)
	}
	w.Close()
	eventually(s.t, "the instance is done", patience, func() (err error) { v.got, err = s.backend.take(); return err })
	v.got = slices.DeleteFunc(v.got, func(r received) bool { return s.late(from, r) })
	return v
}

// late reports that a request was sent for a case before this one. That
// happens when it was cut off in its body before the instance looked at it,
// and then only.
func (s *smuggler) late(from net.IP, r received) bool {
	sender := strings.Join(r.fields["x-forwarded-for"], ", ")
	c, known := s.cases[sender]
	if !known || sender == from.String() {
		return false
	}
	if !c.InBody || r.err == nil || errors.Is(r.err, errStrict) {
		s.t.Errorf("%s: it arrived when its user had gone, and looks whole, or strange: %.600q", c.Name, fmt.Sprint(r))
	}
	return true
}

// probe sends one more request: if anything was left over it is not what
// arrives.
func (s *smuggler) probe(w *wire, c h1test.Case, v *verdict) {
	if _, err := io.WriteString(w, after); err != nil {
		return
	}
	v.read(w, c)
}

// read reads a final answer and its body; false if there is none.
func (v *verdict) read(w *wire, c h1test.Case) bool {
	for {
		method := http.MethodGet
		if bytes.HasPrefix(c.Raw, []byte("HEAD ")) {
			method = "HEAD" // the one behind it is a GET, whose body is then skipped by hand
		}
		res, err := http.ReadResponse(w.in, &http.Request{Method: method})
		if err != nil {
			v.closed = true
			return false
		}
		_, err = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		v.told = res.Close
		if res.StatusCode >= http.StatusOK {
			v.statuses = append(v.statuses, res.StatusCode)
			return err == nil
		}
	}
}

// check sends a case and judges what came of it.
func (s *smuggler) check(c h1test.Case, m manner) {
	s.t.Helper()
	switch {
	case c.Preface, bytes.HasPrefix(c.Raw, []byte("CONNECT shop.example.com HTTP")):
		return // no HTTP/1.1, or nothing for an instance
	case bytes.HasPrefix(c.Raw, []byte("HEAD ")) && (m == behind || c.Rest != ""):
		return // two methods: the answers can not be told apart by the reader
	}
	good := 0
	if m == behind {
		good = 1
	}
	answers := good + 1
	if c.Status == 0 && c.Rest != "" {
		answers++
	}
	v := s.send(c, m, answers)
	complain := func(format string, args ...any) {
		s.t.Errorf("%s, %v: %s\n  sent %.300q\n  statuses %d, closed %v\n  arrived %.600q", c.Name, m, fmt.Sprintf(format, args...), c.Raw, v.statuses, v.closed, fmt.Sprint(v.got))
	}
	if m == behind {
		if len(v.statuses) == 0 || v.statuses[0] != http.StatusOK || len(v.got) == 0 || v.got[0].target != "/before" {
			complain("the good request before it was not answered")
			return
		}
		v.statuses, v.got = v.statuses[1:], v.got[1:]
	}
	switch {
	case c.InBody:
		s.judgeBody(c, v, complain)
	case c.Status != 0:
		if len(v.statuses) != 1 || v.statuses[0] != c.Status || !v.closed || len(v.got) != 0 {
			complain("want %d, the end, and nothing at the instance", c.Status)
		}
	default:
		judgeForwarded(c, v, complain)
	}
}

// judgeBody wants that a body which is wrong never looks whole.
func (s *smuggler) judgeBody(_ h1test.Case, v verdict, complain func(string, ...any)) {
	if !v.closed {
		complain("the connection goes on behind a wrong body")
	}
	if len(v.statuses) > 0 && v.statuses[0] < http.StatusBadRequest {
		complain("it was answered as if it were right")
	}
	for i, r := range v.got {
		if i > 0 || r.err == nil || errors.Is(r.err, errStrict) {
			complain("it looks whole, or strange, to the instance")
		}
	}
}

// judgeForwarded wants exactly the requests that were sent.
func judgeForwarded(c h1test.Case, v verdict, complain func(string, ...any)) {
	if bytes.HasPrefix(c.Raw, []byte("OPTIONS * ")) || bytes.HasPrefix(c.Raw, []byte("OPTIONS http://other.example.com HTTP")) {
		if len(v.statuses) == 0 || v.statuses[0] != http.StatusOK {
			complain("want noon's own answer")
		}
		return
	}
	if len(v.got) == 0 || len(v.statuses) != len(v.got) {
		complain("want one answer for each request")
		return
	}
	first := v.got[0]
	if first.err != nil || first.body != c.Body || c.Host != "" && first.fields["host"][0] != c.Host {
		complain("want host %q, body %.100q", c.Host, c.Body)
	}
	for _, name := range c.Gone {
		if strings.EqualFold(name, "Connection") || strings.EqualFold(name, "Upgrade") {
			continue // the proxy's own connection has one
		}
		if values := first.fields[strings.ToLower(name)]; len(values) > 0 {
			complain("%s arrived: %q", name, values)
		}
	}
	want := "/after"
	if c.Rest != "" {
		want = "/next"
	}
	for i, r := range v.got[1:] {
		if i > 0 || r.err != nil || r.target != want || r.body != "" {
			complain("request %d was never sent", i+2)
		}
	}
	if len(v.got) != 2 && !v.told {
		complain("the request behind it did not arrive, and the end was not announced")
	}
}
