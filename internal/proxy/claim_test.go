package proxy_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/proxy"
)

// TestClaimRace: once a swap has returned, no claim is for a release without a
// share, and whoever then sees a count of zero has missed nobody.
func TestClaimRace(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		claimers := rapid.IntRange(1, 6).Draw(t, "claimers")
		perSwap := rapid.IntRange(1, 20).Draw(t, "swaps")
		c, err := proxy.NewClaims("", routing(1, 1, "127.0.0.1:1"))
		if err != nil {
			t.Fatal(err)
		}
		// gone is the highest release that was drained: nobody may hold it.
		var gone atomic.Int64
		var late atomic.Int64
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for range claimers {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					before := gone.Load()
					r, release := c.Claim("", "/", "")
					if int64(r.Release) <= before || int64(r.Release) <= gone.Load() {
						late.Add(1)
					}
					release()
				}
			})
		}
		for n := range perSwap {
			old := n + 1
			c.Publish(routing(int64(n+2), old+1, fmt.Sprint("127.0.0.1:", old+1)))
			for c.InFlight(rev(old)) != 0 { // until they have ended
			}
			gone.Store(int64(old))
		}
		close(stop)
		wg.Wait()
		if late.Load() != 0 {
			t.Fatalf("%d claims of a release that was drained", late.Load())
		}
		for n := range perSwap + 1 {
			if left := c.InFlight(rev(n + 1)); left != 0 {
				t.Fatalf("%d claims of r%d are left", left, n+1)
			}
		}
	})
}

// TestFrames: cut a stream of frames anywhere; it is at a boundary exactly
// where a frame ends.
func TestFrames(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var stream []byte
		ends := map[int]bool{0: true}
		for range rapid.IntRange(1, 5).Draw(t, "frames") {
			size := rapid.SampledFrom([]int{0, 1, 125, 126, 300, 65535, 65536}).Draw(t, "size")
			stream = append(stream, 0x82)
			switch {
			case size < 126:
				stream = append(stream, byte(size))
			case size < 65536:
				stream = append(stream, 126, byte(size>>8), byte(size))
			default:
				stream = append(stream, 127, 0, 0, 0, 0, 0, byte(size>>16), byte(size>>8), byte(size))
			}
			stream = append(stream, make([]byte, size)...)
			ends[len(stream)] = true
		}
		cut := rapid.IntRange(0, len(stream)).Draw(t, "cut")
		got := proxy.Frames(stream[:cut], stream[cut:])
		if got[0] != ends[cut] || !got[1] {
			t.Fatalf("cut at %d: boundary %v, want %v; at the end %v", cut, got[0], ends[cut], got[1])
		}
	})
}

func BenchmarkClaim(b *testing.B) {
	r := routing(1, 1, "127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3")
	r.Domains = []string{"shop.example.com"}
	r.Paths = append(r.Paths, noon.Path{Prefix: "/api", Service: "api"})
	c, err := proxy.NewClaims("", r)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if !c.ClaimOnce("shop.example.com", "/cart", "") {
			b.Fatal("nothing was claimed")
		}
	}
}

func BenchmarkClaimShared(b *testing.B) {
	r := routing(1, 1, "127.0.0.1:1", "127.0.0.1:2")
	r.Endpoints = append(r.Endpoints, endpoints(2, "127.0.0.1:3")...)
	r.Domains = []string{"*.example.com"}
	r.Shares = []noon.Share{{Revision: rev(1), Points: 9500}, {Revision: rev(2), Points: 500}}
	c, err := proxy.NewClaims("", r)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if !c.ClaimOnce("shop.eu.example.com", "/cart", "ABCDEFGHIJKLMNOP") {
			b.Fatal("nothing was claimed")
		}
	}
}

// TestClaimAllocates keeps the benchmarks honest.
func TestClaimAllocates(t *testing.T) {
	c, err := proxy.NewClaims("", routing(1, 1, "127.0.0.1:1", "127.0.0.1:2"))
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { c.ClaimOnce("", "/", "") }); n != 0 {
		t.Errorf("%v allocations for a claim", n)
	}
}
