package h1_test

import (
	"strings"
	"testing"

	"github.com/noon-deploy/noon/internal/proxy/h1"
)

// Every byte is accepted exactly where the grammar has it.
func TestEveryByte(t *testing.T) {
	t.Parallel()
	const alphanumeric = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	in := func(set string) func(byte) bool { return func(c byte) bool { return strings.IndexByte(set, c) >= 0 } }
	token := in(alphanumeric + "!#$%&'*+-.^_`|~")
	for _, place := range []struct {
		name, before, after string
		good                func(byte) bool
	}{
		{"method", "G", "T / HTTP/1.1\r\nHost: a\r\n\r\n", func(c byte) bool { return token(c) }},
		{"path", "GET /a", "00 HTTP/1.1\r\nHost: a\r\n\r\n", func(c byte) bool { return c > ' ' && c < 0x7f && c != '#' }},
		{"query", "GET /?a", "b HTTP/1.1\r\nHost: a\r\n\r\n", func(c byte) bool { return c > ' ' && c < 0x7f && c != '#' }},
		{"host of the target", "GET http://a", "b/ HTTP/1.1\r\nHost: a\r\n\r\n", in(alphanumeric + "-._~/?")},
		{"host", "GET / HTTP/1.1\r\nHost: a", "b\r\n\r\n", in(alphanumeric + "-._~")},
		{"port", "GET / HTTP/1.1\r\nHost: a:1", "2\r\n\r\n", in("0123456789")},
		{"name", "GET / HTTP/1.1\r\nHost: a\r\nX", "Y: z\r\n\r\n", func(c byte) bool { return token(c) || c == ':' }},
		{"first of a name", "GET / HTTP/1.1\r\nHost: a\r\n", "Y: z\r\n\r\n", token},
		{"value", "GET / HTTP/1.1\r\nHost: a\r\nX: y", "z\r\n\r\n", func(c byte) bool { return c == '\t' || c >= ' ' && c != 0x7f }},
		{"long value", "GET / HTTP/1.1\r\nHost: a\r\nX: yyyyyyyyyyyyyyyyy", "zzzzzzzzzzzzzzzzz\r\n\r\n", func(c byte) bool { return c == '\t' || c >= ' ' && c != 0x7f }},
		{"length", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1", "2\r\n\r\n", in("0123456789")},
		{"version", "GET / HTTP/1.", "\r\nHost: a\r\n\r\n", in("01")},
	} {
		for c := range 256 {
			raw := place.before + string([]byte{byte(c)}) + place.after
			var r h1.Request
			n, err := r.Parse(exactly([]byte(raw)))
			if accepted := n == len(raw) && err == nil; accepted != place.good(byte(c)) {
				t.Errorf("%s, byte 0x%02x: accepted %v (%v)", place.name, c, accepted, err)
			}
		}
	}
}
