package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/sockets"
)

// namedListener is a listener with the address it was asked for by, which is
// what a successor recognises it by.
type namedListener struct {
	net.Listener
	name string
}

// lockDir makes sure that one proxy at most changes the directory.
func lockDir(dir string, inherited *Inherited) (*os.File, error) {
	if inherited.fromProxy() {
		return inherited.lock, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, &noon.Error{Kind: noon.Failure, Op: "make the proxy's directory", Subject: dir, Err: err, Hint: "Check that the directory above exists and may be written to."}
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, &noon.Error{Kind: noon.Failure, Op: "lock the proxy's directory", Subject: dir, Err: err, Hint: "Check that it may be written to."}
	}
	if err := flock(f); err != nil {
		_ = f.Close()
		return nil, &noon.Error{Kind: noon.Conflict, Op: "lock the proxy's directory", Subject: dir, Err: err, Hint: "Another proxy uses it. Upgrade that one, or end it first."}
	}
	return f, nil
}

// lockPatience is how long the lock of a process that is just dying is waited
// for: its sockets may be closed a moment before its lock.
const lockPatience = time.Second

func flock(f *os.File) error {
	limit := time.After(lockPatience)
	tick := time.NewTicker(lockPatience / 50)
	defer tick.Stop()
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) //nolint:gosec // a file descriptor fits
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return err
		}
		select {
		case <-tick.C:
		case <-limit:
			return err
		}
	}
}

// listenAll gives a listener for every address: an inherited one if there is.
func listenAll(addresses []string, inherited *Inherited) ([]namedListener, error) {
	var all []namedListener
	for _, address := range addresses {
		if l := inherited.listener(address); l != nil {
			all = append(all, namedListener{l, address})
			continue
		}
		l, err := sockets.Bind(context.Background(), address)
		if err != nil {
			return all, err
		}
		all = append(all, namedListener{l, address})
	}
	inherited.closeRest()
	return all, nil
}

// maxSocketPath is what fits into a socket's address on every system, with
// room for the process id that is added during an upgrade.
const maxSocketPath = 103 - len(".4194304")

func checkSocketPath(path string) error {
	if len(path) > maxSocketPath {
		return &noon.Error{
			Kind: noon.Invalid, Op: "listen on", Subject: path,
			Err:  fmt.Errorf("the path has %d bytes, sockets allow %d", len(path), maxSocketPath),
			Hint: "Use a shorter data directory.",
		}
	}
	return nil
}

func listenControl(path string, inherited *Inherited) (*net.UnixListener, error) {
	if inherited.fromProxy() {
		return inherited.control, nil
	}
	// The lock is held: a socket that is there is nobody's.
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, &noon.Error{Kind: noon.Failure, Op: "remove the stale socket", Subject: path, Err: err, Hint: "Check the permissions of its directory."}
	}
	return listenUnix(path)
}

func listenUnix(path string) (*net.UnixListener, error) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err == nil {
		l.SetUnlinkOnClose(false) // a successor may have the other copy
		err = os.Chmod(path, 0o600)
	}
	if err != nil {
		return nil, &noon.Error{Kind: noon.Failure, Op: "listen on", Subject: path, Err: err, Hint: "Check that its directory exists and may be written to."}
	}
	return l, nil
}

// privatePath is where a proxy that has a successor is reached.
func privatePath(control string, pid int) string { return fmt.Sprintf("%s.%d", control, pid) }

func removePrivate(control string) {
	_ = os.Remove(privatePath(control, os.Getpid())) // a stale one is found out by whoever tries it
}

// predecessors lists the sockets of proxies that still finish something.
func predecessors(control string) []string {
	own := privatePath(control, os.Getpid())
	matches, err := filepath.Glob(globEscape(control) + ".*")
	if err != nil {
		return nil // not reached: the pattern is escaped
	}
	var paths []string
	for _, m := range matches {
		if m != own && strings.Trim(strings.TrimPrefix(m, control+"."), "0123456789") == "" {
			paths = append(paths, m)
		}
	}
	return paths
}

func globEscape(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}
