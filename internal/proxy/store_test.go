package proxy_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/proxy"
)

// TestStored: what is in the file of a site is what was routed.
func TestStored(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	if err := os.MkdirAll(filepath.Join(dir, "sites"), 0o700); err != nil {
		t.Fatal(err)
	}
	for sequence := range 5 {
		r := routing(7, sequence+1, "127.0.0.1:1234")
		for n := range sequence * 10 { // more than there is room for, at times
			r.Previews = append(r.Previews, noon.Preview{Token: fmt.Sprint(strings.Repeat("sesame", 20), n), Revision: rev(2)})
		}
		if err := proxy.WriteStored(dir, r); err != nil {
			t.Fatal(err)
		}
		got, err := proxy.ReadStored(dir, r.Site)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r, got); diff != "" {
			t.Error(diff)
		}
	}
}

// TestRestart: kill -9, and the next process serves the same. One broken file
// is the problem of its site only, and is mended by the next routing.
func TestRestart(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	r, cmd := startChild(t, dir, proxy.Limits{})
	sites := []string{"shop", "blog", "wiki"}
	var routings []noon.Routing
	for i, app := range sites {
		route := routing(int64(i+1), i+1, backend(t, says(app)))
		route.Site.App, route.Domains = app, []string{app + ".example.com"}
		mustRoute(t, r, route)
		routings = append(routings, route)
	}
	if err := r.Remove(t.Context(), noon.Site{App: "wiki", Environment: "production"}, noon.Fence{Epoch: 9}); err != nil {
		t.Fatal(err)
	}
	before, err := r.Sites(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	kill := func() {
		t.Helper()
		if err := syscall.Kill(pid(t, r), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the proxy is gone", func() bool { return cmd.Process.Signal(syscall.Signal(0)) != nil })
	}
	kill()
	file := filepath.Join(dir, "sites", "shop@production.json")
	half := filepath.Join(dir, "sites", ".shop@production.json.tmp-1") // a crash in the middle of a write
	if err := os.WriteFile(half, []byte("noon"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, cmd = startChild(t, dir, proxy.Limits{})
	after, err := r.Sites(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Error(diff)
	}
	c := client(t)
	for _, app := range sites[:2] {
		if a := get(t, c, r.url, withHost(app+".example.com")); a.body != app {
			t.Errorf("%s: %+v", app, a)
		}
	}
	wantKind(t, r.Route(t.Context(), routings[2]), noon.Stale) // removed, also after a restart
	kill()
	if _, err := os.Stat(half); err == nil {
		t.Error("what a crash left is still there")
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data[:len(data)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	r, _ = startChild(t, dir, proxy.Limits{})
	if a := get(t, c, r.url, withHost("blog.example.com")); a.body != "blog" {
		t.Errorf("blog: %+v", a)
	}
	st, err := r.Status(t.Context(), shop)
	if err != nil || !strings.Contains(st.Problem, file) || !strings.Contains(st.Problem, "cut or altered") {
		t.Errorf("%+v %v", st, err)
	}
	// A request for the broken site waits, for it is about to be mended.
	answered := make(chan answer, 1)
	req := request(t, "POST", r.url, nil, withHost("shop.example.com"))
	go func() {
		a, _ := do(c, req)
		answered <- a
	}()
	mustRoute(t, r, routings[0])
	if a := <-answered; a.body != "shop" {
		t.Errorf("mended: %+v", a)
	}
}

// TestSaveFails: a full or read-only disk changes nothing.
func TestSaveFails(t *testing.T) {
	t.Parallel()
	p := start(t, proxy.Limits{})
	mustRoute(t, p, routing(1, 1, backend(t, says("r1"))))
	// A directory in the file's place fails for root, too.
	blocked := filepath.Join(p.dir, "sites", "blog@production.json")
	if err := os.MkdirAll(filepath.Join(blocked, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	blog := routing(1, 1, refusing(t))
	blog.Site.App, blog.Domains = "blog", []string{"blog.example.com"}
	err := p.Route(t.Context(), blog)
	wantKind(t, err, noon.Failure)
	_, err = p.Status(t.Context(), blog.Site)
	wantKind(t, err, noon.NotFound)
	if a := get(t, client(t), p.url); a.body != "r1" {
		t.Errorf("%+v", a)
	}
}

func TestOpenFails(t *testing.T) {
	t.Parallel()
	p := start(t, proxy.Limits{})
	for _, row := range []struct {
		name string
		cfg  proxy.Config
		kind noon.ErrorKind
	}{
		{"directory in use", proxy.Config{Dir: p.dir, Control: p.control + "2"}, noon.Conflict},
		{"port in use", proxy.Config{Dir: shortDir(t), Listen: []string{strings.TrimPrefix(p.url, "http://")}, Control: p.control + "2"}, noon.Failure},
		{"no such address", proxy.Config{Dir: shortDir(t), Listen: []string{"nowhere"}, Control: p.control + "2"}, noon.Failure},
		{"socket path too long", proxy.Config{Dir: shortDir(t), Control: "/tmp/" + strings.Repeat("x", 100)}, noon.Invalid},
		{"socket without directory", proxy.Config{Dir: shortDir(t), Control: p.dir + "/no/p.sock"}, noon.Failure},
		{"directory is a file", proxy.Config{Dir: filepath.Join(p.dir, "lock"), Control: p.control + "2"}, noon.Failure},
	} {
		_, err := proxy.Open(row.cfg)
		t.Log(err)
		wantKind(t, err, row.kind)
	}
}

// FuzzRouting: whatever reaches the control socket is refused or is a routing
// that survives being written and read.
func FuzzRouting(f *testing.F) {
	good, err := json.Marshal(routing(1, 1, "127.0.0.1:80"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"site":{"app":"a","environment":"b"},"domains":["*.x",""],"shares":[{"points":1}]}`))
	for _, seed := range []string{
		`"hold":{"limit":1,"most":1,"until":"2026-01-02T03:04:05Z"},"closed":{"text":"x","by":"y"}`,
		`"segments":[{"name":"beta","revision":{"release":2},"visitors":["v"],"addresses":["10.0.0.0/8"],"matches":[{"in":"cookie","name":"b","values":["1"]}]}]`,
		`"paths":[{"prefix":"/","service":"web"},{"prefix":"/a","service":"web","strip":true,"revision":{"release":2}}]`,
		`"traffic":{"redirects":[{"from":"/a/*","to":"/b/*","status":308}],"request":{"remove":["A"],"set":{"B":"c"}},"pages":{"404":"<p>","5xx":""},"trusted":["::1"]}`,
		`"traffic":{"limits":{"body":1,"queueTime":1},"replay":{"paths":["/"],"keyed":true,"budget":100},"health":{"path":"/h","interval":1000000000,"timeout":1,"failures":3}}`,
	} {
		f.Add([]byte(`{"site":{"app":"a","environment":"b"},` + seed + `}`))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := proxy.ReadRouting(bytes.NewReader(data))
		if err != nil {
			return
		}
		file, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var again noon.Routing
		if err := json.Unmarshal(file, &again); err != nil {
			t.Fatal(err)
		}
		second, err := json.Marshal(again)
		if err != nil || !bytes.Equal(file, second) {
			t.Errorf("%q becomes %q, %v", file, second, err)
		}
		claims, err := proxy.NewClaims(t.TempDir(), r)
		if err != nil {
			t.Fatal(err)
		}
		for _, host := range append(r.Domains, "", "x.example.com", ".", "[", ":") {
			claims.ClaimOnce(host, "/", "id")
		}
	})
}
