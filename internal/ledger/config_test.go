package ledger_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/ledger"
)

func set(t *testing.T, l *ledger.Ledger, changes ...ledger.Change) int {
	t.Helper()
	return must(l.SetConfig(t.Context(), production(), changes, "ada"))(t)
}

func TestConfigVersions(t *testing.T) {
	t.Parallel()
	l := fresh(t, fixedClock())
	ctx := t.Context()
	if c := must(l.LatestConfig(ctx, production()))(t); c.Version != 0 || len(c.Values) != 0 {
		t.Fatalf("the first configuration is %+v", c)
	}
	for i, changes := range [][]ledger.Change{
		{{Name: "A", Value: "1"}, {Name: "S", Value: "hush", Secret: true}},
		{{Name: "A", Value: "2"}},
		{{Name: "A", Unset: true}, {Name: "B", Value: ""}},
		{{Name: "S", Value: "hush"}}, // no longer secret
	} {
		if v := set(t, l, changes...); v != i+1 {
			t.Errorf("version is %d, want %d", v, i+1)
		}
	}
	secret := ledger.Value{Text: "hush", Secret: true}
	for version, want := range []map[string]ledger.Value{
		{}, {"A": {Text: "1"}, "S": secret}, {"A": {Text: "2"}, "S": secret}, {"B": {}, "S": secret}, {"B": {}, "S": {Text: "hush"}},
	} {
		c := must(l.Config(ctx, production(), version))(t)
		if diff := cmp.Diff(want, c.Values); diff != "" || c.Version != version {
			t.Errorf("version %d is %d and differs: %s", version, c.Version, diff)
		}
		if version > 0 && (c.By != "ada" || !c.Created.Equal(noon2026())) {
			t.Errorf("version %d is by %q of %s", version, c.By, c.Created)
		}
	}
	if env := must(l.LatestConfig(ctx, production()))(t).Env(); !cmp.Equal(env, map[string]string{"B": "", "S": "hush"}) {
		t.Errorf("environment is %v", env)
	}
	_, err := l.Config(ctx, production(), 5)
	wantHint(t, err, noon.NotFound, "check the number")
	if c := must(l.LatestConfig(ctx, staging()))(t); c.Version != 0 {
		t.Errorf("another environment has version %d", c.Version)
	}
}

func TestConfigWithoutChangeMakesNoVersion(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	set(t, l, ledger.Change{Name: "A", Value: "1"}, ledger.Change{Name: "S", Value: "hush", Secret: true})
	changed := l.Changed()
	if v := set(t, l, ledger.Change{Name: "A", Value: "1"}, ledger.Change{Name: "S", Value: "hush", Secret: true}); v != 1 {
		t.Errorf("the same values made version %d", v)
	}
	select {
	case <-changed:
		t.Error("a write was announced that did not happen")
	default:
	}
	if v := set(t, l, ledger.Change{Name: "A", Value: "2"}); v != 2 {
		t.Errorf("the next version is %d, want 2: numbers have a gap", v)
	}
}

func TestConfigRefused(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	set(t, l, ledger.Change{Name: "A", Value: "1"})
	for name, c := range map[string]struct {
		changes []ledger.Change
		kind    noon.ErrorKind
	}{
		"empty name":  {[]ledger.Change{{Value: "1"}}, noon.Invalid},
		"digit first": {[]ledger.Change{{Name: "1A"}}, noon.Invalid},
		"an equals":   {[]ledger.Change{{Name: "A=B"}}, noon.Invalid},
		"a slash":     {[]ledger.Change{{Name: "A/B"}}, noon.Invalid},
		"twice":       {[]ledger.Change{{Name: "B", Value: "1"}, {Name: "B", Value: "2"}}, noon.Invalid},
		"zero byte":   {[]ledger.Change{{Name: "B", Value: "hush\x00", Secret: true}}, noon.Invalid},
		"not UTF-8":   {[]ledger.Change{{Name: "B", Value: "hush\xff", Secret: true}}, noon.Invalid},
		"not set":     {[]ledger.Change{{Name: "C", Value: "1"}, {Name: "B", Unset: true}}, noon.NotFound},
	} {
		_, err := l.SetConfig(t.Context(), production(), c.changes, "ada")
		if err == nil {
			t.Errorf("%s: taken", name)
			continue
		}
		wantKind(t, err, c.kind)
		if text := err.Error() + noon.HintOf(err); strings.Contains(text, "hush") {
			t.Errorf("%s: the error shows a secret: %s", name, text)
		}
	}
	if c := must(l.LatestConfig(t.Context(), production()))(t); c.Version != 1 || len(c.Values) != 1 {
		t.Errorf("something was stored: %+v", c)
	}
}

// TestConfigModel compares the ledger with a model, and every old version with
// what it was when it was made.
func TestConfigModel(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	sites := 0
	rapid.Check(t, func(r *rapid.T) {
		sites++
		site := noon.Site{App: fmt.Sprintf("a%d", sites), Environment: "production"}
		history := []map[string]ledger.Value{{}}
		for range rapid.IntRange(1, 5).Draw(r, "changes") {
			c := ledger.Change{
				Name: rapid.SampledFrom([]string{"A", "B", "_c"}).Draw(r, "name"), Value: rapid.StringMatching(`[a-z =\n"ß]{0,4}`).Draw(r, "value"),
				Secret: rapid.Bool().Draw(r, "secret"), Unset: rapid.Bool().Draw(r, "unset"),
			}
			next := map[string]ledger.Value{}
			maps.Copy(next, history[len(history)-1])
			_, set := next[c.Name]
			if delete(next, c.Name); !c.Unset {
				next[c.Name] = ledger.Value{Text: c.Value, Secret: c.Secret}
			}
			version, err := l.SetConfig(t.Context(), site, []ledger.Change{c}, "rapid")
			if c.Unset && !set {
				wantKind(r, err, noon.NotFound)
				continue
			}
			noErr(r, err)
			if !cmp.Equal(next, history[len(history)-1]) {
				history = append(history, next)
			}
			if version != len(history)-1 {
				r.Fatalf("version is %d, want %d", version, len(history)-1)
			}
		}
		for version, want := range history {
			if diff := cmp.Diff(want, must(l.Config(t.Context(), site, version))(r).Values); diff != "" {
				r.Fatalf("version %d changed: %s", version, diff)
			}
		}
	})
}

func TestSecretsAreNowhereInTheFiles(t *testing.T) {
	t.Parallel()
	const secret, plain = "correct-horse-battery-staple", "plain-for-comparison"
	path := newPath(t)
	dir := filepath.Dir(path)
	l := open(t, path)
	set(t, l, ledger.Change{Name: "SESSION_KEY", Value: secret, Secret: true}, ledger.Change{Name: "PLAIN", Value: plain})
	noErr(t, l.Backup(t.Context(), filepath.Join(dir, "backup.db")))
	want := []string{"backup.db", "ledger.db-wal"}
	if found := filesWith(t, dir, plain); !cmp.Equal(found, want) {
		t.Fatalf("the plain value is in %v, want it in %v: the test looks in the wrong place", found, want)
	}
	noErr(t, l.WriterExec(t.Context(), `PRAGMA wal_checkpoint(FULL)`))
	if found := filesWith(t, dir, plain); !slices.Contains(found, "ledger.db") {
		t.Fatalf("the plain value is in %v, want it in ledger.db too", found)
	}
	for _, form := range []string{secret, secret[8:20], base64.StdEncoding.EncodeToString([]byte(secret))[:30]} {
		if found := filesWith(t, dir, form); len(found) != 0 {
			t.Errorf("the secret can be read in %v", found)
		}
	}
}

func TestSecretsHideFromPrinting(t *testing.T) {
	t.Parallel()
	const secret = "hush"
	v := ledger.Value{Text: secret, Secret: true}
	c := ledger.Change{Name: "S", Value: secret, Secret: true}
	config := ledger.Config{Version: 1, Values: map[string]ledger.Value{"S": v}}
	var logged strings.Builder
	log := slog.New(slog.NewTextHandler(&logged, nil))
	log.Info("values", "value", v, "change", c, "config", config)
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("values", "value", v, "change", c, "config", config)
	shown := []string{
		logged.String(), string(must(json.Marshal(config))(t)),
		fmt.Sprintf("%v %+v %#v %s %q", v, v, v, v, v), fmt.Sprintf("%v %+v %#v", config, config, config),
		fmt.Sprintf("%v %+v %#v %s", c, c, c, []ledger.Change{c}), fmt.Sprintf("%v %+v %#v %s", testKey(), testKey(), testKey(), testKey()),
	}
	for _, s := range shown {
		if strings.Contains(s, secret) || strings.Contains(s, "\x01\x02\x03") || strings.Contains(s, "0x1, 0x2") || strings.Contains(s, "1 2 3") {
			t.Errorf("a secret is shown: %s", s)
		}
	}
	if s := fmt.Sprint(ledger.Value{Text: "plain"}); s != "plain" {
		t.Errorf("a plain value is shown as %q", s)
	}
}

func TestSealedValuesStayInTheirPlace(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	l := open(t, path)
	set(t, l, ledger.Change{Name: "A", Value: "hush", Secret: true}, ledger.Change{Name: "B", Value: "quiet", Secret: true})
	// Somebody who can write the file, but has no key, swaps two secrets.
	rawExec(t, path, `UPDATE config_value SET value = (SELECT value FROM config_value WHERE name = 'A') WHERE name = 'B'`)
	_, err := l.LatestConfig(t.Context(), production())
	wantKind(t, err, noon.Internal)
	if !strings.Contains(err.Error(), "shop/production/B/1 was sealed with another key or altered") {
		t.Errorf("error is %v", err)
	}
	for _, value := range []string{"", "hush", "gcm1.", "gcm1.AAAA", "gcm1.***", "gcm2.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"} {
		rawExec(t, path, `UPDATE config_value SET value = '`+value+`' WHERE name = 'B'`)
		if _, err := l.LatestConfig(t.Context(), production()); err == nil {
			t.Errorf("%q was taken for a secret", value)
		}
	}
}
