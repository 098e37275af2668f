package soak_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

// pattern reads the n bytes that belong to an id: every byte of every body can
// be checked without anybody keeping it.
type pattern struct {
	id    uint64
	at, n int64
}

// Read implements io.Reader.
func (p *pattern) Read(b []byte) (int, error) {
	if p.at >= p.n {
		return 0, io.EOF
	}
	b = b[:min(int64(len(b)), p.n-p.at)]
	var word [8]byte
	for done := 0; done < len(b); {
		binary.LittleEndian.PutUint64(word[:], scramble(p.id+uint64(p.at/8)*0x9e3779b97f4a7c15)) //nolint:gosec // never negative
		k := copy(b[done:], word[p.at%8:])
		done += k
		p.at += int64(k)
	}
	return len(b), nil
}

func scramble(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func patternOf(id uint64, n int) []byte {
	b := make([]byte, n)
	_, _ = (&pattern{id: id, n: int64(n)}).Read(b) // it can not fail
	return b
}

// checkPattern reads r to its end, which must be the bytes of the id.
func checkPattern(r io.Reader, id uint64, n int64) error {
	want := &pattern{id: id, n: n}
	var got, expected [16 << 10]byte
	for {
		k, err := r.Read(got[:])
		if int64(k) > want.n-want.at {
			return fmt.Errorf("%w: more than %d bytes", errContent, n)
		}
		at := want.at
		_, _ = want.Read(expected[:k])
		if !bytes.Equal(got[:k], expected[:k]) {
			return fmt.Errorf("%w: other bytes behind byte %d", errContent, at)
		}
		switch {
		case err == io.EOF && want.at < n:
			return fmt.Errorf("%w: %d bytes of %d", errContent, want.at, n)
		case err == io.EOF:
			return nil
		case err != nil:
			return fmt.Errorf("after %d bytes of %d: %w", want.at, n, err)
		}
	}
}
