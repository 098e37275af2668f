package sockets

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/noon-deploy/noon"
)

// Listener is a listening socket with the name it was asked for by. Names are
// what a process recognises its sockets by; only Address looks into them.
type Listener struct {
	Name string
	net.Listener
}

// Kind is what is spoken on the connections of a listener.
type Kind struct {
	TLS     bool // "tls:0.0.0.0:443"
	Proxied bool // "proxy:…": the PROXY protocol comes first
}

// KindOf is the kind that a name of a listener asks for.
func KindOf(name string) Kind {
	kind, _ := split(name)
	return kind
}

func split(name string) (Kind, string) {
	var kind Kind
	for {
		if rest, ok := strings.CutPrefix(name, "tls:"); ok && !kind.TLS {
			kind.TLS, name = true, rest
		} else if rest, ok := strings.CutPrefix(name, "proxy:"); ok && !kind.Proxied {
			kind.Proxied, name = true, rest
		} else {
			return kind, name
		}
	}
}

// Address is the host:port that a name of a listener asks for.
func Address(name string) (string, error) {
	_, address := split(name)
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		if n, perr := strconv.ParseUint(port, 10, 16); perr != nil || strconv.FormatUint(n, 10) != port {
			err = fmt.Errorf("%q is not a port", port)
		}
	}
	if err != nil {
		return "", &noon.Error{Kind: noon.Failure, Op: "listen on", Subject: name, Err: err, Hint: hintOf(err)}
	}
	return address, nil
}

// What accepted connections inherit from their listener on Linux, so that
// nobody has to set it for each of them.
const (
	keepIdle     = 30 * time.Second // before a silent client is asked whether it is there
	keepInterval = 10 * time.Second
	keepCount    = 6
)

// Bind makes a listening socket for a name. The queue of connections that
// wait to be accepted is as long as the system allows (somaxconn).
func Bind(ctx context.Context, name string) (net.Listener, error) {
	address, err := Address(name)
	if err != nil {
		return nil, err
	}
	lc := net.ListenConfig{KeepAlive: -1, Control: func(_, _ string, c syscall.RawConn) error {
		var oerr error
		err := c.Control(func(fd uintptr) { oerr = setOptions(int(fd)) }) //nolint:gosec // a descriptor fits
		return errors.Join(err, oerr)
	}}
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, &noon.Error{Kind: noon.Failure, Op: "listen on", Subject: name, Err: err, Hint: hintOf(err)}
	}
	return l, nil
}

func hintOf(err error) string {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return "Another program uses this port. End it, or choose another address."
	case errors.Is(err, syscall.EACCES):
		return "Ports below 1024 need a permission: setcap cap_net_bind_service=+ep on the noon binary, or choose another port."
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "The address is not one of this machine."
	default:
		return "The address must be host:port, such as 0.0.0.0:80, or tls:host:port."
	}
}

// copyOf gives a copy of a listener's descriptor, which the runtime does not
// poll: whoever only holds a socket must not be woken by each connection.
func copyOf(l net.Listener) (int, error) {
	conn, ok := l.(syscall.Conn)
	if !ok {
		return -1, fmt.Errorf("listener %s has no descriptor", l.Addr())
	}
	return copyOfConn(conn)
}

func copyOfConn(conn syscall.Conn) (int, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd := -1
	var derr error
	err = raw.Control(func(original uintptr) { fd, derr = unix.FcntlInt(original, unix.F_DUPFD_CLOEXEC, 0) })
	if err := errors.Join(err, derr); err != nil {
		return -1, fmt.Errorf("copy a socket: %w", err)
	}
	return fd, nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd) // a copy of a socket; nothing is buffered
	}
}
