package sockets

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/fault"
)

// Status is what a holder says of itself and of its worker.
type Status struct {
	Version   string   `json:"version"`
	PID       int      `json:"pid"`
	Listen    []string `json:"listen"`    // names of the sockets it holds
	Addresses []string `json:"addresses"` // where they are bound
	Worker    int      `json:"worker"`    // the process that serves; 0: none does
	Command   []string `json:"command"`   // what the next worker is started with
	Restarts  int      `json:"restarts"`  // workers it has started after one had ended
	Ends      []End    `json:"ends,omitempty"`
	Problem   string   `json:"problem,omitempty"` // why no worker serves
}

// End is how a worker ended that nobody had asked to.
type End struct {
	At     time.Time     `json:"at"`
	PID    int           `json:"pid"`
	How    string        `json:"how"`
	Output string        `json:"output,omitempty"` // its last lines
	Gap    time.Duration `json:"gap,omitempty"`    // until the next one served; 0: none has yet
}

// Role is what a worker says of itself.
type Role string

// The roles.
const (
	Candidate Role = sayCandidate // it comes to serve when the one before lets it or dies
	Serving   Role = sayServing   // it serves: from now on it is what counts
)

// callLimit bounds a call whose caller has no limit of its own.
const callLimit = 5 * time.Second

// Announce tells the holder that this process is a worker. One that serves
// hands in its listeners, which become those that the holder holds, and the
// command that it was started with, which the next worker is started with.
func Announce(ctx context.Context, socket string, role Role, listeners []Listener) error {
	c := call{Say: string(role), Command: Command{Argv: os.Args, Env: cleanEnviron(os.Environ())}}
	var fds []int
	defer func() { closeAll(fds) }()
	for _, l := range listeners {
		fd, err := copyOf(l.Listener)
		if err != nil {
			return err
		}
		fds, c.Listen = append(fds, fd), append(c.Listen, l.Name)
	}
	_, err := ask(ctx, socket, c, fds)
	if noon.KindOf(err) == noon.Unavailable && !gone(err) && ctx.Err() == nil {
		_, err = ask(ctx, socket, c, fds) // it may have become another program just then
	}
	return err
}

// cleanEnviron leaves out what is meant for one process only: sockets that
// were inherited, and points at which tests let it die.
func cleanEnviron(env []string) []string {
	var kept []string
	for _, v := range env {
		name, _, _ := strings.Cut(v, "=")
		if name != envInherit && name != envState && name != fault.Env {
			kept = append(kept, v)
		}
	}
	return kept
}

// Ask returns the status of the holder.
func Ask(ctx context.Context, socket string) (Status, error) {
	return ask(ctx, socket, call{Say: sayStatus}, nil)
}

// Become has the holder go on as another program: its process, its sockets and
// its workers stay. The status is the one that the new program gives. After an
// error that is not of kind Unavailable the holder goes on as it was.
func Become(ctx context.Context, socket string, argv []string) (Status, error) {
	return ask(ctx, socket, call{Say: sayBecome, Command: Command{Argv: argv}}, nil)
}

// Watch tells the status now and whenever it changes, until ctx ends or the
// holder does.
func Watch(ctx context.Context, socket string, tell func(Status)) error {
	conn, err := dial(ctx, socket)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if err := send(conn, call{Say: sayWatch}, nil); err != nil {
		return unavailable(socket, err)
	}
	for {
		var a answer
		fds, err := receive(conn, &a)
		closeAll(fds)
		if err != nil {
			return unavailable(socket, err)
		}
		tell(a.Status)
	}
}

func ask(ctx context.Context, socket string, c call, fds []int) (Status, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	conn, err := dial(ctx, socket)
	if err != nil {
		return Status{}, err
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if err := send(conn, c, fds); err != nil {
		return Status{}, unavailable(socket, err)
	}
	var a answer
	came, err := receive(conn, &a)
	closeAll(came)
	switch {
	case ctx.Err() != nil:
		return Status{}, unavailable(socket, context.Cause(ctx))
	case err != nil:
		return Status{}, unavailable(socket, err)
	case a.Error != nil:
		return Status{}, a.Error
	}
	return a.Status, nil
}

func dial(ctx context.Context, socket string) (*net.UnixConn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, unavailable(socket, err)
	}
	u, ok := conn.(*net.UnixConn)
	if !ok {
		return nil, fmt.Errorf("%s is no unix socket", socket)
	}
	return u, nil
}

func unavailable(socket string, err error) error {
	hint := "It ended during the call; noon serve starts it again."
	if gone(err) {
		hint = "It does not run; noon serve starts it."
	}
	return &noon.Error{Kind: noon.Unavailable, Op: "reach the holder of the sockets at", Subject: socket, Err: err, Hint: hint}
}

// gone reports that nobody listens on a socket.
func gone(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, os.ErrNotExist)
}
