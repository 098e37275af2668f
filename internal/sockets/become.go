package sockets

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/noon-deploy/noon"
)

// envState is the descriptor of the state that a holder has left for the
// program that its process becomes.
const envState = "NOON_SOCKETS_STATE"

// state is what a holder has. Its descriptors, and its children, are those of
// the process, which stays the same.
type state struct {
	Control int             `json:"control"`
	Lock    int             `json:"lock"`
	Reply   int             `json:"reply"` // who has asked, and waits for an answer
	Held    []held          `json:"held"`
	Workers []workerState   `json:"workers"`
	Next    Command         `json:"next"`
	Book    json.RawMessage `json:"book"` // unread if another version has written it otherwise
	Started bool            `json:"started"`
	Quick   int             `json:"quick"`
}

type workerState struct {
	PID    int       `json:"pid"`
	Role   Role      `json:"role"`
	Since  time.Time `json:"since"`
	Offset int64     `json:"offset"`
}

// become makes this process the program of argv. It returns only if that can
// not be.
func (h *holder) become(argv []string, reply *net.UnixConn) error {
	if len(argv) == 0 || !filepath.IsAbs(argv[0]) {
		return &noon.Error{Kind: noon.Invalid, Op: "become another program", Err: fmt.Errorf("%q has no absolute path of a program", argv), Hint: "Name the binary that shall take over."}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ending {
		return &noon.Error{Kind: noon.Unavailable, Op: "become", Subject: argv[0], Err: errors.New("this holder ends")}
	}
	h.cfg.Faults.Point("sockets.become.before")
	err := h.becomeLocked(argv, reply)
	return &noon.Error{Kind: noon.Failure, Op: "become", Subject: argv[0], Err: err, Hint: "The sockets are held as before; nothing was changed."}
}

func (h *holder) becomeLocked(argv []string, reply *net.UnixConn) error {
	var copies []int
	defer func() { closeAll(copies) }()
	for _, c := range []syscall.Conn{h.control, reply} {
		fd, err := copyOfConn(c)
		if err != nil {
			return err
		}
		copies = append(copies, fd)
	}
	book, err := json.Marshal(h.book)
	if err != nil {
		return err
	}
	s := state{
		Control: copies[0], Reply: copies[1], Lock: int(h.lock.Fd()), //nolint:gosec // a descriptor fits
		Held: h.held, Next: h.next, Book: book, Started: h.started, Quick: h.quick,
	}
	for _, w := range h.workers {
		s.Workers = append(s.Workers, workerState{w.pid, w.role, w.since, w.offset})
	}
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	memory, err := memoryFile(data)
	if err != nil {
		return err
	}
	copies = append(copies, memory)
	kept := append([]int{s.Lock}, copies...)
	for _, l := range h.held {
		kept = append(kept, l.FD)
	}
	if err := closeOnExec(kept, false); err != nil {
		return errors.Join(err, closeOnExec(kept, true))
	}
	err = syscall.Exec(argv[0], argv, append(os.Environ(), envState+"="+strconv.Itoa(memory)))
	return errors.Join(err, closeOnExec(kept, true))
}

func closeOnExec(fds []int, on bool) error {
	flags := 0
	if on {
		flags = unix.FD_CLOEXEC
	}
	for _, fd := range fds {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, flags); err != nil { //nolint:gosec // a descriptor fits
			return fmt.Errorf("keep a descriptor: %w", err)
		}
	}
	return nil
}

// takeState reads what the program before has left in this process, nil if
// there was none.
func takeState() (*state, error) {
	value, ok := os.LookupEnv(envState)
	if !ok {
		return nil, nil
	}
	if err := os.Unsetenv(envState); err != nil {
		return nil, &noon.Error{Kind: noon.Internal, Op: "forget", Subject: envState, Err: err}
	}
	s, err := readState(value)
	if err == nil {
		kept := []int{s.Control, s.Lock, s.Reply}
		for _, l := range s.Held {
			kept = append(kept, l.FD)
		}
		err = closeOnExec(kept, true)
	}
	if err != nil {
		return nil, &noon.Error{Kind: noon.Invalid, Op: "read", Subject: envState, Err: err, Hint: "This variable is set by a holder that is upgraded, and by nobody else."}
	}
	return s, nil
}

func readState(value string) (*state, error) {
	fd, err := strconv.ParseUint(value, 10, 20)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "state")
	defer f.Close()
	var s state
	return &s, json.NewDecoder(f).Decode(&s)
}

// goOn makes the holder what the program before was.
func (h *holder) goOn(s *state) error {
	l, err := inheritedListener(s.Control, "control")
	if err != nil {
		return fmt.Errorf("go on listening: %w", err)
	}
	var isUnix bool
	if h.control, isUnix = l.(*net.UnixListener); !isUnix {
		return fmt.Errorf("descriptor %d is no unix socket", s.Control)
	}
	h.control.SetUnlinkOnClose(false)
	f := os.NewFile(uintptr(s.Reply), "reply") //nolint:gosec // a descriptor is not negative
	reply, err := net.FileConn(f)
	_ = f.Close() // net has its own copy
	if err == nil {
		h.reply, _ = reply.(*net.UnixConn) // nil if it is something else: then nobody is answered
	}
	h.lock = os.NewFile(uintptr(s.Lock), "lock") //nolint:gosec // a descriptor is not negative
	h.held, h.next, h.started, h.quick = s.Held, s.Next, s.Started, s.Quick
	if err := json.Unmarshal(s.Book, &h.book); err != nil {
		h.log.Warn("what the holder before remembered can not be read", "err", err)
	}
	if len(h.held) > 0 {
		close(h.settled)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, w := range s.Workers {
		h.adoptLocked(w)
	}
	h.cfg.Faults.Point("sockets.become.after")
	return nil
}

// adoptLocked watches a worker of the program before. One that can not be
// watched any more has ended meanwhile.
func (h *holder) adoptLocked(s workerState) {
	process, err := openProcess(s.PID)
	if err != nil {
		h.log.Warn("worker ended while the holder was upgraded", "pid", s.PID, "err", err)
		return
	}
	w := h.addLocked(s.PID, process, s.Role, s.Offset)
	w.since = s.Since
	if w.role == starting {
		h.expect(w)
	}
}
