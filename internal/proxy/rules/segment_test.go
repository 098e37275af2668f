package rules_test

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/proxy/rules"
)

type request struct {
	fields  map[string]string
	query   string
	address netip.Addr
	raw     []byte
}

func (r *request) Header(name string) ([]byte, bool) {
	v, ok := r.fields[name]
	r.raw = append(r.raw[:0], v...)
	return r.raw, ok
}

func (r *request) Query() []byte       { return append(r.raw[:0], r.query...) }
func (r *request) Address() netip.Addr { return r.address }

func TestSegments(t *testing.T) {
	t.Parallel()
	r2, r3 := noon.Revision{Release: 2}, noon.Revision{Release: 3, Config: 1}
	s, err := rules.CompileSegments([]noon.Segment{
		{Name: "staff", Revision: r2, Addresses: []string{"192.0.2.0/24", "2001:db8::7"}, Visitors: []string{"PINNED"}},
		{Name: "beta", Revision: r3, Matches: []noon.Match{
			{In: "cookie", Name: "beta", Values: []string{"1", "yes"}},
			{In: "header", Name: "X-Tenant", Values: []string{"acme"}},
			{In: "query", Name: "be ta", Values: []string{"a&b"}},
			{In: "query", Name: "flag"},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	outside := address("203.0.113.7")
	for name, tc := range map[string]struct {
		request request
		want    string
	}{
		"nobody":           {request{address: outside}, ""},
		"address":          {request{address: address("192.0.2.200")}, "staff"},
		"mapped address":   {request{address: address("::ffff:192.0.2.200")}, "staff"},
		"one address":      {request{address: address("2001:db8::7")}, "staff"},
		"visitor":          {request{address: outside, fields: map[string]string{"cookie": "a=b; noon_visitor=PINNED"}}, "staff"},
		"other visitor":    {request{address: outside, fields: map[string]string{"cookie": "noon_visitor=PINNED2"}}, ""},
		"cookie":           {request{address: outside, fields: map[string]string{"cookie": `beta="yes"`}}, "beta"},
		"cookie, value":    {request{address: outside, fields: map[string]string{"cookie": "beta=2"}}, ""},
		"cookie, name":     {request{address: outside, fields: map[string]string{"cookie": "xbeta=1;betax=1"}}, ""},
		"header":           {request{address: outside, fields: map[string]string{"x-tenant": "acme"}}, "beta"},
		"query":            {request{address: outside, query: "x=1&be+ta=a%26b"}, "beta"},
		"query, there":     {request{address: outside, query: "flag"}, "beta"},
		"query, elsewhere": {request{address: outside, query: "x=flag"}, ""},
		"first wins":       {request{address: address("192.0.2.1"), query: "flag"}, "staff"},
	} {
		revision, got, ok := s.Of(&tc.request)
		if got != tc.want || ok != (tc.want != "") {
			t.Errorf("%s: segment %q, want %q", name, got, tc.want)
		}
		if want := map[string]noon.Revision{"staff": r2, "beta": r3}[got]; revision != want {
			t.Errorf("%s: %s, want %s", name, revision, want)
		}
	}
	if _, err := rules.CompileSegments([]noon.Segment{{Name: "x", Addresses: []string{"a"}, Matches: []noon.Match{{In: "body", Name: "x"}, {In: "header", Name: "a b"}, {In: "query"}}}}); err == nil || strings.Count(err.Error(), "segment x") != 4 {
		t.Errorf("mistakes are told as: %v", err)
	}
}

// FuzzCookieValue: what net/http finds is found, with the same value.
func FuzzCookieValue(f *testing.F) {
	for _, seed := range []string{"a=b", "b=c; a=d", `a="b"`, "a", "a=", ";;a=1;a=2", " a=b ", "xa=b;ax=c", "a =b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if strings.ContainsAny(line, "\r\n") {
			return // no field has them
		}
		got, ok := rules.CookieValue([]byte(line), "a")
		want, err := (&http.Request{Header: http.Header{"Cookie": {line}}}).Cookie("a")
		if err == nil && !ok {
			t.Fatalf("%q: net/http finds %q", line, want.Value)
		}
		valid := (&http.Cookie{Name: "a", Value: string(got)}).Valid() == nil // net/http looks on behind others
		if err == nil && valid && string(got) != want.Value {
			t.Fatalf("%q: found %q, net/http %q", line, got, want.Value)
		}
	})
}

// FuzzQueryValue: what net/url finds is found, with the same value.
func FuzzQueryValue(f *testing.F) {
	for _, seed := range []string{"a=b", "x=1&a=2&a=3", "%61=b", "a", "a=+%20", "&&a=1", "a=%zz", "A=1", "a=b=c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		got, ok := rules.QueryValue([]byte(query), "a")
		values, err := url.ParseQuery(query)
		if err != nil {
			return // net/url leaves out what it can not read
		}
		if ok != values.Has("a") {
			t.Fatalf("%q: found %v, net/url %v", query, ok, values.Has("a"))
		}
		if plain, err := url.QueryUnescape(string(got)); ok && (err != nil || plain != values.Get("a")) {
			t.Fatalf("%q: found %q, net/url %q", query, got, values.Get("a"))
		}
	})
}
