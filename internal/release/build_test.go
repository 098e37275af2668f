package release_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/release"
)

// validateAll lets the library judge every image, and returns the blobs that
// they are made of.
func validateAll(tb testing.TB, dir string, s *release.Store) map[string]bool {
	tb.Helper()
	referenced := map[string]bool{}
	digests, err := s.Digests(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	l, err := layout.FromPath(dir)
	if err != nil {
		tb.Fatal(err)
	}
	for _, digest := range digests {
		h, err := v1.NewHash(digest)
		if err != nil {
			tb.Fatal(err)
		}
		img, err := l.Image(h)
		if err != nil {
			tb.Fatal(err)
		}
		// The library's slow way takes every layer for a compressed one.
		if err := validate.Image(img, validate.Fast); err != nil {
			tb.Errorf("image %s is not valid: %v", digest, err)
		}
		validateLayers(tb, img)
		m, err := img.Manifest()
		if err != nil {
			tb.Fatal(err)
		}
		referenced[h.Hex], referenced[m.Config.Digest.Hex] = true, true
		for _, layer := range m.Layers {
			referenced[layer.Digest.Hex] = true
		}
	}
	return referenced
}

func validateLayers(tb testing.TB, img v1.Image) {
	tb.Helper()
	layers, err := img.Layers()
	if err != nil {
		tb.Fatal(err)
	}
	for _, l := range layers {
		want, _ := l.Digest()
		diff, err := l.DiffID()
		if err != nil || diff != want {
			tb.Errorf("diff id of layer %s is %s, %v", want, diff, err)
		}
		r, err := l.Uncompressed()
		if err != nil {
			tb.Fatal(err)
		}
		got, size, err := v1.SHA256(r)
		r.Close()
		if wantSize, _ := l.Size(); err != nil || got != want || size != wantSize {
			tb.Errorf("layer %s is %s with %d bytes, %v", want, got, size, err)
		}
	}
}

func TestBuildIsAValidImage(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "releases")
	s := openAt(t, dir)
	r := shop(t)
	r.write("big/blob", strings.Repeat("0123456789abcdef", 1<<17)).commit("Add something large")
	c := build(t, s, r.recipe())
	if c.Commit != r.git("rev-parse", "HEAD") || c.Title != "Add something large" || c.Dirty || !c.Time.Equal(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)) || c.Size < 2<<20 {
		t.Errorf("content is %+v", c)
	}
	wantClean(t, dir, s)
	if left := list(t, filepath.Join(dir, "work")); len(left) > 0 {
		t.Errorf("left of the checkout: %q", left)
	}
	inspected, err := s.Inspect(t.Context(), c.Digest)
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(inspected) != fmt.Sprint(c) {
		t.Errorf("inspected: %+v\nbuilt:     %+v", inspected, c)
	}
}

// TestDigestIsPinned fails when the canonical form of a release changes, by a
// change here, of Go or of a library. Then stored releases could not be
// verified any more: the form must stay, or get a new format number.
func TestDigestIsPinned(t *testing.T) {
	t.Parallel()
	if runtime.GOARCH != "amd64" {
		t.Skip("the architecture is part of an image")
	}
	r := newRepo(t).write("noon.yaml", "{}").write("static/"+strings.Repeat("long/", 40)+"ä.txt", "text\n")
	writeFile(t, filepath.Join(r.dir, "run"), "#!/bin/sh\n", 0o755)
	if err := os.Symlink("static", filepath.Join(r.dir, "link")); err != nil {
		t.Fatal(err)
	}
	r.commit("Pin it")
	const want = "sha256:84613bc4186920441d58b4571eb3081de9009a6e97ab71d34a8bbae730c60c27"
	if c := build(t, open(t), r.recipe()); c.Digest != want {
		t.Errorf("digest is %s, want %s", c.Digest, want)
	}
}

func TestBuildIsReproducible(t *testing.T) { // not parallel: umask is the process's
	app := noon.App{Build: noon.Build{
		Command: []string{"sh", "-c", `mkdir -p out/empty && pwd > out/where && date -d @$SOURCE_DATE_EPOCH > out/when 2>/dev/null || date -r $SOURCE_DATE_EPOCH > out/when; echo x > out/private; stat -c %Y README >> out/when`},
		Files:   []string{"out", "bin/*"},
	}}
	r := shop(t).app(app)
	r.commit("Build something")
	clone := repo{t, t.TempDir()}
	clone.git("clone", "-q", r.dir, ".")
	clone.git("config", "core.autocrlf", "true")
	clone.git("tag", "v1")
	work := t.TempDir()
	digests := map[string]bool{}
	for i, from := range []repo{r, clone, r} {
		old := syscall.Umask([]int{0o022, 0o077, 0o002}[i])
		recipe := from.recipe()
		recipe.Work = work
		c := build(t, open(t), recipe)
		syscall.Umask(old)
		digests[c.Digest] = true
	}
	if len(digests) != 1 {
		t.Errorf("one commit gave %v", digests)
	}
}

func TestBuildOfTheSameFilesShares(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "releases")
	s := openAt(t, dir)
	r := shop(t)
	r.write("big/blob", strings.Repeat("0123456789abcdef", 1<<17)).commit("Large")
	first := build(t, s, r.recipe())
	r.write("small", "1").commit("Small")
	second := build(t, s, r.recipe())
	if first.Digest == second.Digest {
		t.Fatal("two commits have one digest")
	}
	if n := len(validateAll(t, dir, s)); n != 7 { // two manifests, two configs, two small layers, one large
		t.Errorf("two releases are %d blobs, want 7", n)
	}
	again := build(t, s, r.recipe())
	if digests, _ := s.Digests(t.Context()); again.Digest != second.Digest || len(digests) != 2 {
		t.Errorf("building again gave %s; stored are %v", again.Digest, digests)
	}
}

func TestBuildOfATreeThatIsNotClean(t *testing.T) {
	t.Parallel()
	s := open(t)
	r := shop(t)
	r.write(".gitignore", "*.log\n").commit("Ignore logs")
	clean := build(t, s, r.recipe())
	r.write("noise.log", "ignored")
	if c := build(t, s, r.recipe()); c.Digest != clean.Digest {
		t.Error("an ignored file changed the release")
	}
	r.write("new.txt", "new\n").write("README", "changed\n")
	if err := os.Remove(filepath.Join(r.dir, "static/app.js")); err != nil {
		t.Fatal(err)
	}
	_, err := s.Build(t.Context(), r.recipe())
	wantError(t, err, noon.Invalid, "not committed")
	for _, want := range []string{"?? new.txt", " M README", " D static/app.js"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not list %q: %v", want, err)
		}
	}
	named := r.recipe()
	named.Commit = r.git("rev-parse", "HEAD")
	if c := build(t, s, named); c.Digest != clean.Digest {
		t.Error("the working tree changed the release of a named commit")
	}
	forced := r.recipe()
	forced.AllowDirty = true
	c := build(t, s, forced)
	if !c.Dirty || c.Digest == clean.Digest || c.Commit != clean.Commit {
		t.Errorf("forced: %+v", c)
	}
	if inspected, err := s.Inspect(t.Context(), c.Digest); err != nil || !inspected.Dirty {
		t.Errorf("inspected: %+v, %v", inspected, err)
	}
	dir := filepath.Join(t.TempDir(), "r")
	if err := s.Unpack(t.Context(), c.Digest, dir); err != nil {
		t.Fatal(err)
	}
	defer removeTree(t, dir)
	tree := strings.Join(list(t, dir), "\n")
	if !strings.Contains(tree, "new.txt") || strings.Contains(tree, "noise.log") || !strings.Contains(tree, "link bin/link") {
		t.Errorf("the dirty release holds\n%s", tree)
	}
	if data, _ := os.ReadFile(filepath.Join(dir, "README")); string(data) != "changed\n" {
		t.Errorf("README is %q", data)
	}
}

func TestBuildOfASubdirectory(t *testing.T) {
	t.Parallel()
	s := open(t)
	r := newRepo(t).write("lib/shared.txt", "shared\n").write("other/x", "x")
	inner := repo{t, filepath.Join(r.dir, "apps", "shop")}
	inner.app(noon.App{Build: noon.Build{Command: []string{"cp", "../../lib/shared.txt", "copied"}}})
	r.commit("Mono")
	c := build(t, s, inner.recipe())
	dir := filepath.Join(t.TempDir(), "r")
	if err := s.Unpack(t.Context(), c.Digest, dir); err != nil {
		t.Fatal(err)
	}
	defer removeTree(t, dir)
	if got := strings.Join(list(t, dir), "|"); got != "-r--r--r-- .noon-release.json|-r--r--r-- copied|-r--r--r-- noon.yaml" {
		t.Errorf("the release holds %s", got)
	}
}

func TestBuildFiles(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		glob, path string
		want       bool
	}{
		{"static", "static", true},
		{"static", "static/a/b", true},
		{"static", "statics", false},
		{"*.js", "a.js", true},
		{"*.js", "x/a.js", false},
		{"**/*.js", "x/y/a.js", true},
		{"**/*.js", "a.js", true},
		{"x/**/z", "x/z", true},
		{"x/**/z", "x/y/y/z/inside", true},
		{"x/*/z", "x/y/y/z", false},
		{".", "anything", true},
	} {
		if got := release.Covers(c.glob, c.path); got != c.want {
			t.Errorf("%q covers %q: %v", c.glob, c.path, got)
		}
	}
}

func TestBuildRefuses(t *testing.T) {
	t.Parallel()
	sh := func(script string) noon.App {
		return noon.App{Build: noon.Build{Command: []string{"sh", "-c", script}}}
	}
	for name, c := range map[string]struct {
		prepare func(repo)
		kind    noon.ErrorKind
		text    string
	}{
		"no manifest":      {func(r repo) { r.git("rm", "-q", "noon.yaml") }, noon.Invalid, "noon.yaml: the commit does not hold it"},
		"escaping link":    {func(r repo) { r.app(sh("ln -s ../../x up")) }, noon.Invalid, "up: it is a link that leaves the release"},
		"escape by a link": {func(r repo) { r.app(sh("mkdir -p p/q top; ln -s ../../top p/q/d; ln -s p/q/d/../../x e")) }, noon.Invalid, "pack e: it is a link that leaves"},
		"absolute link":    {func(r repo) { r.app(sh("ln -s /etc/passwd pw")) }, noon.Invalid, "absolute path /etc/passwd"},
		"endless link":     {func(r repo) { r.app(sh("ln -s a b; ln -s b a")) }, noon.Invalid, "link that leaves"},
		"named pipe":       {func(r repo) { r.app(sh("mkfifo pipe")) }, noon.Invalid, "pipe: it is a named pipe"},
		"case":             {func(r repo) { r.app(sh("echo 1 > Name; echo 2 > name")) }, noon.Invalid, "only in case"},
		"control":          {func(r repo) { r.app(sh(`printf x > "$(printf 'a\tb')"`)) }, noon.Invalid, "not plain UTF-8"},
		"latin-1":          {func(r repo) { r.app(sh(`printf x > "$(printf 'a\344b')"`)) }, noon.Invalid, "not plain UTF-8"},
		"our own name":     {func(r repo) { r.write(release.RecordName, "{}") }, noon.Invalid, "noon's own"},
		"manifest changed": {func(r repo) { r.app(sh("echo '{}' > noon.yaml")) }, noon.Invalid, "the build has changed it"},
		"unused glob":      {func(r repo) { r.app(noon.App{Build: noon.Build{Files: []string{"dist"}}}) }, noon.Invalid, `"dist": no file matches`},
		"bad glob":         {func(r repo) { r.app(noon.App{Build: noon.Build{Files: []string{"[a"}}}) }, noon.Invalid, "not a pattern"},
		"glob outside":     {func(r repo) { r.app(noon.App{Build: noon.Build{Files: []string{"a/../../b"}}}) }, noon.Invalid, "not a pattern"},
		"git-lfs":          {func(r repo) { r.write("big.png", "version https://git-lfs.github.com/spec/v1\noid sha256:1\n") }, noon.Failure, "git-lfs"},
		"submodule": {func(r repo) {
			other := newRepo(r.t).write("x", "x")
			other.commit("x")
			r.git("submodule", "--quiet", "add", other.dir, "sub")
		}, noon.Invalid, "sub: it is a git submodule"},
		"command fails":   {func(r repo) { r.app(sh("echo this is why; exit 3")) }, noon.Failure, "this is why"},
		"command missing": {func(r repo) { r.app(noon.App{Build: noon.Build{Command: []string{"no-such-tool"}}}) }, noon.Failure, "not found"},
		"script missing":  {func(r repo) { r.app(noon.App{Build: noon.Build{Command: []string{"./no.sh"}}}) }, noon.Failure, "no such file"},
		"not executable":  {func(r repo) { r.app(noon.App{Build: noon.Build{Command: []string{"./README"}}}) }, noon.Failure, "not executable"},
		"hook fails": {func(r repo) {
			r.app(noon.App{Hooks: []noon.Hook{{Moment: noon.AfterBuild, Name: "lint", Command: noon.Command{Command: []string{"false"}}}}})
		}, noon.Failure, "hook after-build/lint"},
		"no page": {func(r repo) {
			r.app(noon.App{Environments: []noon.Environment{{Name: "production", Pages: map[string]string{"404": "errors/404.html"}}}})
		}, noon.Invalid, "errors/404.html: it is the page for 404 in production, and not part"},
		"page is no text": {func(r repo) {
			r.write("p.html", "\xff").app(noon.App{Environments: []noon.Environment{{Name: "production", Pages: map[string]string{"404": "p.html"}}}})
		}, noon.Invalid, "p.html: it is not an ordinary file"},
		"too large": {func(r repo) { r.app(sh("head -c 2000000 /dev/zero > zero")) }, noon.Invalid, "the limit is"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "releases")
			s := openAt(t, dir)
			s.MaxSize = 1 << 20
			r := shop(t)
			r.t = t
			c.prepare(r)
			r.commit("Change")
			_, err := s.Build(t.Context(), r.recipe())
			wantError(t, err, c.kind, c.text)
			wantClean(t, dir, s)
			if left := list(t, filepath.Join(dir, "work")); len(left) > 0 {
				t.Errorf("left of the checkout: %q", left)
			}
		})
	}
}

func TestBuildOfNothing(t *testing.T) {
	t.Parallel()
	s := open(t)
	_, err := s.Build(t.Context(), release.Recipe{Repo: t.TempDir(), Parse: parse})
	wantError(t, err, noon.Invalid, "find git repository")
	_, err = s.Build(t.Context(), release.Recipe{Repo: filepath.Join(t.TempDir(), "no"), Parse: parse})
	wantError(t, err, noon.Invalid, "no such directory")
	_, err = s.Build(t.Context(), newRepo(t).recipe())
	wantError(t, err, noon.NotFound, "HEAD")
	r := shop(t).recipe()
	r.Commit = "--upload-pack=x"
	_, err = s.Build(t.Context(), r)
	wantError(t, err, noon.NotFound, "find commit")
}

func TestBuildEnvironmentAndOutput(t *testing.T) {
	t.Setenv("NOON_TEST_LEAK", "secret")
	r := newRepo(t)
	hook := func(m noon.HookMoment, script string) noon.Hook {
		return noon.Hook{Moment: m, Name: "h", Command: noon.Command{Command: []string{"sh", "-c", script}}}
	}
	r.app(noon.App{
		Build: noon.Build{Command: []string{"sh", "-c", "echo build; env; echo oops >&2"}},
		Hooks: []noon.Hook{hook(noon.BeforeBuild, "echo before"), hook(noon.AfterBuild, "echo after $EXTRA")},
	}).commit("Env")
	t.Setenv("GIT_DIR", "/nonexistent") // as in a hook of git
	var out bytes.Buffer
	recipe := r.recipe()
	recipe.Output, recipe.Env = &out, []string{"EXTRA=more"}
	c := build(t, open(t), recipe)
	text := out.String()
	if strings.Contains(text, "secret") || strings.Contains(text, "GIT_DIR") {
		t.Errorf("the environment leaked:\n%s", text)
	}
	for _, want := range []string{"SOURCE_DATE_EPOCH=1772366400", "NOON_COMMIT=" + c.Commit, "NOON_APP=shop", "HOME=", "oops", "after more"} {
		if !strings.Contains(text, want) {
			t.Errorf("output lacks %q:\n%s", want, text)
		}
	}
	if !strings.HasPrefix(text, "before\nbuild\n") {
		t.Errorf("order is wrong:\n%s", text)
	}
}
