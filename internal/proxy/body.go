package proxy

import (
	"errors"
	"io"
	"sync"
)

// replayLimit is how much of a body is remembered until the first byte has
// reached an instance.
const replayLimit = 64 << 10

// replayBody is a request's body that can be sent again from the beginning
// while little of it has been read.
type replayBody struct {
	mu     sync.Mutex
	source io.Reader
	seen   []byte
	full   bool // more was read than is remembered
	sent   bool // something reached an instance: nothing is remembered any more
	end    bool // all of it was read
}

// again gives a reader that starts at the first byte, false if that is gone.
func (b *replayBody) again() (io.ReadCloser, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.full {
		return nil, false
	}
	return &bodyReader{body: b}, true
}

// forget stops remembering.
func (b *replayBody) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sent = true
}

// finished reports that the client has sent everything.
func (b *replayBody) finished() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.end
}

// bodyReader reads a replayBody once. Closing it does not close the body: the
// next try may still need it.
type bodyReader struct {
	body *replayBody
	off  int
}

func (r *bodyReader) Read(p []byte) (int, error) {
	b := r.body
	b.mu.Lock()
	if r.off < len(b.seen) {
		n := copy(p, b.seen[r.off:])
		r.off += n
		b.mu.Unlock()
		return n, nil
	}
	b.mu.Unlock()
	n, err := b.source.Read(p)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.remember(p[:n])
	b.end = b.end || errors.Is(err, io.EOF)
	r.off = len(b.seen)
	return n, err
}

func (b *replayBody) remember(p []byte) {
	switch {
	case len(p) == 0 || b.full:
	case b.sent || len(b.seen)+len(p) > replayLimit:
		b.seen, b.full = nil, true
	default:
		b.seen = append(b.seen, p...)
	}
}

func (r *bodyReader) Close() error { return nil }
