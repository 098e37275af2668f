package noon_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/noon-deploy/noon"
)

func TestValidName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a", "shop", "web-2", "a--b", "a1", strings.Repeat("a", noon.MaxName)} {
		if err := noon.ValidName(name); err != nil {
			t.Errorf("%q is refused: %v", name, err)
		}
	}
	for name, want := range map[string]string{
		"":                                  "empty",
		strings.Repeat("a", noon.MaxName+1): "longer than 40",
		"Shop":                              "lower-case",
		"1shop":                             "beginning with a letter",
		"-shop":                             "beginning with a letter",
		"shop-":                             "inner dashes",
		"my_shop":                           "lower-case letters",
		"my shop":                           "lower-case letters",
		"a@b":                               "lower-case letters",
		"a/b":                               "lower-case letters",
		"..":                                "lower-case letters",
		"café":                              "lower-case letters",
		"a\x00":                             "lower-case letters",
		"a\xff":                             "lower-case letters",
		"a\n":                               "lower-case letters",
	} {
		if err := noon.ValidName(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error = %v, want one with %q", name, err, want)
		}
	}
}

// checkName: what is accepted is what the rule says, safe as a file name, and
// survives being a part of a site's key.
func checkName(t interface {
	Helper()
	Fatalf(format string, args ...any)
}, name string,
) {
	t.Helper()
	rule := regexp.MustCompile(`\A[a-z]([a-z0-9-]*[a-z0-9])?\z`)
	valid := rule.MatchString(name) && len(name) <= noon.MaxName
	if err := noon.ValidName(name); (err == nil) != valid {
		t.Fatalf("ValidName(%q) = %v, want valid %v", name, err, valid)
	}
	for _, site := range []noon.Site{{App: name, Environment: "production"}, {App: "shop", Environment: name}} {
		back, err := noon.ParseSiteKey(site.Key())
		if (err == nil) != valid || valid && back != site {
			t.Fatalf("ParseSiteKey(%q) = %v, %v", site.Key(), back, err)
		}
		if valid && filepath.Base(site.Key()) != site.Key() {
			t.Fatalf("%q is no file name", site.Key())
		}
	}
}

func TestNamesSurviveAsKeys(t *testing.T) {
	t.Parallel()
	t.Run("valid", rapid.MakeCheck(func(t *rapid.T) {
		checkName(t, rapid.StringMatching(`[a-z]([a-z0-9-]{0,38}[a-z0-9])?`).Draw(t, "name"))
	}))
	t.Run("any", rapid.MakeCheck(func(t *rapid.T) {
		checkName(t, rapid.StringOfN(rapid.RuneFrom([]rune("abz019-_@/. Aé\n")), 0, 45, -1).Draw(t, "name"))
	}))
}

func FuzzValidName(f *testing.F) {
	for _, seed := range []string{"", "shop", "web-2", "-", "a-", "1", "a@b", "a\xff", strings.Repeat("a", 41)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) { checkName(t, name) })
}

func FuzzParseSiteKey(f *testing.F) {
	for _, seed := range []string{"", "@", "shop@production", "shop@a@b", "shop/production", "shop@"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, key string) {
		site, err := noon.ParseSiteKey(key)
		if err == nil && (site.Key() != key || noon.ValidName(site.App) != nil || noon.ValidName(site.Environment) != nil) {
			t.Errorf("%q was read as %+v", key, site)
		}
	})
}

func TestReleaseNames(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 1<<40).Draw(t, "number")
		name := noon.Release{Number: n}.Name()
		if back, err := noon.ParseReleaseName(name); err != nil || back != n {
			t.Fatalf("ParseReleaseName(%q) = %d, %v", name, back, err)
		}
	})
	for _, name := range []string{"", "r", "42", "R42", "r0", "r-1", "r+1", "r042", "r42 ", " r42", "r4.2", "r1e3", "rr1", "r1_000", "r٤٢", "r99999999999999999999"} {
		if n, err := noon.ParseReleaseName(name); err == nil || !strings.Contains(err.Error(), "such as r42") {
			t.Errorf("%q was read as %d (%v)", name, n, err)
		}
	}
}

func FuzzParseReleaseName(f *testing.F) {
	for _, seed := range []string{"r1", "r42", "r0", "r042", "r", "r+1", "42"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if n, err := noon.ParseReleaseName(name); err == nil && (n < 1 || noon.ReleaseName(n) != name) {
			t.Errorf("%q was read as %d", name, n)
		}
	})
}

func TestRevisions(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := noon.Revision{Release: rapid.IntRange(1, 1<<40).Draw(t, "release"), Config: rapid.IntRange(0, 1<<40).Draw(t, "config")}
		if back, err := noon.ParseRevision(r.String()); err != nil || back != r {
			t.Fatalf("ParseRevision(%q) = %v, %v", r, back, err)
		}
	})
	for _, name := range []string{"", "none", "r1", "r1.c", "r1.c-1", "r1.c-0", "r1.c+1", "r1.c01", "r0.c1", "r1.c1.c1", "r1.1", "c1.r1", "r1.c1 "} {
		if r, err := noon.ParseRevision(name); err == nil || !strings.Contains(err.Error(), "such as r42.c3") {
			t.Errorf("%q was read as %v (%v)", name, r, err)
		}
	}
	var zero noon.Revision
	if !zero.IsZero() || zero.String() != "none" || (noon.Revision{Release: 1}).IsZero() {
		t.Error("only the zero revision is none")
	}
}

func FuzzParseRevision(f *testing.F) {
	for _, seed := range []string{"r1.c0", "r42.c3", "none", "r1.c+1", "r1.c01", "r1.c", ".c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if r, err := noon.ParseRevision(name); err == nil && (r.IsZero() || r.String() != name) {
			t.Errorf("%q was read as %v", name, r)
		}
	})
}
