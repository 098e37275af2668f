package process

import (
	"fmt"
	"strconv"
	"syscall"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/atomicfile"
)

// reservation holds a port of 127.0.0.1 by a socket that is bound with
// SO_REUSEADDR and does not listen. Linux then lets another socket with
// SO_REUSEADDR bind it and listen, which is what servers do, but never gives
// the port to anybody who asks for any port.
type reservation struct {
	fd   int
	port int
}

// reserveAny reserves a free port.
func reserveAny() (*reservation, error) { return reserveOn(0) }

// reserveAgain gives nil if the port can not be had, because its instance or
// a stranger listens on it.
func reserveAgain(port int) *reservation {
	if port == 0 {
		return nil
	}
	r, err := reserveOn(port)
	if err != nil {
		return nil
	}
	return r
}

func reserveOn(port int) (*reservation, error) {
	syscall.ForkLock.RLock()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, fmt.Errorf("make socket: %w", err)
	}
	r := &reservation{fd: fd}
	err = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	if err == nil {
		err = syscall.Bind(fd, &syscall.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
	}
	if err != nil {
		r.close()
		return nil, fmt.Errorf("bind port: %w", err)
	}
	name, err := syscall.Getsockname(fd)
	if inet, ok := name.(*syscall.SockaddrInet4); err == nil && ok {
		r.port = inet.Port
		return r, nil
	}
	r.close()
	return nil, fmt.Errorf("look at port: %w", err)
}

func (r *reservation) close() {
	if r != nil {
		_ = syscall.Close(r.fd)
	}
}

// reserve makes the port of a process that was not started yet. The one an
// earlier keeper chose is kept if it is still free: nobody uses it, but a
// child on its way may have read it.
func (k *keeper) reserve() error {
	if !k.spec.Port {
		return nil
	}
	if k.port = reserveAgain(k.dir.port()); k.port != nil {
		return nil
	}
	r, err := reserveAny()
	if err == nil {
		k.port = r
		err = atomicfile.Write(k.dir.path(portFile), []byte(strconv.Itoa(r.port)), 0o600)
	}
	if err != nil {
		return &noon.Error{
			Kind: noon.Failure, Op: "reserve a port for", Subject: k.spec.ID, Err: err,
			Hint: "Is the disk full, or are all ports in use? `ss -tan` shows who has them.",
		}
	}
	k.dir.wake(eventsFIFO)
	return nil
}
