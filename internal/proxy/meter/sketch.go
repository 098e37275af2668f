package meter

import (
	"math"
	"math/bits"
	"sync/atomic"
)

// A sketch estimates how many different hashes it has seen (HyperLogLog). With
// 2^12 registers the standard error is 1.04/√4096 = 1.6 %, so that ±5 % is
// three of them. A register is a byte; four share a word because there is no
// atomic byte.
const (
	sketchBits  = 12
	sketchSize  = 1 << sketchBits
	sketchWords = sketchSize / 4
	maxRank     = 64 - sketchBits + 1
)

type sketch struct {
	words [sketchWords]atomic.Uint32
}

// add sees one hash. Once a register is as high as the hash asks for, which it
// soon is, that is one read.
func (k *sketch) add(hash uint64) {
	hash = mix(hash)
	index := hash >> (64 - sketchBits)
	k.raise(index, uint32(bits.LeadingZeros64(hash<<sketchBits|1<<(sketchBits-1)))+1)
}

// raise makes a register as high as rank.
func (k *sketch) raise(index uint64, rank uint32) {
	word, shift := &k.words[index/4], index%4*8
	for {
		old := word.Load()
		if old>>shift&0xff >= rank {
			return
		}
		if word.CompareAndSwap(old, old&^(0xff<<shift)|rank<<shift) {
			return
		}
	}
}

// mix makes every bit of a hash depend on every other, for callers whose hash
// is quick rather than good (the finaliser of splitmix64).
func mix(h uint64) uint64 {
	h ^= h >> 30
	h *= 0xbf58476d1ce4e5b9
	h ^= h >> 27
	h *= 0x94d049bb133111eb
	return h ^ h>>31
}

// registers adds the sketch's registers to those given: the higher counts.
func (k *sketch) registers(into *Sessions) {
	if k == nil {
		return
	}
	for i := range k.words {
		w := k.words[i].Load()
		for j := range 4 {
			into.ranks[i*4+j] = max(into.ranks[i*4+j], uint8(w>>(j*8)))
		}
	}
}

// Sessions is what a sketch has seen. Those of several series can be united:
// a session that several have seen counts once.
type Sessions struct {
	ranks [sketchSize]uint8
}

// Estimate gives about how many sessions there were. It is Ertl's estimator
// ("New cardinality estimation algorithms for HyperLogLog sketches", 2017),
// which has no bias for few, for many, or between.
func (s *Sessions) Estimate() uint64 {
	var count [maxRank + 1]float64 // registers of each rank
	for _, r := range s.ranks {
		count[min(r, maxRank)]++
	}
	const m = float64(sketchSize)
	z := m * tau(1-count[maxRank]/m)
	for rank := maxRank - 1; rank >= 1; rank-- {
		z = (z + count[rank]) / 2
	}
	z += m * sigma(count[0]/m)
	return uint64(m*m/(2*math.Ln2*z) + 0.5)
}

// sigma is for the registers that are still empty.
func sigma(x float64) float64 {
	if x == 1 {
		return math.Inf(1)
	}
	y, z := 1.0, x
	for before := math.Inf(-1); z != before; y += y {
		x *= x
		before = z
		z += x * y
	}
	return z
}

// tau is for the registers that can not rise any more.
func tau(x float64) float64 {
	if x == 0 || x == 1 {
		return 0
	}
	y, z := 1.0, 1-x
	for before := math.Inf(1); z != before; {
		x = math.Sqrt(x)
		before = z
		y /= 2
		z -= (1 - x) * (1 - x) * y
	}
	return z / 3
}
