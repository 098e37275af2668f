package h1_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/noon-deploy/noon/internal/proxy/h1"
)

// serialise writes a head anew.
func serialise(r *h1.Request) []byte {
	b := fmt.Appendf(nil, "%s %s HTTP/1.%d\r\n", r.Method, r.Target, r.Minor)
	for _, f := range r.Fields {
		b = h1.AppendField(b, f.Name, f.Value)
	}
	return append(b, "\r\n"...)
}

func drawFields(t *rapid.T) []h1.Field {
	name := rapid.StringMatching("[a-zA-Z0-9!#$%&'*+.^_`|~-]{1,20}")
	value := rapid.StringMatching("([!-~\u0080-\u00ff]([ \t!-~]{0,40}[!-~])?)?")
	var all []h1.Field
	for range rapid.IntRange(0, 20).Draw(t, "fields") {
		f := h1.Field{Name: []byte("X-" + name.Draw(t, "name")), Value: []byte(value.Draw(t, "value"))}
		if strings.HasPrefix(strings.ToLower(string(f.Name)), "x-re") || strings.HasPrefix(strings.ToLower(string(f.Name)), "x-fo") {
			f.Name = append(f.Name, 'y')
		}
		all = append(all, f)
	}
	return all
}

// What is written is what is read, whatever the blanks around values, and
// nothing is said of a part of it.
func TestReadsWhatIsWritten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		method := rapid.StringMatching("[A-Z]{1,8}").Filter(func(s string) bool { return s != "CONNECT" && s != "PRI" }).Draw(t, "method")
		path := "/" + rapid.StringMatching("([a-zA-Z0-9/._~!$&'()*+,;=:@|^-]|%[0-9a-fA-F]{2}){0,40}").Draw(t, "path")
		query := rapid.StringMatching("([?][ -~]{0,30})?").Filter(func(s string) bool { return !strings.ContainsAny(s, " #") }).Draw(t, "query")
		host := rapid.StringMatching("[a-z0-9.-]{1,20}(:[1-9][0-9]{0,3})?").Draw(t, "host")
		blank := rapid.StringMatching("[ \t]{0,3}")
		all := append([]h1.Field{{Name: []byte("Host"), Value: []byte(host)}}, drawFields(t)...)
		raw := fmt.Appendf(nil, "%s%s %s%s HTTP/1.1\r\n", strings.Repeat("\r\n", rapid.IntRange(0, h1.MaxBlank).Draw(t, "lines")), method, path, query)
		for _, f := range all {
			raw = fmt.Appendf(raw, "%s:%s%s%s\r\n", f.Name, blank.Draw(t, "before"), f.Value, blank.Draw(t, "after"))
		}
		raw = append(raw, "\r\n"...)
		var r h1.Request
		n, err := r.Parse(exactly(raw))
		if n != len(raw) || err != nil {
			t.Fatalf("%q: %d, %v", raw, n, err)
		}
		if string(r.Method) != method || string(r.Path) != path || string(r.AppendTarget(nil)) != path+query || string(r.Host) != host {
			t.Fatalf("%q is read as %s", raw, head(&r))
		}
		if !slices.EqualFunc(r.Fields, all, func(a, b h1.Field) bool { return bytes.Equal(a.Name, b.Name) && bytes.Equal(a.Value, b.Value) }) {
			t.Fatalf("%q is read as %s", raw, fields(r.Fields))
		}
		whole := head(&r)
		if n, err := r.Parse(serialise(&r)); n == 0 || err != nil || head(&r) != whole {
			t.Fatalf("written anew: %d, %v, %s, want %s", n, err, head(&r), whole)
		}
		for end := range raw {
			if n, err := r.Parse(exactly(raw[:end])); n != 0 || err != nil {
				t.Fatalf("%q: %d, %v", raw[:end], n, err)
			}
		}
	})
}

// A body is decoded to what was encoded, in whatever pieces it comes.
func TestDecodesWhatIsEncoded(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var raw, body []byte
		for range rapid.IntRange(0, 10).Draw(t, "chunks") {
			data := rapid.SliceOfN(rapid.Byte(), 1, 300).Draw(t, "data")
			body = append(body, data...)
			line := h1.AppendChunkSize(nil, len(data))
			if got := fmt.Sprintf("%x\r\n", len(data)); string(line) != got {
				t.Fatalf("size %q, want %q", line, got)
			}
			ext := rapid.StringMatching("(;[ -~]{0,20})?").Draw(t, "extension")
			raw = append(append(append(append(raw, line[:len(line)-2]...), ext+"\r\n"...), data...), "\r\n"...)
		}
		trailer := drawFields(t)
		raw = h1.AppendLastChunk(raw, trailer)
		raw = append(raw, next...)
		var c h1.Chunked
		c.Reset()
		var got []byte
		at := 0
		for done := false; !done; {
			end := at + rapid.IntRange(0, len(raw)-at).Draw(t, "piece")
			payload, n, over, err := c.Decode(exactly(raw[at:end]))
			if err != nil || !over && n != end-at {
				t.Fatalf("%q at %d: %d, %v", raw, at, n, err)
			}
			got, at, done = append(got, payload...), at+n, over
		}
		if !bytes.Equal(got, body) || c.Received() != int64(len(body)) || string(raw[at:]) != next {
			t.Fatalf("%q is decoded to %q, rest %q", raw, got, raw[at:])
		}
		if !slices.EqualFunc(c.Trailer(), trailer, func(a, b h1.Field) bool { return bytes.Equal(a.Name, b.Name) && bytes.Equal(a.Value, b.Value) }) {
			t.Fatalf("trailer %s, want %s", fields(c.Trailer()), fields(trailer))
		}
	})
}

const next = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n"
