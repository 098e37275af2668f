package cert

import (
	"sync"
	"time"
)

// bucket lets rate events a second through, and most at once.
type bucket struct {
	rate, most float64
	now        func() time.Time

	mu   sync.Mutex
	left float64
	at   time.Time
}

func newBucket(rate, most float64) *bucket {
	return &bucket{rate: rate, most: most, now: time.Now, left: most}
}

func (b *bucket) take() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	if !b.at.IsZero() {
		b.left = min(b.most, b.left+max(0, now.Sub(b.at).Seconds())*b.rate)
	}
	b.at = now
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}
