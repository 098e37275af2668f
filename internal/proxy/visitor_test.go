package proxy_test

import (
	"fmt"
	"math"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/proxy"
)

// TestShares: whatever ids look like, a share is what it says, within what
// chance allows; and a growing share keeps everybody it had.
func TestShares(t *testing.T) {
	t.Parallel()
	shapes := map[string]func(base, i int) string{
		"sequential": func(base, i int) string { return fmt.Sprint(base + i) },
		"padded":     func(base, i int) string { return fmt.Sprintf("user-%012d", base+i) },
		"strided":    func(base, i int) string { return fmt.Sprintf("%x", base+i*65536) },
		"suffix":     func(base, i int) string { return fmt.Sprintf("%d@shop.example", base+i) },
	}
	rapid.Check(t, func(t *rapid.T) {
		const n = 4000
		points := rapid.IntRange(1, noon.PointsWhole-1).Draw(t, "points")
		more := rapid.IntRange(points, noon.PointsWhole-1).Draw(t, "more")
		salt := rapid.StringMatching(`[a-z]{1,20}@production/r[0-9]{1,3}\.c0/`).Draw(t, "salt")
		base := rapid.IntRange(0, 1<<30).Draw(t, "base")
		shape := rapid.SampledFrom([]string{"sequential", "padded", "strided", "suffix"}).Draw(t, "shape")
		now := []noon.Share{{Revision: rev(1), Points: noon.PointsWhole - points}, {Revision: rev(2), Points: points}}
		later := []noon.Share{{Revision: rev(1), Points: noon.PointsWhole - more}, {Revision: rev(2), Points: more}}
		got := 0
		for i := range n {
			b := proxy.Bucket(salt, shapes[shape](base, i))
			if b < 0 || b >= noon.PointsWhole {
				t.Fatalf("bucket %d", b)
			}
			if proxy.ByShare(now, b) == rev(2) {
				got++
				if proxy.ByShare(later, b) != rev(2) {
					t.Fatalf("bucket %d leaves r2 when its share grows from %d to %d", b, points, more)
				}
			}
		}
		share := float64(points) / noon.PointsWhole
		// Six standard deviations: once in half a billion.
		if limit := 6*math.Sqrt(share*(1-share)/n) + 1.0/n; math.Abs(float64(got)/n-share) > limit {
			t.Fatalf("%d of %d have a share of %.4f", got, n, share)
		}
	})
}

// TestSticky: a visitor stays with a release; nobody gets a cookie while there
// is only one.
func TestSticky(t *testing.T) {
	t.Parallel()
	p := start(t, proxy.Limits{})
	one, two := backend(t, says("r1")), backend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Cookie") != "" {
			http.Error(w, "the instance saw "+r.Header.Get("Cookie"), http.StatusTeapot)
			return
		}
		_, _ = fmt.Fprint(w, "r2")
	})
	alone := routing(1, 1, one)
	mustRoute(t, p, alone)
	c := client(t)
	if a := get(t, c, p.url); a.header.Get("Set-Cookie") != "" {
		t.Errorf("a cookie although one release has everything: %v", a.header)
	}
	both := routing(2, 1, one)
	both.Endpoints = append(both.Endpoints, endpoints(2, two)...)
	both.Shares = []noon.Share{{Revision: rev(2), Points: 5000}, {Revision: rev(1), Points: 5000}}
	mustRoute(t, p, both)
	seen := map[string]int{}
	for range 40 {
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		visitor := &http.Client{Transport: c.Transport, Jar: jar}
		first := get(t, visitor, p.url)
		seen[first.body]++
		cookie := first.header.Get("Set-Cookie")
		if !strings.HasPrefix(cookie, "noon_visitor=") || !strings.Contains(cookie, "HttpOnly") || !strings.Contains(cookie, "SameSite=Lax") {
			t.Fatalf("cookie %q", cookie)
		}
		for range 3 {
			if a := get(t, visitor, p.url); a.body != first.body || a.header.Get("Set-Cookie") != "" {
				t.Fatalf("first %q, then %q with cookie %q", first.body, a.body, a.header.Get("Set-Cookie"))
			}
		}
	}
	if seen["r1"] < 5 || seen["r2"] < 5 {
		t.Errorf("40 visitors: %v", seen)
	}
}

func TestPreview(t *testing.T) {
	t.Parallel()
	p := start(t, proxy.Limits{})
	var got http.Header
	r := routing(1, 1, backend(t, says("r1")))
	r.Endpoints = append(r.Endpoints, endpoints(2, backend(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Clone()
		_, _ = fmt.Fprint(w, "r2")
	}))...)
	r.Previews = []noon.Preview{{Token: "sesame-2", Revision: rev(2)}, {Token: "sesame-3", Revision: rev(3)}}
	mustRoute(t, p, r)
	c := client(t)
	if a := get(t, c, p.url, withHeader("Noon-Preview", "sesame-2"), withHeader("Cookie", "noon_preview=x; a=1")); a.body != "r2" || a.header.Get("Noon-Release") != "r2" {
		t.Errorf("header: %+v", a)
	}
	if got.Get("Noon-Preview") != "" || got.Get("Cookie") != "a=1" {
		t.Errorf("the instance saw %v", got)
	}
	for _, token := range []string{"sesame", "sesame-22", "SESAME-2", "-"} {
		for _, set := range []func(*http.Request){withHeader("Noon-Preview", token), withHeader("Cookie", "noon_preview="+token), withHeader("Cookie", `noon_preview="`+token+`"`)} {
			if a := get(t, c, p.url, set); a.status != 404 || !strings.Contains(a.body, "previewed") {
				t.Errorf("%s: %+v", token, a)
			}
		}
	}
	if a := get(t, c, p.url, withHeader("Cookie", "noon_preview=")); a.status != 404 {
		t.Errorf("empty cookie: %+v", a)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Transport: c.Transport, Jar: jar}
	if a := get(t, browser, p.url+"/.noon/preview/sesame-2"); a.body != "r2" {
		t.Errorf("browser: %+v", a)
	}
	if a := get(t, browser, p.url+"/deep/page"); a.body != "r2" {
		t.Errorf("browser, next page: %+v", a)
	}
	if a := get(t, browser, p.url+"/.noon/preview/"); a.body != "r1" {
		t.Errorf("browser, after clearing: %+v", a)
	}
	if a := get(t, c, p.url+"/.noon/preview/sesame-2"); a.status != 303 || a.header.Get("Location") != "/" ||
		a.header.Get("Set-Cookie") != "noon_preview=sesame-2; Path=/; HttpOnly; SameSite=Lax" || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("redirect: %+v", a)
	}
	if a := get(t, c, p.url+"/.noon/preview/wrong"); a.status != 404 || a.header.Get("Set-Cookie") != "" {
		t.Errorf("unknown: %+v", a)
	}
	post, err := do(c, request(t, http.MethodPost, p.url+"/.noon/preview/sesame-2", nil))
	if err != nil || post.status != 405 {
		t.Errorf("post: %+v %v", post, err)
	}
}

// FuzzPreviewCookie: whatever a client sends as cookies, the instance gets
// everything but noon's own, and no token of noon's.
func FuzzPreviewCookie(f *testing.F) {
	for _, seed := range []string{"", "a=1", "noon_preview=x", "a=1; noon_preview=tok; b=2", "noon_visitor=a;noon_visitor=b", ";;=;", `noon_preview="q; x"`, " noon_preview =x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		rest, _, visitor := proxy.ReadCookieLine(line)
		if len(visitor) > 64 {
			t.Errorf("a visitor id of %d bytes", len(visitor))
		}
		if len(rest) > len(line) {
			t.Errorf("%q became longer: %q", line, rest)
		}
		for part := range strings.SplitSeq(rest, ";") {
			if name, _, _ := strings.Cut(strings.TrimSpace(part), "="); name == "noon_preview" || name == "noon_visitor" {
				t.Errorf("%q: %q is left", line, part)
			}
		}
		if again, preview, _ := proxy.ReadCookieLine(rest); again != rest || preview != "" {
			t.Errorf("%q: twice gives %q", rest, again)
		}
	})
}
