package release

import (
	"context"
	"fmt"
	"hash"
	"io"
)

// summer hashes and counts what passes through to w.
type summer struct {
	w    io.Writer
	hash hash.Hash
	size int64
}

func (s *summer) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	s.hash.Write(p[:n])
	s.size += int64(n)
	return n, err
}

// cancelled reads from r until ctx ends.
type cancelled struct {
	//nolint:containedctx // an io.Reader has no other way to learn of it; it lives for one call
	ctx context.Context
	r   io.Reader
}

func (c cancelled) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.r.Read(p)
}

// bounded refuses to read more than left bytes, instead of ending quietly as
// an io.LimitedReader does.
type bounded struct {
	r    io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, fmt.Errorf("it is larger than allowed")
	}
	return n, err
}
