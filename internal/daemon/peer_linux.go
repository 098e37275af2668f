package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// peer returns the process that listens on a unix socket, as the kernel knows
// it: no file can be stale.
func peer(ctx context.Context, socket string) (int, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0, fmt.Errorf("ask for the peer of %s: %w", socket, err)
	}
	var cred *unix.Ucred
	var asked error
	err = raw.Control(func(fd uintptr) { cred, asked = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }) //nolint:gosec // a descriptor fits
	if err := errors.Join(err, asked); err != nil {
		return 0, fmt.Errorf("ask for the peer of %s: %w", socket, err)
	}
	return int(cred.Pid), nil
}
