package dbtest

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

const (
	writers = 10
	writes  = 500 // a second, of all writers
)

// WriteWhile writes 500 times a second while something happens, for at most
// limit, and returns how long each statement took, sorted. Connect opens one of
// ten sessions: write is its statement, end closes it.
func WriteWhile(b *testing.B, limit time.Duration, connect func(ctx context.Context) (write func(*rand.Rand) error, end func(), err error), what func(context.Context)) []time.Duration {
	b.Helper()
	all := context.WithoutCancel(b.Context())
	ctx, cancel := context.WithTimeout(all, limit)
	defer cancel()
	var mu sync.Mutex
	var took []time.Duration
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			write, end, err := connect(all)
			if err != nil {
				b.Error(err)
				return
			}
			defer end()
			tick := time.NewTicker(time.Second / (writes / writers))
			defer tick.Stop()
			rng := rand.New(rand.NewPCG(uint64(w), 1)) //nolint:gosec // the same statements each time
			for ctx.Err() == nil {
				began := time.Now()
				if err := write(rng); err != nil {
					b.Error(err)
					return
				}
				mu.Lock()
				took = append(took, time.Since(began))
				mu.Unlock()
				select {
				case <-ctx.Done():
				case <-tick.C:
				}
			}
		})
	}
	what(ctx)
	cancel()
	group.Wait()
	slices.Sort(took)
	return took
}
