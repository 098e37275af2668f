package proxy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/noon-deploy/noon/internal/proxy"
)

// place is a site as a naive model has it.
type place struct{ domains, paths []string }

// findNaively looks at every site: a domain by itself comes before wildcards,
// a longer wildcard before a shorter one, sites without domains come last; of
// those of one host name the longest path counts.
func findNaively(sites map[string]place, host, path string) string {
	candidates := []string{host}
	labels := strings.Split(host, ".")
	for i := 1; i < len(labels); i++ {
		candidates = append(candidates, "*."+strings.Join(labels[i:], "."))
	}
	if host == "" {
		candidates = nil
	}
	for _, name := range append(candidates, "") {
		found, best, known := "", -1, false
		for key, p := range sites {
			if !slices.Contains(p.domains, name) && (name != "" || len(p.domains) > 0) {
				continue
			}
			known = true
			if prefix, ok := longest(p.paths, path); ok && len(prefix) > best {
				found, best = key, len(prefix)
			}
		}
		if known {
			return found
		}
	}
	return ""
}

func longest(all []string, path string) (string, bool) {
	best, ok := "", false
	for _, prefix := range all {
		normal := strings.TrimRight(prefix, "/")
		if (path == normal || strings.HasPrefix(path, normal+"/")) && (!ok || len(normal) > len(strings.TrimRight(best, "/"))) {
			best, ok = prefix, true
		}
	}
	return best, ok
}

// TestSnapshots: after any changes a snapshot answers as looking at every site
// would, and those before it still answer as they did.
func TestSnapshots(t *testing.T) {
	t.Parallel()
	hosts := []string{"a.x", "b.x", "*.x", "*.b.x", "c.b.x", "y", "*.y", "deep.c.b.x"}
	asked := append(slices.DeleteFunc(slices.Clone(hosts), func(h string) bool { return h[0] == '*' }), "", "z", "q.y", "q.q.y", "x", "e.b.x", "b.b.b.x")
	paths := []string{"/", "/a", "/a/b", "/a/b/c", "/ab", "/b/"}
	rapid.Check(t, func(t *rapid.T) {
		type moment struct {
			hosts *proxy.Hosts
			sites map[string]place
		}
		now := moment{proxy.NewHosts(), map[string]place{}}
		history := []moment{now}
		for range rapid.IntRange(1, 12).Draw(t, "changes") {
			key := fmt.Sprint("site", rapid.IntRange(0, 4).Draw(t, "site"))
			next := map[string]place{}
			for k, v := range now.sites {
				if k != key {
					next[k] = v
				}
			}
			var p place
			if rapid.IntRange(0, 3).Draw(t, "remove") > 0 {
				p.domains = rapid.SliceOfNDistinct(rapid.SampledFrom(hosts), 0, 3, rapid.ID[string]).Draw(t, "domains")
				p.paths = rapid.SliceOfNDistinct(rapid.SampledFrom(paths), 1, 4, rapid.ID[string]).Draw(t, "paths")
				if conflicts(next, p) {
					continue // the proxy refuses it
				}
				next[key] = p
			}
			now = moment{now.hosts.With(key, p.domains, p.paths), next}
			history = append(history, now)
		}
		for range 40 {
			m := rapid.SampledFrom(history).Draw(t, "moment")
			host := rapid.SampledFrom(asked).Draw(t, "host")
			path := rapid.SampledFrom([]string{"/", "/a", "/a/", "/ab", "/abc", "/a/b", "/a/bc", "/a/b/c/d", "/b", "/b/x", "/x"}).Draw(t, "path")
			if got, want := m.hosts.Find(host, path), findNaively(m.sites, host, path); got != want {
				t.Fatalf("%s%s: %q, want %q of %v", host, path, got, want, m.sites)
			}
		}
	})
}

// conflicts reports that another site has one of the places already.
func conflicts(sites map[string]place, p place) bool {
	domains := func(p place) []string {
		if len(p.domains) == 0 {
			return []string{""}
		}
		return p.domains
	}
	normal := func(s string) string { return strings.TrimRight(s, "/") }
	for _, other := range sites {
		for _, d := range domains(other) {
			for _, path := range other.paths {
				if slices.Contains(domains(p), d) && slices.ContainsFunc(p.paths, func(mine string) bool { return normal(mine) == normal(path) }) {
					return true
				}
			}
		}
	}
	return false
}

// TestPrefixes: the longest prefix of whole segments, as looking at all finds it.
func TestPrefixes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfNDistinct(rapid.StringMatching(`(/[ab]{1,2}){0,4}/?`), 0, 6, func(s string) string { return strings.TrimRight(s, "/") }).Draw(t, "prefixes")
		path := rapid.StringMatching(`(/[ab]{0,2}){0,6}`).Draw(t, "path")
		got, gotOK := proxy.FindPrefix(all, path)
		want, wantOK := longest(all, path)
		if got != want || gotOK != wantOK {
			t.Fatalf("%q: %q %v, want %q %v of %q", path, got, gotOK, want, wantOK, all)
		}
	})
}
