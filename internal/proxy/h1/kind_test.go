package h1_test

import (
	"strings"
	"testing"

	"github.com/noon-deploy/noon/internal/proxy/h1"
)

func known() map[string]h1.Kind {
	return map[string]h1.Kind{
		"Keep-Alive": h1.Hop, "Proxy-Connection": h1.Hop, "TE": h1.Hop, "Proxy": h1.Hop, "HTTP2-Settings": h1.Hop, "Connection": h1.Hop,
		"Proxy-Authenticate": h1.Hop, "Proxy-Authorization": h1.Hop, "Proxy-Authentication-Info": h1.Hop,
		"Trailer": h1.Trailer, "Cookie": h1.Cookie, "Forwarded": h1.Forwarded, "X-Forwarded-For": h1.Forwarded, "X-Forwarded-Proto": h1.Forwarded,
		"X-Forwarded-Anything-That-Is-Long-Enough": h1.Forwarded, "X-Real-Ip": h1.Forwarded, "X-Request-Id": h1.RequestID, "Traceparent": h1.TraceParent, "Tracestate": h1.TraceState,
		"Accept": h1.Accept, "Accept-Encoding": h1.AcceptEncoding, "Content-Type": h1.ContentType, "Content-Encoding": h1.Content, "Content-Range": h1.Content, "Content-Location": h1.Content,
		"Content-Language": h1.Content, "Set-Cookie": h1.SetCookie, "Date": h1.Date, "Range": h1.Range, "Idempotency-Key": h1.IdempotencyKey, "User-Agent": h1.UserAgent,
		"Location": h1.Location, "Authorization": h1.Authorization, "WWW-Authenticate": h1.Authorization, "Cache-Control": h1.CacheControl, "If-Match": h1.Condition, "If-None-Match": h1.Condition,
		"If-Modified-Since": h1.Condition, "If-Unmodified-Since": h1.Condition, "If-Range": h1.Condition, "Referer": h1.Referer, "Origin": h1.Origin, "Server": h1.Server, "Retry-After": h1.RetryAfter,
		"Noon-Release": h1.Noon, "Noon-X": h1.Noon, "Noon-Something-Longer-Than-That": h1.Noon, "Noon-Preview": h1.Noon, "Noon-Id": h1.Noon,
	}
}

// kinds parses a GET with more fields and gives the kinds of those.
func kinds(t *testing.T, lines string) []h1.Kind {
	t.Helper()
	var r h1.Request
	raw := "GET / HTTP/1.1\r\nHost: a\r\n" + lines + "\r\n"
	if n, err := r.Parse([]byte(raw)); n != len(raw) || err != nil {
		t.Fatalf("%q: %d, %v", raw, n, err)
	}
	var all []h1.Kind
	for _, f := range r.Fields[1:] {
		all = append(all, f.Kind)
	}
	return all
}

func TestKinds(t *testing.T) {
	t.Parallel()
	for name, want := range known() {
		for _, n := range []string{name, strings.ToLower(name), strings.ToUpper(name)} {
			if got := kinds(t, n+": x\r\n")[0]; got != want {
				t.Errorf("%s is %s, want %s", n, got, want)
			}
			// Neither a letter more nor one less is the same field.
			for _, other := range []string{"y" + n, n + "y", n[:len(n)-1], n[1:]} {
				if got := kinds(t, other+": x\r\n")[0]; got != h1.Other && got != known()[other] && got != h1.Forwarded && got != h1.Noon {
					t.Errorf("%s is %s", other, got)
				}
			}
		}
	}
}

// Only fields of the kind Other can be named away.
func TestConnectionDoesNotNameAwayWhatIsNeeded(t *testing.T) {
	t.Parallel()
	for name, want := range known() {
		if got := kinds(t, name+": x\r\nConnection: "+name+"\r\n")[0]; got != want && name != "Connection" {
			t.Errorf("%s, named by Connection, is %s, want %s", name, got, want)
		}
	}
	for _, name := range []string{"X-Hop", "X", "!#$", "X_Y", "X-Forwarded", "Noon"} {
		if got := kinds(t, name+": x\r\nConnection: close,\t"+strings.ToLower(name)+" \r\n")[0]; got != h1.Hop {
			t.Errorf("%s, named by Connection, is %s", name, got)
		}
	}
	// "^" and "~" differ in the bit that tells the case of letters.
	if got := kinds(t, "X^: x\r\nConnection: x~\r\n")[0]; got != h1.Other {
		t.Errorf("X^ is %s where Connection names x~", got)
	}
}

func TestLookalikes(t *testing.T) {
	t.Parallel()
	want := map[string]h1.Kind{
		"X_Forwarded_For": h1.Forwarded, "X_FORWARDED-PROTO": h1.Forwarded, "x.forwarded.for": h1.Forwarded, "X_Real_IP": h1.Forwarded, "X_Request_Id": h1.RequestID, "Noon_Preview": h1.Noon,
		"X_Forwarded_For_Something_That_Is_Longer_Than_All": h1.Forwarded, "Noon_Something_That_Is_Longer_Than_All_Others": h1.Noon, "Forwarded_": h1.Other,
		"Content_Length": h1.Hop, "Transfer_Encoding": h1.Hop, "transfer^encoding": h1.Hop, "Keep_Alive": h1.Hop, "Proxy_Authorization": h1.Hop, "HTTP2_Settings": h1.Hop,
		"Content_Type": h1.Other, "User_Agent": h1.Other, "X_Hop": h1.Other, "_": h1.Other, "Some_Very_Long_Name_That_Nobody_Knows_At_All": h1.Other,
		"Content_Length_That_Is_Longer_Than_All": h1.Other, "Content__Length": h1.Other,
	}
	for name, kind := range want {
		if got := kinds(t, name+": 5\r\n")[0]; got != kind {
			t.Errorf("%s is %s, want %s", name, got, kind)
		}
	}
	var r h1.Request
	for raw, odd := range map[string]bool{"GET / HTTP/1.1\r\nHost: a\r\nX_Y: z\r\n\r\n": true, "GET / HTTP/1.1\r\nHost: a\r\nX-Y: z\r\n\r\n": false} {
		if n, err := r.Parse([]byte(raw)); n == 0 || err != nil || r.Odd != odd {
			t.Errorf("%q: %v, odd %v, want %v", raw, err, r.Odd, odd)
		}
	}
}

func TestKindNames(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for k := h1.Other; k.String() != "unknown"; k++ {
		if k.String() == "" || seen[k.String()] {
			t.Errorf("kind %d is called %q", k, k)
		}
		seen[k.String()] = true
	}
	if !seen["te"] || h1.TraceParent.String() != "traceparent" || h1.Noon.String() != "noon" || h1.Content.String() != "content" {
		t.Errorf("names: %v", seen)
	}
}
