package load

import (
	"math/bits"
	"time"
)

// Latency is how long answers took.
type Latency struct {
	P50 time.Duration `json:"p50"`
	P99 time.Duration `json:"p99"`
	Max time.Duration `json:"max"`
}

// histogram counts durations in buckets whose width is a sixteenth of their
// size: of fixed memory and within 7 % of the truth.
type histogram struct {
	buckets [64 * steps]int64
	total   int64
	max     time.Duration
}

const steps = 16

func (h *histogram) add(d time.Duration) {
	d = max(d, 0)
	h.buckets[bucketOf(uint64(d))]++
	h.total++
	h.max = max(h.max, d)
}

// bucketOf gives the power of two and its sixteenth.
func bucketOf(n uint64) int {
	if n < steps {
		return int(n)
	}
	shift := bits.Len64(n) - 5
	return (shift+1)*steps + int(n>>shift) - steps
}

// upperOf is the largest value in a bucket.
func upperOf(bucket int) time.Duration {
	if bucket < steps {
		return time.Duration(bucket)
	}
	shift := bucket/steps - 1
	return time.Duration((uint64(bucket%steps)+steps+1)<<shift - 1)
}

// quantile returns a value that at most the part 1-q of the durations exceed.
func (h *histogram) quantile(q float64) time.Duration {
	rest := int64(q * float64(h.total))
	for i, n := range h.buckets {
		if rest -= n; rest < 0 {
			return min(upperOf(i), h.max)
		}
	}
	return h.max
}

func (h *histogram) latency() Latency {
	return Latency{P50: h.quantile(0.5), P99: h.quantile(0.99), Max: h.max}
}
