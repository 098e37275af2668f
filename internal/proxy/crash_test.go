package proxy_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/fault"
	"github.com/noon-deploy/noon/internal/proxy"
)

// TestKilledWhileRouting: the proxy dies at every point of a change. The next
// one has exactly the old or exactly the new routing, and takes the new one.
func TestKilledWhileRouting(t *testing.T) {
	t.Parallel()
	for point, durable := range map[string]bool{
		"proxy save before": false, "proxy save after": true, "proxy route applied": true,
	} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			dir := shortDir(t)
			r, _ := startChild(t, dir, proxy.Limits{}, fault.Env+"="+point+":2")
			before, after := routing(1, 1, backend(t, says("r1"))), routing(2, 2, backend(t, says("r2")))
			mustRoute(t, r, before)
			wantKind(t, r.Route(t.Context(), after), noon.Unavailable)
			again, _ := startChild(t, dir, proxy.Limits{})
			want := "r1"
			if durable {
				want = "r2"
			}
			if a := get(t, client(t), again.url); a.body != want || a.header.Get("Noon-Release") != want {
				t.Errorf("after the crash: %+v, want %s", a, want)
			}
			mustRoute(t, again, after)
			if a := get(t, client(t), again.url); a.body != "r2" {
				t.Errorf("%+v", a)
			}
		})
	}
}

// TestKilledWhileUpgrading: once the successor serves, the death of the one
// before changes nothing for those who come.
func TestKilledWhileUpgrading(t *testing.T) {
	t.Parallel()
	r, _ := startChild(t, shortDir(t), proxy.Limits{}, fault.Env+"=proxy upgrade serving")
	mustRoute(t, r, routing(1, 1, backend(t, says("r1"))))
	before := pid(t, r)
	wantKind(t, r.Upgrade(t.Context(), []string{os.Args[0]}), noon.Unavailable)
	if a := get(t, client(t), r.url); a.body != "r1" {
		t.Errorf("%+v", a)
	}
	if now := pid(t, r); now == before {
		t.Errorf("process %d is said to serve", now)
	}
	mustRoute(t, r, routing(2, 2, backend(t, says("r2")))) // also finds the dead one's socket
	if h, err := r.Health(t.Context()); err != nil || len(h.Predecessors) != 0 {
		t.Errorf("%+v %v", h, err)
	}
}

// TestLingerLimit: what a proxy with a successor still has at the limit is
// ended kindly, and it goes.
func TestLingerLimit(t *testing.T) {
	t.Parallel()
	r, cmd := startChild(t, shortDir(t), proxy.Limits{Linger: 100 * time.Millisecond})
	mustRoute(t, r, routing(1, 1, backend(t, streamingApp())))
	chat, idle := openChat(t, r), dialRaw(t, r.url)
	chat.say("hello")
	if a := idle.get("/"); a.body != "r1" {
		t.Fatal(a)
	}
	if err := r.Upgrade(t.Context(), []string{os.Args[0]}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := chat.c.Read(context.WithoutCancel(t.Context())); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("websocket: %v, want 1001", err)
	}
	eventually(t, "it has ended", func() bool { return cmd.Process.Signal(syscall.Signal(0)) != nil })
}

// TestLingerEnds: a request that has just begun when the time of a proxy with a
// successor is over is answered; one that has taken that long is told.
func TestLingerEnds(t *testing.T) {
	t.Parallel()
	arrived, gate := make(chan string, 2), make(chan struct{})
	app := backend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			arrived <- r.URL.Path
			select {
			case <-gate:
			case <-r.Context().Done():
			}
		}
		_, _ = fmt.Fprint(w, "r1")
	})
	const linger = 3 * time.Second
	r, cmd := startChild(t, shortDir(t), proxy.Limits{Linger: linger, Stop: 2 * time.Second})
	mustRoute(t, r, routing(1, 1, app))
	long, fresh := dialRaw(t, r.url), dialRaw(t, r.url)
	if a := fresh.get("/"); a.body != "r1" {
		t.Fatal(a)
	}
	ask := func(c *rawConn, path string) <-chan answer {
		answers := make(chan answer, 1)
		go func() { answers <- c.get(path) }()
		if got := <-arrived; got != path {
			t.Errorf("%s has arrived, not %s", got, path)
		}
		return answers
	}
	old := ask(long, "/long")
	if err := r.Upgrade(t.Context(), []string{os.Args[0]}); err != nil {
		t.Fatal(err)
	}
	<-time.After(1600 * time.Millisecond)
	late := ask(fresh, "/late")
	if a := <-old; a.status != http.StatusServiceUnavailable {
		t.Errorf("long: %+v", a)
	}
	close(gate)
	if a := <-late; a.body != "r1" {
		t.Errorf("late: %+v", a)
	}
	eventually(t, "it has ended", func() bool { return cmd.Process.Signal(syscall.Signal(0)) != nil })
}

// TestStop: without a successor, what is in flight is still answered.
func TestStop(t *testing.T) {
	t.Parallel()
	arrived, gate := make(chan struct{}), make(chan struct{})
	app := backend(t, func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-gate
		_, _ = fmt.Fprint(w, "r1")
	})
	r, cmd := startChild(t, shortDir(t), proxy.Limits{})
	mustRoute(t, r, routing(1, 1, app))
	answered := make(chan answer, 1)
	c := client(t)
	req := request(t, http.MethodPost, r.url, nil)
	go func() {
		a, _ := do(c, req)
		answered <- a
	}()
	<-arrived
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it accepts no more", func() bool { _, err := r.Health(t.Context()); return err != nil })
	close(gate)
	if a := <-answered; a.body != "r1" {
		t.Errorf("%+v", a)
	}
	eventually(t, "it has ended", func() bool { return cmd.Process.Signal(syscall.Signal(0)) != nil })
	if _, err := os.Stat(r.control); err == nil {
		t.Error("its socket is still there")
	}
}
