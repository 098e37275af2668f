package soak_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/noon-deploy/noon/internal/proxy"
)

// attack is one bad user: it does its worst on a new connection until it is
// cut off, or ctx ends.
type attack struct {
	name string
	do   func(ctx context.Context, conn net.Conn)
}

const post = "POST %s HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n"

// attacks are all ways to be a nuisance that a proxy must not mind.
func attacks() []attack {
	drip := func(first, again string, every time.Duration) func(context.Context, net.Conn) {
		return func(ctx context.Context, c net.Conn) {
			_, err := io.WriteString(c, first)
			for err == nil && ctx.Err() == nil {
				pause(ctx, every)
				_, err = io.WriteString(c, again)
			}
		}
	}
	to := func(path string) string { return fmt.Sprintf(post, path) }
	kib := strings.Repeat("a", 1<<10)
	return []attack{
		{"slowloris", drip("GET / HTTP/1.1\r\nHost: shop\r\n", "X-A: b\r\n", 100*time.Millisecond)},
		{"slow body", drip("POST /sink HTTP/1.1\r\nHost: shop\r\nContent-Length: 60000\r\n\r\n", "a", 50*time.Millisecond)},
		{"slow large body", drip("POST /sink HTTP/1.1\r\nHost: shop\r\nContent-Length: 900000\r\n\r\n", "a", 50*time.Millisecond)},
		{"huge head", drip("GET / HTTP/1.1\r\nHost: shop\r\n", "X-A: "+kib+"\r\n", time.Millisecond)},
		{"huge line", drip("GET /", kib, time.Millisecond)},
		{"endless chunks", drip(to("/sink"), strings.Repeat("1\r\na\r\n", 1000), 20*time.Millisecond)},
		{"endless extension", drip(to("/sink")+"5;", kib, time.Millisecond)},
		{"endless trailer", drip(to("/sink")+"0\r\n", "X: "+kib+"\r\n", time.Millisecond)},
		{"body for the deaf", drip(to("/deaf"), strings.Repeat("400\r\n"+kib+"\r\n", 64), 10*time.Millisecond)},
		{"pipeline without reading", drip("", strings.Repeat("GET /get?id=1&n=1000 HTTP/1.1\r\nHost: shop\r\n\r\n", 4), 10*time.Millisecond)},
		{"never reads", func(ctx context.Context, c net.Conn) {
			_ = c.(*net.TCPConn).SetReadBuffer(4 << 10)
			_, _ = io.WriteString(c, "GET /get?id=1&n=3000000 HTTP/1.1\r\nHost: shop\r\n\r\n")
			<-ctx.Done()
		}},
		{"silence", func(ctx context.Context, c net.Conn) {
			_ = c.SetReadDeadline(time.Now().Add(patience))
			_, _ = c.Read(make([]byte, 1)) // until it is cut off
			pause(ctx, time.Millisecond)
		}},
		{"flood", func(ctx context.Context, _ net.Conn) { pause(ctx, 20*time.Millisecond) }},
	}
}

// TestAbuse: all of it at once. Others are served, and what the proxy needs
// for those who misbehave is bounded.
func TestAbuse(t *testing.T) {
	s := size(t)
	parallel(t, s)
	each := s.clients / 5
	r := newRig(t, proxy.Limits{Header: 10 * time.Second, Idle: 20 * time.Second})
	r.route(r.routing(1, r.run(1), r.run(1)))
	before := r.baseline()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var bad sync.WaitGroup
	var connections, refused atomic.Int64
	for _, a := range attacks() {
		for range each {
			bad.Go(func() {
				for ctx.Err() == nil {
					connections.Add(1)
					if err := commit(ctx, r.config.Listen, a, !s.full); err != nil && ctx.Err() == nil {
						refused.Add(1)
						pause(ctx, 50*time.Millisecond)
					}
				}
			})
		}
	}
	load := startLoad(r.config.Listen, r.book, only(kinds(s), func(k kind) bool { return k.quick }), s.rate/5)
	peak := watchMemory(t, r, s.abuse)
	load.end(t)
	stop()
	bad.Wait()
	after := r.settle(before)
	n := int64(each * len(attacks()))
	grown := peak - before.Resident
	row{
		fmt.Sprintf("%d users that misbehave in %d ways", n, len(attacks())), r.book, before, after,
		fmt.Sprintf("%d connections, %d refused; the proxy grew by at most %d MiB, %d KiB for each of them", connections.Load(), refused.Load(), grown>>20, grown>>10/n),
	}.tell(t)
	wantNone(t, "failed", r.book.failed(every))
	r.book.wantClean(t)
	r.wantOnce()
	// Two large buffers for each, and as much again that is not collected yet.
	if most := int64(64<<20) + n*4*(80<<10); grown > most*raceFactor {
		t.Errorf("the proxy grew by %d bytes, more than %d", grown, most)
	}
}

// commit attacks once. reset ends it so that the proxy learns of it at once;
// else what it has not taken of an upload hides the end from it for a minute.
func commit(ctx context.Context, address string, a attack, reset bool) error {
	conn, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if reset {
		_ = conn.(*net.TCPConn).SetLinger(0)
	}
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	a.do(ctx, conn)
	return nil
}

// watchMemory gives the largest size of the proxy within a time.
func watchMemory(t *testing.T, r *rig, span time.Duration) int64 {
	t.Helper()
	var peak int64
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for begin := time.Now(); time.Since(begin) < span; <-tick.C {
		v, err := r.leash.one()
		if err != nil {
			t.Fatal(err)
		}
		peak = max(peak, v.Resident)
	}
	return peak
}
