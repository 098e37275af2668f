package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/noon-deploy/noon/internal/database/dbtest"
)

var (
	binary string // the shop, built once
	server *dbtest.Server
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "shop-test-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	binary = filepath.Join(dir, "shop")
	build := exec.Command("go", "build", "-o", binary, ".")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return 1, err
	}
	if server, err = dbtest.Postgres(context.Background()); err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	return m.Run(), nil
}

const token = "only for the owner"

func command(ctx context.Context, at place, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, binary, args...)
	c.Env = []string{"DATA_DIR=" + at.dir, "DATABASE_URL=" + at.url, "SESSION_KEY=sixteen letters!", "ADMIN_TOKEN=" + token, "NOON_RELEASE=r1", "PORT=0"}
	return c
}

// once runs a subcommand to its end.
func once(t *testing.T, at place, args ...string) string {
	t.Helper()
	out, err := command(t.Context(), at, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("shop %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// process is a running subcommand, of r1 or of the release that start is given.
type process struct {
	cmd   *exec.Cmd
	base  string // of web
	ended chan error
	log   *output
}

type output struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{} // closed and replaced at every write
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.more)
	o.more = make(chan struct{})
	return o.text.Write(b)
}

func (o *output) read() (string, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String(), o.more
}

// await waits for something in the log.
func (p *process) await(t *testing.T, pattern string) []string {
	t.Helper()
	late := time.After(30 * time.Second)
	for {
		text, more := p.log.read()
		if found := regexp.MustCompile(pattern).FindStringSubmatch(text); found != nil {
			return found
		}
		select {
		case <-more:
		case <-late:
			t.Fatalf("no %s in the log:\n%s", pattern, text)
		}
	}
}

func start(t *testing.T, at place, args ...string) *process {
	t.Helper()
	p := &process{cmd: command(context.WithoutCancel(t.Context()), at, args[0]), ended: make(chan error, 1), log: &output{more: make(chan struct{})}}
	for _, release := range args[1:] {
		p.cmd.Env = append(p.cmd.Env, "NOON_RELEASE="+release)
	}
	p.cmd.Stderr = p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.ended <- p.cmd.Wait() }()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it has ended, if the test went well
	})
	return p
}

func startWeb(t *testing.T, at place) *process {
	t.Helper()
	p := start(t, at, "web")
	p.base = "http://" + p.await(t, `address=(127\.0\.0\.1:\d+)`)[1]
	return p
}

// stop asks the process to end and wants it to end well.
func (p *process) stop(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.wait(t)
}

// kill ends the process without asking.
func (p *process) kill(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	if err := <-p.ended; err == nil {
		t.Error("it ended by itself")
	}
}

func (p *process) wait(t *testing.T) {
	t.Helper()
	select {
	case err := <-p.ended:
		if err != nil {
			text, _ := p.log.read()
			t.Errorf("%v\n%s", err, text)
		}
	case <-time.After(30 * time.Second):
		t.Error("the process does not end")
	}
}

// browser keeps cookies and shows redirects.
func browser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Jar: jar, Transport: transport, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func body(t *testing.T, r *http.Response, err error) (int, string) {
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

func get(t *testing.T, c *http.Client, address string) (int, string) {
	t.Helper()
	r, err := c.Get(address)
	return body(t, r, err)
}

func fill(t *testing.T, c *http.Client, base string) {
	t.Helper()
	r, err := c.PostForm(base+"/cart", url.Values{"product": {"kite"}, "quantity": {"2"}})
	if status, text := body(t, r, err); status != http.StatusSeeOther {
		t.Fatal(status, text)
	}
}

func checkout(t *testing.T, c *http.Client, base, key string) (int, string) {
	t.Helper()
	r, err := c.Post(base+"/checkout", "application/json", strings.NewReader(`{"key":"`+key+`","name":"Ada","email":"ada@shop.example"}`))
	return body(t, r, err)
}

// orders asks for all orders as the owner.
func orders(t *testing.T, base string) []map[string]any {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/orders.json", nil)
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer "+token)
	r, err := http.DefaultClient.Do(q)
	status, text := body(t, r, err)
	var page struct{ Orders []map[string]any }
	if err := json.Unmarshal([]byte(text), &page); err != nil || status != http.StatusOK {
		t.Fatal(status, text)
	}
	return page.Orders
}

func TestMigrationsOnceAndTwoReleasesAtOnce(t *testing.T) {
	t.Parallel()
	at := place{dir: t.TempDir()}
	early := startWeb(t, at)
	if status, text := get(t, browser(t), early.base+"/healthz"); status != http.StatusServiceUnavailable || !strings.Contains(text, "not ready") {
		t.Errorf("before migrations: %d %s", status, text)
	}
	var all sync.WaitGroup
	for range 4 { // several hosts may migrate at the same time
		all.Go(func() {
			if out, err := command(t.Context(), at, "migrate").CombinedOutput(); err != nil {
				t.Errorf("%v %s", err, out)
			}
		})
	}
	all.Wait()
	if out := once(t, at, "migrate"); !strings.Contains(out, "applied=[]") {
		t.Error(out)
	}
	second := startWeb(t, at)
	c := browser(t)
	for _, p := range []*process{early, second} {
		if status, text := get(t, c, p.base+"/healthz"); status != http.StatusOK {
			t.Errorf("%d %s", status, text)
		}
	}
	fill(t, c, early.base) // the session is of no process
	if _, text := get(t, c, second.base+"/cart"); !strings.Contains(text, `data-pieces="2"`) {
		t.Error(text)
	}
	if status, text := checkout(t, c, second.base, "0123456789abcdef"); status != http.StatusCreated {
		t.Error(status, text)
	}
	if status, text := checkout(t, c, early.base, "0123456789abcdef"); status != http.StatusOK || !strings.Contains(text, `"id":1,`) {
		t.Error(status, text)
	}
	early.stop(t)
	second.stop(t)
}

func TestOneKeyIsOneOrder(t *testing.T) {
	t.Parallel()
	databases(t, oneKeyIsOneOrder)
}

func oneKeyIsOneOrder(t *testing.T, at place) {
	t.Helper()
	shops := []*process{startWeb(t, at), startWeb(t, at)}
	c := browser(t)
	fill(t, c, shops[0].base)
	var all sync.WaitGroup
	var mu sync.Mutex
	seen := map[int]int{}
	for i := range 12 {
		all.Go(func() {
			status, text := checkout(t, c, shops[i%2].base, "the-same-key-for-all")
			mu.Lock()
			defer mu.Unlock()
			if seen[status]++; !strings.Contains(text, `"id":1,`) {
				t.Error(status, text)
			}
		})
	}
	all.Wait()
	stored := orders(t, shops[0].base)
	if seen[http.StatusCreated] != 1 || seen[http.StatusOK] != 11 || len(stored) != 1 || stored[0]["attempts"] != 12.0 {
		t.Errorf("%v, stored %v", seen, stored)
	}
	if status, text := checkout(t, browser(t), shops[1].base, "the-same-key-for-all"); status != http.StatusConflict {
		t.Error("somebody else's key:", status, text)
	}
	if status, text := checkout(t, c, shops[1].base, "another-key-empty-cart"); status != http.StatusConflict {
		t.Error("an empty cart:", status, text)
	}
}

// TestWorkersHandleEveryOrderOnce kills workers in the middle of their work
// while others take over.
func TestWorkersHandleEveryOrderOnce(t *testing.T) {
	t.Parallel()
	databases(t, workersHandleEveryOrderOnce)
}

func workersHandleEveryOrderOnce(t *testing.T, at place) {
	t.Helper()
	shop := startWeb(t, at)
	c := browser(t)
	const placed = 60
	test := `{"test":true,"name":"noon","email":"smoke@shop.example"}`
	place := func() {
		r, err := c.Post(shop.base+"/checkout", "application/json", strings.NewReader(test))
		if status, text := body(t, r, err); status != http.StatusCreated {
			t.Error(status, text)
		}
	}
	for range placed / 2 {
		place()
	}
	a := start(t, at, "worker")
	a.await(t, "order handled")
	b := start(t, at, "worker") // both are at it, as at a handover
	a.kill(t)
	for range placed / 2 {
		place()
	}
	next := start(t, at, "worker")
	b.kill(t)
	late := time.After(30 * time.Second)
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		left := 0
		for _, o := range orders(t, shop.base) {
			if o["handled"] == 0.0 {
				left++
			}
		}
		if left == 0 {
			break
		}
		select {
		case <-look.C:
		case <-late:
			t.Fatalf("%d orders are not handled", left)
		}
	}
	next.stop(t)
	stored := orders(t, shop.base)
	for _, o := range stored {
		if o["handled"] != 1.0 || o["state"] != "handled" {
			t.Errorf("%v", o)
		}
	}
	if len(stored) != placed {
		t.Errorf("%d orders", len(stored))
	}
}

func TestNightlyIsIdempotent(t *testing.T) {
	t.Parallel()
	databases(t, nightlyIsIdempotent)
}

func nightlyIsIdempotent(t *testing.T, at place) {
	t.Helper()
	shop := startWeb(t, at)
	c := browser(t)
	fill(t, c, shop.base)
	checkout(t, c, shop.base, "0123456789abcdef")
	r, err := c.Post(shop.base+"/checkout", "application/json", strings.NewReader(`{"test":true,"name":"n","email":"a@b"}`))
	if status, text := body(t, r, err); status != http.StatusCreated {
		t.Fatal(status, text)
	}
	today, _ := orders(t, shop.base)[0]["placed"].(string)
	for range 2 {
		if out := once(t, at, "nightly", today[:10]); !strings.Contains(out, "orders=1 pieces=2 revenue_cents=5800 open=1") {
			t.Error(out)
		}
	}
	if out := once(t, at, "nightly"); !strings.Contains(out, "report made") {
		t.Error(out)
	}
	if out, err := command(t.Context(), at, "nightly", "tomorrow").CombinedOutput(); err == nil {
		t.Errorf("nightly tomorrow: %s", out)
	}
	if out := once(t, at, "announce"); !strings.Contains(out, "deploying") {
		t.Error(out)
	}
}

// until waits for a condition.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	late := time.After(30 * time.Second)
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for !holds() {
		select {
		case <-look.C:
		case <-late:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}
