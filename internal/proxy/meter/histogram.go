package meter

import (
	"math/bits"
	"time"
)

// Latency is counted in log-linear buckets: every power of two of a unit of
// 1 ms / 2^20 is cut in eight equal parts, so that a bucket's middle is at most
// 6.25 % from whatever is in it. Powers of two of a millisecond, not of a
// nanosecond, make 1 ms, 1.25 ms, 5 ms, 10 ms, 20 ms … edges of buckets, and
// what Prometheus is told exact. A bucket holds its upper edge, as "le" wants.
const (
	subBits   = 3
	subCount  = 1 << subBits
	lowOctave = 15 // 31.25 µs; what is shorter is in subCount equal buckets
	topOctave = 40 // 1,048.576 s; what is longer is in the last bucket

	overflow = subCount + (topOctave-lowOctave)*subCount
	// Buckets is how many there are.
	Buckets = overflow + 1
	// longest is the duration beyond which all is the same.
	longest = time.Duration(1<<(topOctave-20)) * time.Millisecond
)

// A millisecond is 2^20 units and 10^6 ns: 2^14 units are 5^6 ns.
const (
	unitsPer = 1 << 14
	nsPer    = 15625
)

// bucketOf gives the bucket of a duration.
func bucketOf(d time.Duration) int {
	if d <= 0 {
		return 0
	}
	if d > longest {
		return overflow
	}
	v := uint64(d-1) * unitsPer / nsPer
	if v < 1<<lowOctave {
		return int(v >> (lowOctave - subBits))
	}
	octave := bits.Len64(v) - 1
	return subCount + (octave-lowOctave)<<subBits + int(v>>(octave-subBits))&(subCount-1)
}

// upperEdge gives the longest duration that bucket i holds. The last one has
// none and gives the edge of the one before.
func upperEdge(i int) time.Duration {
	i = min(i, overflow-1)
	octave, part := lowOctave-subBits, i+1
	if i >= subCount {
		octave = lowOctave + (i-subCount)/subCount - subBits
		part = subCount + (i-subCount)%subCount + 1
	}
	return time.Duration(uint64(part) << octave * nsPer / unitsPer)
}

// middle gives the duration that stands for all of bucket i.
func middle(i int) time.Duration {
	switch {
	case i == 0:
		return upperEdge(0) / 2
	case i >= overflow:
		return longest
	}
	return (upperEdge(i-1) + upperEdge(i)) / 2
}
