package proxy_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/noon-deploy/noon/internal/proxy"
)

// h2TLS is how a user speaks HTTP/2 over TLS to a site that has a certificate
// of noon's own.
func h2TLS() *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, ServerName: "shop.example.com", NextProtos: []string{"h2"}} //nolint:gosec // who it is does not matter here
}

// h2app answers at once, late, or bit by bit.
func h2app(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/late":
		select {
		case <-time.After(100 * time.Millisecond):
		case <-r.Context().Done():
		}
	case "/bits":
		for range 20 {
			_, _ = fmt.Fprint(w, "bit")
			_ = http.NewResponseController(w).Flush()
		}
		return
	}
	_, _ = fmt.Fprint(w, "ok")
}

// TestUpgradesOverH2: users who speak HTTP/2 and never send a request twice
// lose none while the proxy is replaced again and again.
func TestUpgradesOverH2(t *testing.T) {
	t.Parallel()
	upgrades := 20
	if testing.Short() {
		upgrades = 4
	}
	dir := shortDir(t)
	plain, secure := freeAddress(t, dir), refusing(t)
	r, _ := startChildOn(t, dir, proxy.Limits{}, []string{plain, "tls:" + secure})
	app := overTLS(routing(1, 1, backend(t, h2app)))
	app.Domains = []string{"shop.example.com"}
	mustRoute(t, r, app)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var wg sync.WaitGroup
	users := []*openLoop{{address: plain}, {address: secure, config: h2TLS()}}
	for _, l := range users {
		wg.Go(func() { l.run(ctx) })
	}
	for range upgrades {
		from := users[0].count()
		eventually(t, "requests are answered", func() bool { return users[0].count() > from+20 })
		if err := r.Upgrade(t.Context(), []string{os.Args[0]}); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	wg.Wait()
	for _, l := range users {
		if len(l.failed) > 0 {
			t.Errorf("%s: %d of %d failed: %v", l.address, len(l.failed), l.sent, l.failed[0])
		}
		if l.conns < upgrades/2 {
			t.Errorf("%s: only %d connections: nobody was told to leave", l.address, l.conns)
		}
		t.Logf("%d requests on %d connections, %d upgrades", l.sent, l.conns, upgrades)
	}
}

// openLoop sends requests at fixed times, whatever the answers do.
type openLoop struct {
	address string
	config  *tls.Config

	mu     sync.Mutex
	sent   int
	conns  int
	ended  int
	failed []error
}

func (l *openLoop) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ended
}

func (l *openLoop) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed = append(l.failed, err)
}

func (l *openLoop) run(ctx context.Context) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	var answers sync.WaitGroup
	var users []*h2user
	defer func() {
		answers.Wait()
		for _, u := range users {
			u.close()
		}
	}()
	paths := []string{"/", "/late", "/", "/bits"}
	for ctx.Err() == nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		var a *h2answer
		err := errLeaving
		if n := len(users); n > 0 {
			a, err = users[n-1].get(paths[l.sent%len(paths)])
		}
		if errors.Is(err, errLeaving) {
			u, dialErr := tryH2(l.address, l.config)
			if dialErr != nil {
				l.fail(dialErr)
				continue
			}
			users = append(users, u)
			l.conns++
			a, err = u.get(paths[l.sent%len(paths)])
		}
		l.sent++
		if err != nil {
			l.fail(err)
			continue
		}
		answers.Go(func() {
			<-a.ended
			l.mu.Lock()
			l.ended++
			l.mu.Unlock()
			if a.err != nil {
				l.fail(a.err)
			}
		})
	}
}

// TestFarewell: a connection is left in two steps: no stream is named until
// the user has answered, and what goes on then ends by itself.
func TestFarewell(t *testing.T) {
	t.Parallel()
	for _, config := range []*tls.Config{nil, h2TLS()} {
		release := make(chan struct{})
		dir := shortDir(t)
		plain, secure := freeAddress(t, dir), refusing(t)
		r, _ := startChildOn(t, dir, proxy.Limits{}, []string{plain, "tls:" + secure})
		app := overTLS(routing(1, 1, backend(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/long" {
				_, _ = w.Write(make([]byte, 100_000))
				_ = http.NewResponseController(w).Flush()
				<-release
			}
			_, _ = fmt.Fprint(w, "end")
		})))
		app.Domains = []string{"shop.example.com"}
		mustRoute(t, r, app)
		address := plain
		if config != nil {
			address = secure
		}
		u, idle := dialH2(t, address, config), dialH2(t, address, config)
		long, err := u.get("/long")
		if err != nil {
			t.Fatal(err)
		}
		if a, err := idle.get("/"); err != nil || a.wait(t).err != nil {
			t.Fatal(a, err)
		}
		before := pid(t, r)
		if err := r.Upgrade(t.Context(), []string{os.Args[0]}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "both are told", func() bool { return len(u.told()) > 0 && len(idle.told()) > 0 })
		if _, err := u.get("/"); !errors.Is(err, errLeaving) {
			t.Error("it takes more")
		}
		close(release)
		if a := long.wait(t); a.err != nil || a.body.Len() != 100_003 {
			t.Errorf("%d bytes, %v", a.body.Len(), a.err)
		}
		if told := u.told(); told[0] != 1<<31-1 {
			t.Errorf("it is told %v", told)
		}
		eventually(t, "the predecessor ends", func() bool {
			h, err := r.Health(t.Context())
			return err == nil && !slices.Contains(h.Predecessors, before)
		})
	}
}

// TestIdleFarewell: a connection on which there is nothing for too long is left
// in two steps too; one request that takes longer is none of that.
func TestIdleFarewell(t *testing.T) {
	t.Parallel()
	const idle = 200 * time.Millisecond
	release := make(chan struct{})
	dir := shortDir(t)
	address := freeAddress(t, dir)
	r, _ := startChildOn(t, dir, proxy.Limits{Idle: idle}, []string{address})
	mustRoute(t, r, routing(1, 1, backend(t, func(w http.ResponseWriter, _ *http.Request) {
		<-release
		_, _ = fmt.Fprint(w, "end")
	})))
	busy, never := dialH2(t, address, nil), dialH2(t, address, nil)
	long, err := busy.get("/")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "who asks nothing is told, and has its connection closed", func() bool {
		select {
		case <-never.done:
			return true
		default:
			return false
		}
	})
	if told := never.told(); len(told) == 0 || told[0] != 1<<31-1 {
		t.Errorf("it is told %v", told)
	}
	if told := busy.told(); len(told) > 0 {
		t.Errorf("it is told %v in its request", told)
	}
	close(release)
	if a := long.wait(t); a.err != nil || a.body.String() != "end" {
		t.Errorf("%q, %v", a.body.String(), a.err)
	}
	eventually(t, "it is told after that", func() bool { return len(busy.told()) > 0 })
	if told := busy.told(); told[0] != 1<<31-1 {
		t.Errorf("it is told %v", told)
	}
}

func (u *h2user) told() []uint32 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.goAways)
}

// TestFrameReader: where another frame may be put does not depend on how the
// bytes come; never within a field section.
func TestFrameReader(t *testing.T) {
	t.Parallel()
	const headers, continuation, endHeaders = 1, 9, 4
	rapid.Check(t, func(t *rapid.T) {
		var all []byte
		may, block := map[int]bool{}, false
		for range rapid.IntRange(1, 6).Draw(t, "frames") {
			kind := rapid.SampledFrom([]byte{0, headers, 3, 4, 6, 8, continuation}).Draw(t, "kind")
			flags := rapid.SampledFrom([]byte{0, endHeaders}).Draw(t, "flags")
			size := rapid.IntRange(0, 40).Draw(t, "size")
			all = append(all, 0, 0, byte(size), kind, flags, 0, 0, 0, 1) //nolint:gosec // small
			all = append(all, strings.Repeat("x", size)...)
			if kind == headers || kind == continuation {
				block = flags == 0
			}
			may[len(all)] = !block
		}
		r := proxy.NewFrameReader()
		for at := 0; at < len(all); {
			n := rapid.IntRange(1, len(all)-at).Draw(t, "bytes")
			r.Read(all[at : at+n])
			if at += n; r.Between() != may[at] {
				t.Fatalf("after %d of %d bytes: %v", at, len(all), r.Between())
			}
		}
	})
}
