package proxy

import (
	"math/rand/v2"
	"sync/atomic"
)

// requestIDs numbers requests. An id is unique among all proxies: it begins
// with what this one has drawn.
type requestIDs struct {
	drawn uint64
	last  atomic.Uint64
}

func newRequestIDs() requestIDs {
	return requestIDs{drawn: rand.Uint64()} //nolint:gosec // unique is enough
}

// append adds the next id, 32 hexadecimal digits.
func (r *requestIDs) append(b []byte) []byte {
	return appendHex(appendHex(b, r.drawn), r.last.Add(1))
}
