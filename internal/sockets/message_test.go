package sockets_test

import (
	"encoding/binary"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/sockets"
)

// pair is the two ends of a connection.
func pair(tb testing.TB) (a, b *net.UnixConn) {
	tb.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		tb.Fatal(err)
	}
	conns := make([]*net.UnixConn, 2)
	for i, fd := range fds {
		unix.CloseOnExec(fd)
		f := os.NewFile(uintptr(fd), "pair")
		c, err := net.FileConn(f)
		_ = f.Close()
		if err != nil {
			tb.Fatal(err)
		}
		conns[i] = c.(*net.UnixConn)
		tb.Cleanup(func() { _ = c.Close() })
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	}
	return conns[0], conns[1]
}

// TestMessages: what is sent arrives, each with its own descriptors, whatever
// the sizes.
func TestMessages(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		a, b := pair(t)
		defer func() { _ = a.Close() }()
		defer func() { _ = b.Close() }()
		sizes := rapid.SliceOfN(rapid.IntRange(0, 300_000), 1, 4).Draw(rt, "sizes")
		counts := rapid.SliceOfN(rapid.IntRange(0, 5), len(sizes), len(sizes)).Draw(rt, "counts")
		sent := make(chan error, 1)
		go func() {
			for i, size := range sizes {
				if err := sockets.Send(a, strings.Repeat("x", size), slices.Repeat([]int{0}, counts[i])); err != nil {
					sent <- err
					return
				}
			}
			sent <- nil
		}()
		for i, size := range sizes {
			var got string
			fds, err := sockets.Receive(b, &got)
			if err != nil || len(got) != size || len(fds) != counts[i] {
				rt.Fatalf("message %d: %d bytes, %d descriptors, %v; want %d and %d", i, len(got), len(fds), err, size, counts[i])
			}
			for _, fd := range fds {
				if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
					rt.Fatalf("descriptor %d would be left to children: %d %v", fd, flags, err)
				}
			}
			sockets.CloseAll(fds)
		}
		if err := <-sent; err != nil {
			rt.Fatal(err)
		}
	})
}

func TestMessagesThatAreNone(t *testing.T) {
	t.Parallel()
	_, mostFiles, mostMessage := sockets.Longest()
	for name, data := range map[string][]byte{
		"nothing":       {},
		"half a length": {0, 0},
		"half a body":   {0, 0, 0, 9, '"'},
		"no body":       {0, 0, 0, 0},
		"no JSON":       {0, 0, 0, 1, '{'},
		"endless":       binary.BigEndian.AppendUint32(nil, uint32(mostMessage)+1),
	} {
		a, b := pair(t)
		if _, err := a.Write(data); err != nil {
			t.Fatal(err)
		}
		_ = a.CloseWrite()
		var got any
		if _, err := sockets.Receive(b, &got); err == nil {
			t.Errorf("%s: got %v", name, got)
		}
	}
	a, _ := pair(t)
	if err := sockets.Send(a, strings.Repeat("x", mostMessage), nil); err == nil {
		t.Error("a message that is too long was sent")
	}
	if err := sockets.Send(a, 1, slices.Repeat([]int{0}, mostFiles+1)); err == nil {
		t.Error("too many descriptors were sent")
	}
}

func FuzzReceive(f *testing.F) {
	f.Add([]byte{0, 0, 0, 2, '{', '}'})
	f.Add([]byte{0, 0, 0, 16, '{', '"', 's', 'a', 'y', '"', ':', '"', 'x', '"', '}'})
	f.Add([]byte{255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 60_000 {
			return // what a socket holds without a reader
		}
		a, b := pair(t)
		if _, err := a.Write(data); err != nil {
			t.Skip(err)
		}
		_ = a.CloseWrite()
		var got any
		fds, err := sockets.Receive(b, &got)
		if err == nil && (len(data) < 4 || !json.Valid(data[4:4+binary.BigEndian.Uint32(data)])) || len(fds) > 0 {
			t.Errorf("%q was taken as %v with %d descriptors", data, got, len(fds))
		}
		_ = b.Close()
		_ = a.Close()
	})
}

func FuzzNames(f *testing.F) {
	f.Add(`["127.0.0.1:80"]`)
	f.Add(`[`)
	f.Fuzz(func(t *testing.T, value string) {
		names, err := sockets.ParseNames(value)
		if err != nil {
			if noon.HintOf(err) == "" {
				t.Errorf("%v: no hint", err)
			}
			return
		}
		again, err := sockets.ParseNames(strings.TrimPrefix(sockets.Inheritance(names), "NOON_SOCKETS="))
		if err != nil || !slices.Equal(again, names) {
			t.Errorf("%q became %q, %v", names, again, err)
		}
	})
}

func TestArgs(t *testing.T) {
	t.Parallel()
	want := sockets.Config{Socket: "s", Lock: "l", Worker: "w", Output: "o", Listen: []string{"a:1", "b:2"}, Argv: []string{"noon", "proxy", "--listen", "c"}}
	got, err := sockets.ParseArgs(want.Args())
	if err != nil || text(got) != text(want) {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, args := range [][]string{nil, {"--socket"}, {"--nonsense"}, want.Args()[:len(want.Args())-5], {"--socket", "s", "--", "noon"}} {
		if _, err := sockets.ParseArgs(args); noon.KindOf(err) != noon.Invalid || noon.HintOf(err) == "" {
			t.Errorf("%q: %v", args, err)
		}
	}
}

func TestTail(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "out")
	before := strings.Repeat("of the one before\n", 300)
	if err := os.WriteFile(path, []byte(before+"1\n2\n\xff3\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := sockets.Tail(path, int64(len(before))); got != "1\n2\n3" {
		t.Errorf("%q", got)
	}
	if got := sockets.Tail(path, 0); strings.Count(got, "\n") != 7 || !strings.HasSuffix(got, "\n3") {
		t.Errorf("%q", got)
	}
	if got := sockets.Tail(path+"x", 0) + sockets.Tail(path, 1<<20); got != "" {
		t.Errorf("%q", got)
	}
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	got := sockets.CleanEnviron([]string{"A=1", "NOON_FAULT=x", "NOON_SOCKETS=[]", "NOON_SOCKETS_STATE=4", "NOON_FAULT_LOG=f", "B"})
	if want := []string{"A=1", "NOON_FAULT_LOG=f", "B"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func TestPauses(t *testing.T) {
	t.Parallel()
	most, _, _ := sockets.Longest()
	last := time.Duration(0)
	for quick := range 200 {
		pause := sockets.Pause(quick)
		if pause < last || pause > most || quick < 2 && pause != 0 {
			t.Errorf("after %d it is %s, before %s", quick, pause, last)
		}
		last = pause
	}
	if last != most {
		t.Errorf("the longest is %s", last)
	}
}

// TestNobodyThere tells what to do.
func TestNobodyThere(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "none")
	_, err := sockets.Ask(t.Context(), path)
	for _, err := range []error{err, sockets.Announce(t.Context(), path, sockets.Candidate, nil), sockets.Watch(t.Context(), path, nil)} {
		if noon.KindOf(err) != noon.Unavailable || !strings.Contains(noon.HintOf(err), "noon serve starts it") {
			t.Errorf("%v, hint %q", err, noon.HintOf(err))
		}
	}
}
