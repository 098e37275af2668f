package ledger_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/noon-deploy/noon"
)

func TestReleasesAreNumberedPerApp(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	ctx := t.Context()
	blog := release(1)
	blog.App = "blog"
	for i, want := range []int{1, 2, 2, 1, 3} {
		if got := must(l.AddRelease(ctx, release([]int{1, 2, 2, 1, 3}[i]), []byte("app: shop")))(t); got.Number != want {
			t.Errorf("addition %d got number %d, want %d", i, got.Number, want)
		}
	}
	if got := must(l.AddRelease(ctx, blog, []byte("app: blog")))(t); got.Number != 1 {
		t.Errorf("the first release of another app got number %d", got.Number)
	}
	got, manifest, err := l.Release(ctx, "shop", 2)
	noErr(t, err)
	want := release(2)
	want.Number = 2
	if diff := cmp.Diff(want, got); diff != "" || string(manifest) != "app: shop" {
		t.Errorf("release differs: %s; manifest is %q", diff, manifest)
	}
	if got, _, err = l.ReleaseByDigest(ctx, "shop", want.Digest); err != nil || got != want {
		t.Errorf("by digest: %+v, %v", got, err)
	}
	if apps := must(l.Apps(ctx))(t); !cmp.Equal(apps, []string{"blog", "shop"}) {
		t.Errorf("apps are %v", apps)
	}
	if all := must(l.Releases(ctx, "shop"))(t); len(all) != 3 || all[0].Number != 3 || all[2].Number != 1 {
		t.Errorf("releases are %+v", all)
	}
}

func TestPrunedReleasesAreNotFound(t *testing.T) {
	t.Parallel()
	l := fresh(t, fixedClock())
	ctx := t.Context()
	for n := range 3 {
		must(l.AddRelease(ctx, release(n), nil))(t)
	}
	noErr(t, l.MarkPruned(ctx, "shop", []int{1, 2}))
	_, _, err := l.Release(ctx, "shop", 2)
	wantHint(t, err, noon.NotFound, "build commit 000000000000 again")
	if !strings.Contains(err.Error(), "r2 of shop: its content was pruned on 2026-03-01") {
		t.Errorf("error is %v", err)
	}
	if kept := must(l.Releases(ctx, "shop"))(t); len(kept) != 1 || kept[0].Number != 3 {
		t.Errorf("kept are %+v", kept)
	}
	if all := must(l.AllReleases(ctx, "shop"))(t); len(all) != 3 || !all[2].Pruned.Equal(noon2026()) || !all[0].Pruned.IsZero() {
		t.Errorf("all are %+v", all)
	}
	// The same content comes back: the same release.
	if again := must(l.AddRelease(ctx, release(1), nil))(t); again.Number != 2 {
		t.Errorf("the pruned release came back as %s", again.Name())
	}
	if _, _, err := l.Release(ctx, "shop", 2); err != nil {
		t.Error(err)
	}
	// All or none.
	wantHint(t, l.MarkPruned(ctx, "shop", []int{3, 4}), noon.NotFound, "noon releases")
	if _, _, err := l.Release(ctx, "shop", 3); err != nil {
		t.Errorf("half of a refused pruning stayed: %v", err)
	}
}

func TestReleasesRefused(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	for name, change := range map[string]func(*noon.Release, *[]byte){
		"no app":          func(r *noon.Release, _ *[]byte) { r.App = "" },
		"no digest":       func(r *noon.Release, _ *[]byte) { r.Digest = "" },
		"other algorithm": func(r *noon.Release, _ *[]byte) { r.Digest = "md5" + r.Digest[6:] },
		"short digest":    func(r *noon.Release, _ *[]byte) { r.Digest = r.Digest[:70] },
		"upper case":      func(r *noon.Release, _ *[]byte) { r.Digest = "sha256:" + strings.Repeat("A", 64) },
		"not text":        func(_ *noon.Release, m *[]byte) { *m = []byte{0xff, 0xfe} },
		"a zero byte":     func(_ *noon.Release, m *[]byte) { *m = []byte("a\x00b") },
	} {
		r, manifest := release(1), []byte("app: shop")
		change(&r, &manifest)
		_, err := l.AddRelease(t.Context(), r, manifest)
		if err == nil {
			t.Errorf("%s: taken", name)
			continue
		}
		wantKind(t, err, noon.Invalid)
	}
	if all := must(l.Apps(t.Context()))(t); len(all) != 0 {
		t.Errorf("something was stored: %v", all)
	}
	_, _, err := l.Release(t.Context(), "shop", 1)
	wantHint(t, err, noon.NotFound, "noon releases")
}
