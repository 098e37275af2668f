package proxy

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// ends are both ends of a connection; ours is the one under test.
func ends(tb testing.TB) (ours *socket, theirs *net.TCPConn) {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	dialed, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		tb.Fatal(err)
	}
	ours, theirs = &socket{}, dialed.(*net.TCPConn)
	if !ours.init(accepted, &slabs{}) {
		tb.Fatal("a TCP connection has no socket")
	}
	tb.Cleanup(func() { _, _ = ours.Close(), theirs.Close() })
	return ours, theirs
}

// TestSocketMovesEverything: what is written in two parts arrives whole and in
// order, both ways at once, however little room the kernel has.
func TestSocketMovesEverything(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		ours, theirs := ends(t)
		_ = ours.Conn.(*net.TCPConn).SetWriteBuffer(16 << 10)
		size := rapid.IntRange(0, 256<<10)
		first := bytes.Repeat([]byte("1first"), size.Draw(rt, "first")/6)
		second := bytes.Repeat([]byte("2 second"), size.Draw(rt, "second")/8)
		var got []byte
		echoed := make(chan error, 1)
		go func() {
			back := io.TeeReader(theirs, writerFunc(func(p []byte) (int, error) { got = append(got, p...); return len(p), nil }))
			_, err := io.CopyN(theirs, back, int64(len(first)+len(second)))
			echoed <- err
		}()
		returned := make(chan []byte, 1)
		go func() {
			b := make([]byte, len(first)+len(second))
			n, _ := io.ReadFull(ours, b)
			returned <- b[:n]
		}()
		n, err := ours.writeBoth(first, second)
		if err != nil || n != int64(len(first)+len(second)) {
			rt.Fatalf("%d bytes of %d: %v", n, len(first)+len(second), err)
		}
		want := append(bytes.Clone(first), second...)
		if back := <-returned; !bytes.Equal(back, want) {
			rt.Fatalf("%d bytes came back of %d", len(back), len(want))
		}
		if err := <-echoed; err != nil || !bytes.Equal(got, want) {
			rt.Fatalf("%d bytes arrived of %d: %v", len(got), len(want), err)
		}
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// TestSocketTells: ends, limits of time and resets are told as net tells them.
func TestSocketTells(t *testing.T) {
	t.Parallel()
	ours, theirs := ends(t)
	if n, err := ours.Read(nil); n != 0 || err != nil {
		t.Errorf("reading nothing: %d %v", n, err)
	}
	_ = ours.SetReadDeadline(time.Unix(1, 0))
	if _, err := ours.Read(make([]byte, 1)); !isTimeout(err) || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after its time: %v", err)
	}
	_ = ours.SetDeadline(time.Time{})
	_ = theirs.CloseWrite()
	if _, _, err := ours.await(); !errors.Is(err, io.EOF) {
		t.Errorf("after the end: %v", err)
	}
	if ours.got != nil {
		t.Error("a buffer is kept that nobody gives back")
	}
	// Who takes nothing makes us wait, until our time is over.
	much := make([]byte, 64<<20)
	_ = ours.SetWriteDeadline(time.Now().Add(time.Second))
	if n, err := ours.Write(much); !isTimeout(err) || n == 0 {
		t.Errorf("to one who takes nothing: %d bytes, %v", n, err)
	}
	_ = ours.SetDeadline(time.Time{})
	_ = theirs.SetLinger(0)
	_ = theirs.Close()
	if _, _, err := ours.await(); !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.EOF) {
		t.Errorf("after a reset: %v", err)
	}
	var op *net.OpError
	if _, err := ours.Write([]byte("x")); !errors.As(err, &op) {
		t.Errorf("to nobody: %v", err)
	}
	_ = ours.Close()
	if _, err := ours.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("when it is closed: %v", err)
	}
}
