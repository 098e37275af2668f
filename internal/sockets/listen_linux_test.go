package sockets_test

import (
	"errors"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/sockets"
)

func TestAddress(t *testing.T) {
	t.Parallel()
	for name, good := range map[string]bool{
		"127.0.0.1:80": true, ":8080": true, "[::1]:0": true, "example.com:443": true, "localhost:65535": true,
		"": false, "80": false, "127.0.0.1": false, "::1:80": false, "127.0.0.1:http": false, "127.0.0.1:65536": false,
		"127.0.0.1:-1": false, "127.0.0.1:080": false, "gopher:127.0.0.1:80": false, "127.0.0.1:": false,
	} {
		address, err := sockets.Address(name)
		switch {
		case good && (err != nil || address != name):
			t.Errorf("%q: %q, %v", name, address, err)
		case !good && (noon.KindOf(err) != noon.Failure || noon.HintOf(err) == ""):
			t.Errorf("%q: %q, %v", name, address, err)
		}
	}
}

func FuzzAddress(f *testing.F) {
	for _, name := range []string{"127.0.0.1:80", "[::1]:0", ":1", "x:y:1"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		address, err := sockets.Address(name)
		if err != nil {
			return
		}
		if _, port, err := net.SplitHostPort(address); err != nil {
			t.Errorf("%q gives %q: %v", name, address, err)
		} else if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			t.Errorf("%q gives the port %q", name, port)
		}
	})
}

func TestBindRefuses(t *testing.T) {
	t.Parallel()
	l, err := sockets.Bind(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for name, want := range map[string]struct {
		kind noon.ErrorKind
		err  error
		hint string
	}{
		l.Addr().String(): {noon.Failure, syscall.EADDRINUSE, "Another program uses this port"},
		"192.0.2.1:0":     {noon.Failure, syscall.EADDRNOTAVAIL, "not one of this machine"},
		"nonsense":        {noon.Failure, nil, "must be host:port"},
	} {
		_, err := sockets.Bind(t.Context(), name)
		if noon.KindOf(err) != want.kind || want.err != nil && !errors.Is(err, want.err) || !strings.Contains(noon.HintOf(err), want.hint) {
			t.Errorf("%s: %v, hint %q", name, err, noon.HintOf(err))
		}
	}
}

// TestAcceptedInherit: what is set on the listening socket holds for accepted
// ones without another call, and the queue is as long as the system allows.
func TestAcceptedInherit(t *testing.T) {
	t.Parallel()
	l, err := sockets.Bind(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	fd, err := sockets.CopyOf(l)
	if err != nil {
		t.Fatal(err)
	}
	defer sockets.CloseAll([]int{fd})
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		t.Fatal(err)
	}
	most, err := os.ReadFile("/proc/sys/net/core/somaxconn")
	if got := strconv.Itoa(int(info.Sacked)); err != nil || got != strings.TrimSpace(string(most)) { // of a listener: its queue
		t.Errorf("%s connections may wait, the system allows %s (%v)", got, most, err)
	}
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	accepted := -1
	eventually(t, "a connection can be accepted", func() bool {
		accepted, _, err = unix.Accept4(fd, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
		return !errors.Is(err, unix.EAGAIN)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer sockets.CloseAll([]int{accepted})
	for name, row := range map[string]struct{ level, option, want int }{
		"nodelay":   {unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		"keepalive": {unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		"idle":      {unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 30},
		"interval":  {unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 10},
		"count":     {unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 6},
		"defer":     {unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 0},
	} {
		if got, err := unix.GetsockoptInt(accepted, row.level, row.option); err != nil || got != row.want {
			t.Errorf("%s is %d, want %d (%v)", name, got, row.want, err)
		}
	}
}
