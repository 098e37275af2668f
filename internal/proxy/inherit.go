package proxy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/sockets"
)

// envInherit tells a successor which of its file descriptors are what.
const envInherit = "NOON_PROXY_INHERIT"

// The descriptors that a successor is started with; listeners follow.
const (
	fdControl = iota + 3
	fdLock
	fdReady
	fdGo
	fdErrors
	fdListeners
)

// Words a successor says on its way.
const (
	saysReady   = "ready\n"
	saysServing = "serving\n"
)

// Inherited is what a proxy was handed: by the one before it everything, by the
// holder of the sockets the listeners only.
type Inherited struct {
	listeners []namedListener
	control   *net.UnixListener
	lock      *os.File
	ready     *os.File // says saysReady, then saysServing
	goAhead   *os.File // says when to serve
	errors    *os.File // the stderr of the one before
}

type inheritance struct {
	Listen []string `json:"listen"`
}

// fromProxy reports whether there is a proxy before this one.
func (i *Inherited) fromProxy() bool { return i != nil && i.control != nil }

// fromHolder takes the listeners of a process that only holds them, nil if
// there are none.
func fromHolder() (*Inherited, error) {
	listeners, err := sockets.Inherit()
	if err != nil || len(listeners) == 0 {
		return nil, err
	}
	i := &Inherited{}
	for _, l := range listeners {
		i.listeners = append(i.listeners, namedListener{l.Listener, l.Name})
	}
	return i, nil
}

// Inherit takes what the proxy before this process or the holder of the
// sockets has left in its environment, nil if there was nothing. It must be
// called at most once, early.
func Inherit() (*Inherited, error) {
	value, ok := os.LookupEnv(envInherit)
	if !ok {
		return fromHolder()
	}
	if err := os.Unsetenv(envInherit); err != nil {
		return nil, fmt.Errorf("forget %s: %w", envInherit, err)
	}
	var what inheritance
	if err := json.Unmarshal([]byte(value), &what); err != nil {
		return nil, &noon.Error{Kind: noon.Invalid, Op: "read", Subject: envInherit, Err: err, Hint: "This variable is set by a proxy that is upgraded, and by nobody else."}
	}
	i := &Inherited{
		lock: inheritedFile(fdLock, "lock"), ready: inheritedFile(fdReady, "ready"),
		goAhead: inheritedFile(fdGo, "go"), errors: inheritedFile(fdErrors, "stderr"),
	}
	l, err := inheritedListener(fdControl)
	control, isUnix := l.(*net.UnixListener)
	if err == nil && !isUnix {
		err = fmt.Errorf("descriptor %d is not the control socket", fdControl)
	}
	i.control = control
	for n, name := range what.Listen {
		if err != nil {
			break
		}
		l, err = inheritedListener(fdListeners + n)
		i.listeners = append(i.listeners, namedListener{l, name})
	}
	if err != nil {
		return nil, &noon.Error{Kind: noon.Internal, Op: "take over the sockets of the proxy before", Err: err}
	}
	return i, nil
}

func inheritedFile(fd int, name string) *os.File {
	syscall.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), name)
}

func inheritedListener(fd int) (net.Listener, error) {
	f := inheritedFile(fd, "listener")
	defer func() { _ = f.Close() }() // net has its own copy
	return net.FileListener(f)
}

// listener hands out the listener that was asked for by this address, nil if
// there is none.
func (i *Inherited) listener(name string) net.Listener {
	if i == nil {
		return nil
	}
	for n, l := range i.listeners {
		if l.name == name && l.Listener != nil {
			i.listeners[n].Listener = nil
			return l.Listener
		}
	}
	return nil
}

// closeRest closes listeners that are no longer asked for.
func (i *Inherited) closeRest() {
	if i == nil {
		return
	}
	for _, l := range i.listeners {
		if l.Listener != nil {
			_ = l.Close() // only our copy
		}
	}
	i.listeners = nil
}

// begin tells the proxy before that this one could serve, and returns when it
// shall. If that proxy has died meanwhile there is nobody else.
func (i *Inherited) begin() error {
	if !i.fromProxy() {
		return nil
	}
	if _, err := io.WriteString(i.ready, saysReady); err != nil && !errors.Is(err, syscall.EPIPE) {
		return &noon.Error{Kind: noon.Internal, Op: "speak to the proxy before", Err: err}
	}
	var word [1]byte
	_, _ = i.goAhead.Read(word[:]) // its end is as good as its word
	return nil
}

// serving tells the proxy before that it may stop accepting. What this process
// writes to stderr goes where that one's did.
func (i *Inherited) serving() {
	if !i.fromProxy() {
		return
	}
	_ = unix.Dup2(int(i.errors.Fd()), int(os.Stderr.Fd())) //nolint:gosec // descriptors fit
	_, _ = io.WriteString(i.ready, saysServing)            // it may have died
	for _, f := range []*os.File{i.ready, i.goAhead, i.errors} {
		_ = f.Close() // nothing was buffered
	}
}
