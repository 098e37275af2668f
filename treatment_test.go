package noon_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/noon-deploy/noon"
)

func TestValidRedirect(t *testing.T) {
	t.Parallel()
	good := []noon.Redirect{
		{From: "/old", To: "/new", Status: 301},
		{From: "/old/*", To: "/new/*", Status: 308},
		{From: "/old/*", To: "/", Status: 302},
		{From: "/a/*", To: "https://b.example.com/*?from=a", Status: 307},
		{From: "/*", To: "https://www.example.com/*", Status: 308, Host: "example.com"},
		{From: "/q/*", To: "/search?q=*", Status: 303},
		{From: "/old", To: "/old/index.html", Status: 302},
	}
	for _, r := range good {
		if err := noon.ValidRedirect(r); err != nil {
			t.Errorf("%+v: %v", r, err)
		}
	}
	bad := []noon.Redirect{
		{From: "", To: "/new", Status: 301},
		{From: "old", To: "/new", Status: 301},
		{From: "/o?x", To: "/new", Status: 301},
		{From: "/o*/x", To: "/new", Status: 301},
		{From: "/old*", To: "/new", Status: 301},
		{From: "/.noon/preview", To: "/new", Status: 301},
		{From: "/old", To: "//evil.example.com", Status: 301},
		{From: "/old", To: `/\evil.example.com`, Status: 301},
		{From: "/old", To: "javascript:alert(1)", Status: 301},
		{From: "/old", To: "https://", Status: 301},
		{From: "/old/*", To: "https://a.example.com*", Status: 301},
		{From: "/old", To: "https://shop@evil.example.com/", Status: 301},
		{From: "/old", To: "/new/*", Status: 301},
		{From: "/old/*", To: "/*/*", Status: 301},
		{From: "/old", To: "/new\r\nSet-Cookie: a=b", Status: 301},
		{From: "/old", To: "/new", Status: 200},
		{From: "/old", To: "/new"},
		{From: "/old", To: "/old", Status: 301},
		{From: "/old/*", To: "/old/x/*", Status: 301},
		{From: "/*", To: "/new", Status: 301},
		{From: "/old/*", To: "/old?x=*", Status: 301},
	}
	for _, r := range bad {
		if err := noon.ValidRedirect(r); err == nil {
			t.Errorf("%+v is taken", r)
		}
	}
}

func TestValidField(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"X-Frame-Options", "Server", "Content-Security-Policy", "Set-Cookie"} {
		if err := noon.ValidField(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"", "a b", "a:", "é", "Host", "content-length", "X-Forwarded-For", "x_forwarded_for", "Noon-Preview", "Transfer-Encoding", "Forwarded", "Upgrade"} {
		if err := noon.ValidField(name); err == nil {
			t.Errorf("%q is taken", name)
		}
	}
	for value, ok := range map[string]bool{"": true, "a\tb": true, "é": true, "a\nb": false, "\x00": false, " a": false, "a\x7f": false} {
		if err := noon.ValidFieldValue(value); (err == nil) != ok {
			t.Errorf("value %q: %v", value, err)
		}
	}
}

func TestValidPage(t *testing.T) {
	t.Parallel()
	for status, ok := range map[string]bool{"404": true, "503": true, "4xx": true, "5xx": true, "3xx": false, "200": false, "5x": false, "50x": false, "": false, "6xx": false, "4040": false} {
		if err := noon.ValidPage(status); (err == nil) != ok {
			t.Errorf("%q: %v", status, err)
		}
	}
}

func TestHalt(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	hold := &noon.Hold{Limit: time.Second, Most: 10, Until: now, By: "ana"}
	held := noon.Halt{Hold: hold, Closed: &noon.Closed{Text: "back soon", By: "ana"}}
	if at := held.At(now.Add(-1)); at.Hold == nil || at.Closed == nil {
		t.Errorf("before its end it is %+v", at)
	}
	if at := held.At(now); at.Hold != nil || at.Closed == nil {
		t.Errorf("at its end it is %+v", at)
	}
	if endless := (&noon.Hold{}); endless.Over(now) {
		t.Error("a hold without an end has ended")
	}
	data, err := json.Marshal(held)
	if err != nil {
		t.Fatal(err)
	}
	var read noon.Halt
	if err := json.Unmarshal(data, &read); err != nil || !read.Equal(held) {
		t.Errorf("read back: %v %+v", err, read)
	}
	other := *hold
	other.Most++
	for _, different := range []noon.Halt{{}, {Hold: hold}, {Closed: held.Closed}, {Hold: hold, Closed: &noon.Closed{By: "ben"}}, {Hold: &other, Closed: held.Closed}} {
		if held.Equal(different) || different.Equal(held) {
			t.Errorf("%+v is taken for %+v", different, held)
		}
	}
}
