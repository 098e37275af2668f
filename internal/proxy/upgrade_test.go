package proxy_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/proxy"
)

// startChild runs a proxy in a process of its own.
func startChild(t *testing.T, dir string, limits proxy.Limits, env ...string) (*running, *exec.Cmd) {
	t.Helper()
	return startChildOn(t, dir, limits, []string{freeAddress(t, dir)}, env...)
}

func startChildOn(t *testing.T, dir string, limits proxy.Limits, listen []string, env ...string) (*running, *exec.Cmd) {
	t.Helper()
	c := childConfig{Dir: dir, Listen: listen, Control: filepath.Join(dir, "p.sock"), Limits: limits}
	value, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(context.Background(), os.Args[0])
	cmd.Env = append(append(os.Environ(), envChild+"="+string(value)), env...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	r := &running{Client: proxy.NewClient(c.Control), url: "http://" + c.Listen[0], dir: dir, control: c.Control}
	t.Cleanup(func() {
		r.killAll()
		_ = cmd.Process.Kill()
		<-ended
	})
	eventually(t, "the child serves", func() bool { _, err := r.Health(t.Context()); return err == nil })
	return r, cmd
}

// killAll ends the proxy and its predecessors, by the process ids they tell.
func (r *running) killAll() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, _ = r.Sites(ctx) // forgets predecessors that have ended
	h, err := r.Health(ctx)
	if err != nil {
		return
	}
	for _, pid := range append(h.Predecessors, h.PID) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// freeAddress is the same one for a directory, so that a restarted child uses
// it again.
func freeAddress(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "address")
	if data, err := os.ReadFile(path); err == nil {
		return string(data)
	}
	address := refusing(t)
	if err := os.WriteFile(path, []byte(address), 0o600); err != nil {
		t.Fatal(err)
	}
	return address
}

func pid(t *testing.T, r *running) int {
	t.Helper()
	h, err := r.Health(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return h.PID
}

// streamingApp answers events, WebSockets and ordinary requests.
func streamingApp() http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/events":
			w.Header().Set("Content-Type", "text/event-stream")
			for i := 0; ; i++ {
				if _, err := fmt.Fprintf(w, "data: %d\n\n", i); err != nil {
					return
				}
				w.(http.Flusher).Flush()
				select {
				case <-r.Context().Done():
					return
				case <-time.After(10 * time.Millisecond):
				}
			}
		case "/chat":
			c, err := websocket.Accept(w, r, nil)
			if err != nil {
				return
			}
			defer func() { _ = c.CloseNow() }()
			for {
				kind, data, err := c.Read(r.Context())
				if err != nil {
					return
				}
				if c.Write(r.Context(), kind, data) != nil {
					return
				}
			}
		default:
			says("r1")(w, r)
		}
	}
}

type chat struct {
	t *testing.T
	c *websocket.Conn
}

func openChat(t *testing.T, r *running) *chat {
	t.Helper()
	transport := &http.Transport{}
	c, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(r.url, "http")+"/chat", //nolint:bodyclose // the library's
		&websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.CloseNow(); transport.CloseIdleConnections() })
	return &chat{t, c}
}

func (c *chat) say(text string) {
	c.t.Helper()
	if err := c.c.Write(c.t.Context(), websocket.MessageText, []byte(text)); err != nil {
		c.t.Fatalf("say %s: %v", text, err)
	}
	_, got, err := c.c.Read(c.t.Context())
	if err != nil || string(got) != text {
		c.t.Fatalf("said %q, got %q, %v", text, got, err)
	}
}

func openEvents(t *testing.T, r *running) *bufio.Scanner {
	t.Helper()
	transport := &http.Transport{}
	res, err := (&http.Client{Transport: transport}).Do(request(t, http.MethodGet, r.url+"/events", nil))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close(); transport.CloseIdleConnections() })
	return bufio.NewScanner(res.Body)
}

func nextEvent(t *testing.T, s *bufio.Scanner) {
	t.Helper()
	for s.Scan() {
		if strings.HasPrefix(s.Text(), "data: ") {
			return
		}
	}
	t.Fatalf("the event stream ended: %v", s.Err())
}

func TestUpgradeUnderLoad(t *testing.T) {
	t.Parallel()
	app := backend(t, streamingApp())
	r, _ := startChild(t, shortDir(t), proxy.Limits{})
	mustRoute(t, r, routing(1, 1, app))

	chat, events := openChat(t, r), openEvents(t, r)
	chat.say("before")
	nextEvent(t, events)
	upload := newUpload(t, r.url)
	upload.write("first,")

	l := newLoad()
	kept, fresh := client(t), client(t)
	fresh.Transport.(*http.Transport).DisableKeepAlives = true
	l.run(6, func() error {
		return wantOK(do(kept, request(t, http.MethodPost, r.url+"/", strings.NewReader("order"))))
	})
	l.run(4, func() error { return wantOK(do(fresh, request(t, http.MethodPost, r.url+"/", nil))) })

	first := pid(t, r)
	seen := map[int]bool{first: true}
	for range 5 {
		from := l.count()
		eventually(t, "requests are answered", func() bool { return l.count() >= from+50 })
		if err := r.Upgrade(t.Context(), []string{os.Args[0]}); err != nil {
			t.Fatal(err)
		}
		now := pid(t, r)
		if seen[now] {
			t.Fatalf("process %d serves again", now)
		}
		seen[now] = true
		chat.say("during")
		nextEvent(t, events)
		upload.write("more,")
	}
	// What the first process still has is seen through the last one.
	if requests, streams := work(t, r, "r1_"+app); streams != 2 || requests < 1 {
		t.Errorf("%d requests and %d streams in flight, want an upload and two streams", requests, streams)
	}
	if err := r.Route(t.Context(), routing(1, 1, app)); err != nil {
		t.Errorf("the same routing again: %v", err)
	}
	l.end(t)
	if got := upload.finish(); got != "r1" {
		t.Errorf("upload: %q", got)
	}
	chat.say("after")
	t.Logf("%d requests, 5 upgrades", l.sent)
}

// upload is a POST whose body is sent bit by bit.
type upload struct {
	t    *testing.T
	conn net.Conn
}

func newUpload(t *testing.T, url string) *upload {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	u := &upload{t, conn}
	u.raw("POST /upload HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n")
	return u
}

func (u *upload) raw(s string) {
	u.t.Helper()
	if _, err := u.conn.Write([]byte(s)); err != nil {
		u.t.Fatal(err)
	}
}

func (u *upload) write(s string) { u.t.Helper(); u.raw(fmt.Sprintf("%x\r\n%s\r\n", len(s), s)) }

func (u *upload) finish() string {
	u.t.Helper()
	u.raw("0\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(u.conn), nil)
	if err != nil {
		u.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var b bytes.Buffer
	if _, err := b.ReadFrom(res.Body); err != nil {
		u.t.Fatal(err)
	}
	if !res.Close {
		u.t.Error("a proxy that has a successor must answer with Connection: close")
	}
	return b.String()
}

// TestUpgradeRoutesFollow changes the release after an upgrade: a connection
// that the predecessor still holds must see it too.
func TestUpgradeRoutesFollow(t *testing.T) {
	t.Parallel()
	r, cmd := startChild(t, shortDir(t), proxy.Limits{})
	mustRoute(t, r, routing(1, 1, backend(t, says("r1"))))
	idle := dialRaw(t, r.url)
	if a := idle.get("/"); a.body != "r1" {
		t.Fatal(a)
	}
	if err := r.Upgrade(t.Context(), []string{os.Args[0]}); err != nil {
		t.Fatal(err)
	}
	mustRoute(t, r, routing(2, 2, backend(t, says("r2"))))
	a := idle.get("/")
	if a.body != "r2" || a.header.Get("Connection") != "close" {
		t.Errorf("on the connection of the predecessor: %q, %v; want r2 and Connection: close", a.body, a.header)
	}
	// Nothing is left now: the predecessor ends by itself, and its socket goes.
	eventually(t, "the predecessor ends", func() bool { return cmd.Process.Signal(syscall.Signal(0)) != nil })
	if h, err := r.Health(t.Context()); err != nil || len(h.Predecessors) != 0 {
		t.Errorf("health %+v, %v", h, err)
	}
}

// rawConn is one HTTP/1.1 connection that is never given up by itself.
type rawConn struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
}

func dialRaw(t *testing.T, url string) *rawConn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &rawConn{t, conn, bufio.NewReader(conn)}
}

func (c *rawConn) get(path string) answer {
	c.t.Helper()
	return c.send("GET " + path + " HTTP/1.1\r\nHost: shop\r\n\r\n")
}

func (c *rawConn) send(text string) answer {
	c.t.Helper()
	if _, err := c.conn.Write([]byte(text)); err != nil {
		c.t.Fatal(err)
	}
	res, err := http.ReadResponse(c.r, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var b bytes.Buffer
	if _, err := b.ReadFrom(res.Body); err != nil {
		c.t.Fatal(err)
	}
	if res.Close {
		res.Header.Set("Connection", "close") // ReadResponse takes it out
	}
	return answer{res.StatusCode, res.Header, b.String()}
}

// TestDrainSpansPredecessor: an instance must not be stopped while the proxy
// before still has a request in flight to it.
func TestDrainSpansPredecessor(t *testing.T) {
	t.Parallel()
	gate, arrived := make(chan struct{}), make(chan struct{}, 1)
	old := backend(t, func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-gate
		_, _ = fmt.Fprint(w, "r1")
	})
	r, _ := startChild(t, shortDir(t), proxy.Limits{})
	mustRoute(t, r, routing(1, 1, old))
	answered := make(chan answer, 1)
	go func() {
		a, _ := do(http.DefaultClient, request(t, http.MethodGet, r.url+"/", nil))
		answered <- a
	}()
	<-arrived
	if err := r.Upgrade(t.Context(), []string{os.Args[0]}); err != nil {
		t.Fatal(err)
	}
	mustRoute(t, r, routing(2, 2, backend(t, says("r2"))))
	id := "r1_" + old
	if requests, _ := work(t, r, id); requests != 1 {
		t.Fatalf("%d requests in flight, want the one of the predecessor", requests)
	}
	drained := make(chan error, 1)
	go func() { drained <- r.Drain(context.WithoutCancel(t.Context()), shop, []string{id}, time.Minute) }()
	select {
	case err := <-drained:
		t.Fatalf("drain returned %v with a request in flight", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(gate)
	if err := <-drained; err != nil {
		t.Fatal(err)
	}
	if a := <-answered; a.body != "r1" {
		t.Errorf("got %+v", a)
	}
	http.DefaultClient.CloseIdleConnections()
	if requests, streams := work(t, r, id); requests+streams != 0 {
		t.Errorf("%d requests, %d streams after the drain", requests, streams)
	}
}

func TestUpgradeFails(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	script := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil { //nolint:gosec // to be run
			t.Fatal(err)
		}
		return path
	}
	r, _ := startChild(t, dir, proxy.Limits{Start: 5 * time.Second})
	mustRoute(t, r, routing(1, 1, backend(t, says("r1"))))
	before := pid(t, r)
	for _, row := range []struct{ name, command, want string }{
		{"missing", filepath.Join(dir, "nothing"), "no such file"},
		{"not executable", filepath.Join(dir, "address"), "permission denied"},
		{"broken", script("broken", "echo 'panic: the disk is made of cheese' >&2; exit 3"), "made of cheese"},
		{"hangs", script("hangs", "exec sleep 60"), "not ready within"},
		{"talks nonsense", script("nonsense", "echo hello >&5; exec sleep 60"), `said "hello\n"`},
		{"dies after ready", script("dies", "echo ready >&5; exit 1"), "before it was serving"},
	} {
		err := r.Upgrade(t.Context(), []string{row.command})
		if err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: got %v, want %q", row.name, err, row.want)
			continue
		}
		wantKind(t, err, noon.Failure)
		if a := get(t, client(t), r.url); a.body != "r1" {
			t.Errorf("%s: then %+v", row.name, a)
		}
		if now := pid(t, r); now != before {
			t.Errorf("%s: process %d serves, not %d", row.name, now, before)
		}
	}
	mustRoute(t, r, routing(2, 2, backend(t, says("r2"))))
	wantKind(t, r.Upgrade(t.Context(), nil), noon.Invalid)
	if left, _ := filepath.Glob(r.control + ".*"); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if err := r.Upgrade(t.Context(), []string{os.Args[0]}); err != nil {
		t.Errorf("a good one after that: %v", err)
	}
}

// TestSuccessorDies: the lock, the port and the sockets are free although the
// predecessor still finishes a stream.
func TestSuccessorDies(t *testing.T) {
	t.Parallel()
	app := backend(t, streamingApp())
	dir := shortDir(t)
	r, _ := startChild(t, dir, proxy.Limits{})
	mustRoute(t, r, routing(1, 1, app))
	chat := openChat(t, r)
	if err := r.Upgrade(t.Context(), []string{os.Args[0]}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid(t, r), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the successor is gone", func() bool { _, err := r.Health(t.Context()); return err != nil })
	again, _ := startChild(t, dir, proxy.Limits{})
	if a := get(t, client(t), again.url); a.body != "r1" {
		t.Errorf("got %+v", a)
	}
	chat.say("still here")
	if _, streams := work(t, again, "r1_"+app); streams != 1 {
		t.Errorf("%d streams, want the one of the first process", streams)
	}
}
