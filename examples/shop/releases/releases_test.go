package releases_test

import (
	"fmt"
	"go/format"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noon-deploy/noon/examples/shop/releases"
)

// shops are all shops.
func shops() []releases.Shop { return []releases.Shop{releases.SQLite, releases.Postgres} }

func TestTrees(t *testing.T) {
	t.Parallel()
	for _, shop := range shops() {
		trees(t, shop)
	}
}

func trees(t *testing.T, shop releases.Shop) {
	t.Helper()
	titles := map[string]bool{}
	for n := 1; n <= shop.Count(); n++ {
		tree, err := shop.Tree(n)
		if err != nil {
			t.Fatal(err)
		}
		for name, text := range tree {
			if !strings.HasSuffix(name, ".go") {
				continue
			}
			if tidy, err := format.Source([]byte(text)); err != nil || string(tidy) != text {
				t.Errorf("%s r%d: %s is not as gofmt wants it: %v", shop, n, name, err)
			}
		}
		again, err := shop.Tree(n)
		if diff := cmp.Diff(tree, again); diff != "" || err != nil {
			t.Error(diff, err)
		}
		if titles[shop.Title(n)] || shop.Title(n) == "" {
			t.Errorf("title %q", shop.Title(n))
		}
		titles[shop.Title(n)] = true
	}
	for _, n := range []int{0, -1, shop.Count() + 1} {
		if err := shop.Write(t.TempDir(), n); err == nil || shop.Title(n) != "" {
			t.Errorf("there is a release %d", n)
		}
	}
}

// TestWriteOverAnother writes releases over one another in any order: what is
// there then is the release, and what was not the shop's stays.
func TestWriteOverAnother(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	own := filepath.Join(dir, "notes.txt")
	if err := os.WriteFile(own, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1, 2, 3, 4, 2, 1, 3, 1} {
		if err := releases.SQLite.Write(dir, n); err != nil {
			t.Fatal(err)
		}
		want, err := releases.SQLite.Tree(n)
		if err != nil {
			t.Fatal(err)
		}
		want["notes.txt"] = "mine"
		got := map[string]string{}
		err = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			data, err := os.ReadFile(path)
			name, _ := filepath.Rel(dir, path)
			got[filepath.ToSlash(name)] = string(data)
			return err
		})
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Fatalf("r%d: %v\n%s", n, err, diff)
		}
	}
}

// TestModulesAreNoons keeps the tree buildable on a machine that has built
// noon and has no network.
func TestModulesAreNoons(t *testing.T) {
	t.Parallel()
	for _, shop := range shops() {
		modulesAreNoons(t, shop)
	}
}

func modulesAreNoons(t *testing.T, shop releases.Shop) {
	t.Helper()
	tree, err := shop.Tree(1)
	if err != nil {
		t.Fatal(err)
	}
	required := regexp.MustCompile(`(?m)^\s+(\S+ v\S+)`)
	for file, pattern := range map[string]*regexp.Regexp{"go.mod": required, "go.sum": regexp.MustCompile(`(?m)^(\S+ \S+ h1:\S+)$`)} {
		root, err := os.ReadFile(filepath.Join("..", "..", "..", file))
		if err != nil {
			t.Fatal(err)
		}
		var noons []string
		for _, m := range pattern.FindAllStringSubmatch(string(root), -1) {
			noons = append(noons, m[1])
		}
		found := pattern.FindAllStringSubmatch(tree[file], -1)
		if len(found) < 7 {
			t.Errorf("%s, %s: only %d lines were found", shop, file, len(found))
		}
		for _, m := range found {
			if !slices.Contains(noons, m[1]) {
				t.Errorf("%s is not in noon's: copy its line to %s/r1/%s.txt", m[1], shop, file)
			}
		}
	}
}

const ownersToken = "only for the owner"

// shop is a built release.
type shop struct{ binary, url string }

func build(t *testing.T, of releases.Shop, n int) shop {
	t.Helper()
	dir := t.TempDir()
	if err := of.Write(dir, n); err != nil {
		t.Fatal(err)
	}
	s := shop{binary: filepath.Join(dir, "shop")}
	c := exec.CommandContext(t.Context(), "go", "build", "-mod=readonly", "-buildvcs=false", "-o", "shop", ".")
	c.Dir = dir
	c.Env = append(os.Environ(), "GOPROXY=off", "GOFLAGS=", "GOWORK=off", "GOTOOLCHAIN=local")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("build r%d: %v\n%s", n, err, out)
	}
	return s
}

func (s shop) command(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	c := exec.CommandContext(t.Context(), s.binary, args...)
	c.Env = []string{"DATA_DIR=" + dir, "DATABASE_URL=" + s.url, "SESSION_KEY=sixteen letters!", "ADMIN_TOKEN=" + ownersToken}
	return c
}

func (s shop) migrate(t *testing.T, dir string) {
	t.Helper()
	if out, err := s.command(t, dir, "migrate").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// web starts the release on a free port and waits until it answers.
func (s shop) web(t *testing.T, dir string) string {
	t.Helper()
	base, _ := s.open(t, dir)
	return base
}

// open is web for those who close the shop before the test ends.
func (s shop) open(t *testing.T, dir string) (base string, stop func()) {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	_ = free.Close()
	_, port, _ := net.SplitHostPort(address)
	c := s.command(t, dir, "web")
	c.Env = append(c.Env, "PORT="+port)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		_ = c.Process.Kill() // nothing is to be learnt from how it ends
		_ = c.Wait()
	})
	t.Cleanup(stop)
	late := time.After(30 * time.Second)
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
			return "http://" + address, stop
		}
		select {
		case <-look.C:
		case <-late:
			t.Fatal("the shop does not open")
		}
	}
}

func get(t *testing.T, address string) (int, string) {
	t.Helper()
	r, err := http.Get(address)
	return read(t, r, err)
}

func read(t *testing.T, r *http.Response, err error) (int, string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(b)
}

func smoke(t *testing.T, base string) (int, string) {
	t.Helper()
	r, err := http.Post(base+"/checkout", "application/json",
		strings.NewReader(`{"test": true, "name": "noon", "email": "smoke@shop.example", "gift_note": "for you"}`))
	return read(t, r, err)
}

func want(t *testing.T, what string, status int, contains string) func(int, string) {
	t.Helper()
	return func(got int, text string) {
		t.Helper()
		if got != status || !strings.Contains(text, contains) {
			t.Errorf("%s: %d %.300s, want %d %q", what, got, text, status, contains)
		}
	}
}

func TestReleasesBehaveAsTheyAreMeantTo(t *testing.T) {
	t.Parallel()
	var list []shop
	for n := 1; n <= releases.SQLite.Count(); n++ {
		list = append(list, build(t, releases.SQLite, n))
	}
	r1, r2, r3, r4 := list[0], list[1], list[2], list[3]
	dir := t.TempDir()

	r1.migrate(t, dir)
	old := r1.web(t, dir)
	want(t, "r1", 200, "ready")(get(t, old+"/healthz"))
	want(t, "r1 sells", 201, `"created":true`)(smoke(t, old))

	early := r2.web(t, dir)
	want(t, "r2 before its migration", 503, "needs 2")(get(t, early+"/healthz"))
	r2.migrate(t, dir)
	want(t, "r2", 200, "ready")(get(t, early+"/healthz"))
	want(t, "r2 sells", 201, `"gift_note":"for you"`)(smoke(t, early))
	want(t, "r2 looks different", 200, "gift note on a card")(get(t, early+"/"))

	want(t, "r1 with r2's schema", 200, "ready")(get(t, old+"/healthz"))
	want(t, "r1 sells with r2's schema", 201, `"created":true`)(smoke(t, old))
	r1.migrate(t, dir)
	want(t, "r2 after r1's migration", 200, "ready")(get(t, early+"/healthz"))
	for from, to := range map[string]string{old: early, early: old} {
		_, page := get(t, from+"/")
		style := regexp.MustCompile(`/assets/style\.[0-9a-f]+\.css`).FindString(page)
		want(t, "the style of another release "+style, 200, ":root")(get(t, to+style))
	}

	r3.migrate(t, dir)
	never := r3.web(t, dir)
	for range 3 {
		want(t, "r3", 503, "no such column: origin")(get(t, never+"/healthz"))
	}

	r4.migrate(t, dir)
	broken := r4.web(t, dir)
	want(t, "r4", 200, "ready")(get(t, broken+"/healthz"))
	want(t, "r4 home", 200, "Pocket sundial")(get(t, broken+"/"))
	want(t, "r4 cannot sell", 500, "went wrong")(smoke(t, broken))
	want(t, "r1 is not harmed", 201, fmt.Sprintf(`"id":%d`, 4))(smoke(t, old))
}
