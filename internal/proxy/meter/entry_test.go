package meter_test

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/noon-deploy/noon/internal/proxy/meter"
)

func entries() map[string]*meter.Entry {
	full := benchEntry()
	full.Retries, full.Failed, full.Why, full.Status = 2, true, meter.Timeout, 504
	full.Fields = []meter.Field{{"X-Forwarded-Proto", []byte("https")}, {"Authorization", []byte("Bearer s3cr3t")}, {"Cookie", []byte("session=s3cr3t")}, {"Accept", []byte("text/html, */*")}}
	full.Share = 0.25
	hostile := &meter.Entry{
		Time: time.Unix(0, 0), Method: []byte("GET\x00\n"), Host: []byte("\xff\xfe\"\\"), Path: []byte("/\x1b[31m\u2028 é"), Query: []byte("a=1&&=x&b&token-9f8e7d6c5b4a39281706&c="),
		UserAgent: []byte("a b\tc\r\nd"), Client: netip.MustParseAddr("::ffff:198.51.100.9"), Fields: []meter.Field{{"x\" y", []byte("\x80")}},
	}
	shown := benchEntry()
	shown.Redact = &meter.Redaction{ShowQuery: []string{"page"}, WholeAddr: true, HideFields: []string{"x-plan"}}
	shown.Client = netip.MustParseAddr("2001:db8:1:2::3%eth0")
	shown.Fields = []meter.Field{{"X-Plan", []byte("gold")}}
	hiddenPath := benchEntry()
	hiddenPath.Redact = &meter.Redaction{HidePaths: []string{"/.noon/preview/"}}
	hiddenPath.Path, hiddenPath.Query = []byte("/.noon/preview/s3cr3t"), []byte("s3cr3t=1")
	return map[string]*meter.Entry{"full": full, "hostile": hostile, "shown": shown, "hidden-path": hiddenPath, "empty": {}}
}

func TestEntryLines(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	all := entries()
	for _, name := range []string{"full", "hostile", "shown", "hidden-path", "empty"} {
		line := all[name].AppendJSON([]byte("before"))
		if !json.Valid(bytes.TrimPrefix(line, []byte("before"))) {
			t.Errorf("%s is no JSON: %s", name, line)
		}
		b.Write(line[len("before"):])
		b.Write(all[name].AppendText(nil))
	}
	if strings.Contains(b.String(), "s3cr3t") || strings.Contains(b.String(), "9f8e7d6c") {
		t.Error("a secret is in the log")
	}
	golden(t, "entries.txt", b.String())
}

func TestEntryAllocatesNothing(t *testing.T) {
	buf := make([]byte, 0, 8192)
	for name, e := range entries() {
		if n := testing.AllocsPerRun(100, func() { buf = e.AppendJSON(buf[:0]); buf = e.AppendText(buf[:0]) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// Any bytes make one line of valid JSON, and one of printable text, that hold
// what was not secret.
func FuzzEntry(f *testing.F) {
	f.Add([]byte("GET"), []byte("shop.example.com"), []byte("/a/b"), []byte("q=1&r"), []byte("agent"), "Accept", []byte("v"))
	f.Add([]byte("\x00"), []byte("\xff\xc3\x28"), []byte("/\xe2\x82"), []byte("==&&=&"), []byte("\"\\\n"), "cookie", []byte("\u2028"))
	f.Fuzz(func(t *testing.T, method, host, path, query, agent []byte, name string, value []byte) {
		e := &meter.Entry{Method: method, Host: host, Path: path, Query: query, UserAgent: agent, Fields: []meter.Field{{Name: name, Value: value}}}
		line := e.AppendJSON(nil)
		var read map[string]any
		if err := json.Unmarshal(line, &read); err != nil {
			t.Fatalf("%v: %q", err, line)
		}
		if !utf8.Valid(line) || bytes.IndexByte(line, '\n') != len(line)-1 {
			t.Fatalf("more than one line, or no UTF-8: %q", line)
		}
		if got, _ := read["host"].(string); got != validUTF8(host) {
			t.Fatalf("host %q became %q", host, got)
		}
		text := e.AppendText(nil)
		for _, c := range bytes.ReplaceAll(text[:len(text)-1], []byte("…"), nil) {
			if c < ' ' || c >= 0x7f {
				t.Fatalf("byte %x in %q", c, text)
			}
		}
	})
}

// validUTF8 replaces every byte that belongs to no rune.
func validUTF8(b []byte) string {
	var s strings.Builder
	for _, r := range string(b) {
		s.WriteRune(r)
	}
	return s.String()
}

// No query value and no cookie is ever in a line, whatever the query looks like.
func FuzzRedaction(f *testing.F) {
	f.Add([]byte("a=&b&c=1"), []byte("other=1"))
	f.Add([]byte("%3d"), []byte("="))
	f.Fuzz(func(t *testing.T, before, after []byte) {
		const secret = "S3CR3T-7f3a9c"
		for _, query := range [][]byte{
			append(append(bytes.Clone(before), "&k="+secret...), after...),
			append(append(bytes.Clone(before), "&"+secret+"&"...), after...),
		} {
			e := &meter.Entry{Query: query, Fields: []meter.Field{
				{"Cookie", []byte(secret)},
				{"Set-Cookie", []byte(secret)},
				{"SET_COOKIE2", []byte(secret)},
				{"Authorization", []byte(secret)},
				{"X-Api-Key", []byte(secret)},
				{"x-csrf-token", []byte(secret)},
				{"Noon-Preview", []byte(secret)},
			}}
			for _, line := range [][]byte{e.AppendJSON(nil), e.AppendText(nil)} {
				if bytes.Contains(line, []byte(secret)) {
					t.Fatalf("query %q: %s", query, line)
				}
				if bytes.Contains(bytes.ToLower(line), []byte("header_cookie")) || bytes.Contains(line, []byte("header_set_cookie")) {
					t.Fatalf("a cookie is told of: %s", line)
				}
			}
		}
	})
}

func TestRules(t *testing.T) {
	t.Parallel()
	rules := meter.Rules{
		{Slower: time.Second, Share: 1},
		{Prefix: "/static/", Class: 2, Share: 0},
		{App: "shop", Environment: "staging", Share: 0.5},
		{Class: 4, Share: 0.25},
		{Class: 2, Share: 0.1},
	}
	if err := rules.Check(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*meter.Entry)
		want   float64
	}{
		"ordinary":                 {func(*meter.Entry) {}, 0.1},
		"slow":                     {func(e *meter.Entry) { e.Took = time.Second }, 1},
		"static":                   {func(e *meter.Entry) { e.Path = []byte("/static/a.js") }, 0},
		"static, beside it":        {func(e *meter.Entry) { e.Path = []byte("/static") }, 0.1},
		"static, not found":        {func(e *meter.Entry) { e.Path, e.Status = []byte("/static/a.js"), 404 }, 0.25},
		"static, failed":           {func(e *meter.Entry) { e.Path, e.Failed, e.Why = []byte("/static/a.js"), true, meter.Cut }, 1},
		"static, the client left":  {func(e *meter.Entry) { e.Path, e.Failed, e.Why = []byte("/static/a.js"), true, meter.ClientGone }, 0},
		"an error":                 {func(e *meter.Entry) { e.Path, e.Status = []byte("/static/a.js"), 500 }, 1},
		"of another environment":   {func(e *meter.Entry) { e.Key.Site.Environment = "staging" }, 0.5},
		"none fits, so it is kept": {func(e *meter.Entry) { e.Status = 301 }, 1},
	} {
		e := benchEntry()
		c.change(e)
		if got := rules.Share(e); got != c.want {
			t.Errorf("%s: share %v, want %v", name, got, c.want)
		}
	}
	if err := (meter.Rules{{Share: 1.1}, {Share: -1}, {Class: 6}, {Prefix: "static"}, {Slower: -1}}).Check(); err == nil || strings.Count(err.Error(), "\n") != 4 {
		t.Errorf("five mistakes: %v", err)
	}
}

func TestParseRule(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]meter.Rule{
		"":                         {Share: 1},
		"share=0.1 class=2":        {Share: 0.1, Class: 2},
		" class=4xx  slower=1.5s ": {Share: 1, Class: 4, Slower: 1500 * time.Millisecond},
		"prefix=/a=b app=shop environment=staging share=0": {Prefix: "/a=b", App: "shop", Environment: "staging"},
	} {
		if got, err := meter.ParseRule(text); err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"share", "share=", "share=x", "share=2", "share=NaN", "class=9", "class=x", "slower=1", "slower=-1s", "prefix=static", "colour=red", "=1"} {
		if r, err := meter.ParseRule(text); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%q is read as %+v: %v", text, r, err)
		}
	}
}
