package h1_test

import (
	"errors"
	"testing"

	"github.com/noon-deploy/noon/internal/proxy/h1"
	"github.com/noon-deploy/noon/internal/proxy/h1/h1test"
)

// Every case of the corpus gets the verdict that it has there, also if its
// bytes come one by one.
func TestCorpus(t *testing.T) {
	t.Parallel()
	cases := h1test.Cases()
	if len(cases) < 180 {
		t.Fatalf("only %d cases", len(cases))
	}
	seen := map[string]bool{}
	for _, c := range cases {
		if seen[c.Name] {
			t.Errorf("two cases are called %q", c.Name)
		}
		seen[c.Name] = true
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			m := read(c.Raw)
			judge(t, c, m)
			if slow := readSlowly(c.Raw); !m.equal(slow) {
				t.Errorf("at once: %v\nbyte by byte: %v", m, slow)
			}
		})
	}
	t.Logf("%d cases", len(cases))
}

func judge(t *testing.T, c h1test.Case, m message) {
	t.Helper()
	if c.Preface || errors.Is(m.err, h1.ErrPreface) {
		if !c.Preface || !errors.Is(m.err, h1.ErrPreface) {
			t.Fatalf("preface: %v, want %v", m.err, c.Preface)
		}
		return
	}
	if m.status() != c.Status || c.Status != 0 && m.inBody != c.InBody {
		t.Fatalf("%q: %v (in the body: %v), want status %d (%v)", c.Raw, m.err, m.inBody, c.Status, c.InBody)
	}
	if c.Status != 0 {
		return
	}
	if !m.whole || m.body != c.Body || m.rest != c.Rest || string(m.request.Host) != c.Host {
		t.Errorf("%q: whole %v, host %q, body %q, rest %q; want host %q, body %q, rest %q", c.Raw, m.whole, m.request.Host, m.body, m.rest, c.Host, c.Body, c.Rest)
	}
	for _, name := range c.Gone {
		for _, f := range append(m.request.Fields, m.trailer...) {
			if string(f.Name) == name && goesOn(f.Kind) {
				t.Errorf("%s goes on as %s", f.Name, f.Kind)
			}
		}
	}
}
