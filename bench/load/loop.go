//go:build linux

package load

import (
	"fmt"
	"net/netip"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// conn is one connection of the loop.
type conn struct {
	fd      int
	request []byte // what is left to write
	started time.Time
	busy    bool
	writing bool // the loop waits until it can be written to
	answer  answer
}

// loop is the event loop: one thread does everything.
type loop struct {
	window
	to     unix.SockaddrInet4
	epoll  int
	conns  map[int]*conn
	idle   []*conn
	next   int    // request
	source uint32 // own address, see dial
	buf    []byte
	due    []time.Time // open loop: requests whose time has come, without a connection
}

// Run sends requests over plain HTTP/1.1.
func Run(p Plan) (Result, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	to, err := netip.ParseAddrPort(p.Address)
	if err != nil {
		return Result{}, fmt.Errorf("read the address: %w", err)
	}
	l := &loop{window: window{plan: &p}, to: unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}, conns: map[int]*conn{}, buf: make([]byte, 128<<10)}
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return Result{}, fmt.Errorf("make an event loop: %w", err)
	}
	defer l.closeAll()
	// Sleeps end when they should, not up to 50 µs later.
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
		return Result{}, fmt.Errorf("set the slack of timers: %w", err)
	}
	for range p.Connections {
		c, err := l.dial()
		if err != nil {
			return Result{}, err
		}
		l.idle = append(l.idle, c)
	}
	if p.Rate > 0 {
		return l.open()
	}
	return l.closed()
}

// closed sends the next request as soon as one is answered.
func (l *loop) closed() (Result, error) {
	for len(l.idle) > 0 {
		l.send(l.take(), time.Now())
	}
	if err := l.until(time.Now().Add(l.plan.Warm)); err != nil {
		return Result{}, err
	}
	if err := l.count(); err != nil {
		return Result{}, err
	}
	if err := l.until(l.began.Add(l.plan.Window)); err != nil {
		return Result{}, err
	}
	return l.close()
}

func (l *loop) until(end time.Time) error {
	for {
		now := time.Now()
		if !now.Before(end) {
			return nil
		}
		if err := l.wait(min(end.Sub(now), 100*time.Millisecond)); err != nil {
			return err
		}
		for len(l.idle) > 0 {
			l.send(l.take(), time.Now())
		}
		if len(l.conns) == 0 {
			return fmt.Errorf("no connection is left, such as: %w", l.result.Example)
		}
	}
}

// open sends requests when their time has come. The latency of each is that
// since its time, whether or not a connection was free.
func (l *loop) open() (Result, error) {
	interval := time.Duration(float64(time.Second) / l.plan.Rate)
	start := time.Now().Add(interval)
	warm := int(l.plan.Warm / interval)
	all := warm + int(l.plan.Window/interval)
	for i := 0; i < all; {
		now := time.Now()
		if i >= warm && !l.counting {
			if err := l.count(); err != nil {
				return Result{}, err
			}
			// Mark took its time: the schedule begins anew behind it.
			start, all, warm, i = l.began.Add(interval), all-i, 0, 0
			continue
		}
		at := start.Add(time.Duration(i) * interval)
		if !at.After(now) {
			l.due = append(l.due, at)
			i++
			l.sendDue()
			continue
		}
		if err := l.wait(at.Sub(now)); err != nil {
			return Result{}, err
		}
		l.sendDue()
	}
	return l.drain()
}

// drain waits for the answers that are still missing. Those that do not come
// are errors: to leave them out would flatter.
func (l *loop) drain() (Result, error) {
	for limit := time.Now().Add(2 * time.Second); l.busy() > 0 && time.Now().Before(limit); {
		if err := l.wait(10 * time.Millisecond); err != nil {
			return Result{}, err
		}
		l.sendDue()
	}
	for range l.busy() {
		l.result.fail(fmt.Errorf("no answer after two seconds"))
	}
	return l.close()
}

func (l *loop) busy() int { return len(l.conns) - len(l.idle) + len(l.due) }

func (l *loop) sendDue() {
	n := 0
	for ; n < len(l.due) && len(l.idle) > 0; n++ {
		l.send(l.take(), l.due[n])
	}
	l.due = append(l.due[:0], l.due[n:]...)
}

func (l *loop) take() *conn {
	c := l.idle[len(l.idle)-1]
	l.idle = l.idle[:len(l.idle)-1]
	return c
}

// wait handles what happens until the time is over, or the first things that
// happen before.
func (l *loop) wait(d time.Duration) error {
	var events [256]unix.EpollEvent
	n, err := l.poll(events[:], max(d, 0))
	if err != nil {
		return err
	}
	for _, e := range events[:n] {
		if c := l.conns[int(e.Fd)]; c != nil {
			l.ready(c, e.Events)
		}
	}
	return nil
}

// poll is epoll_pwait2, whose patience is in nanoseconds. It looks without
// waiting first, which spares the scheduler of Go under load.
func (l *loop) poll(events []unix.EpollEvent, d time.Duration) (int, error) {
	var now unix.Timespec
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT2, uintptr(l.epoll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), uintptr(unsafe.Pointer(&now)), 0, 0)
	if errno == 0 && n == 0 && d > 0 {
		ts := unix.NsecToTimespec(int64(d))
		n, _, errno = unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(l.epoll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), uintptr(unsafe.Pointer(&ts)), 0, 0)
	}
	if errno == unix.EINTR {
		return 0, nil
	}
	if errno != 0 {
		return 0, fmt.Errorf("wait for answers: %w", errno)
	}
	return int(n), nil
}

func (l *loop) closeAll() {
	for fd := range l.conns {
		_ = unix.Close(fd) // nothing is lost with a client's socket
	}
	_ = unix.Close(l.epoll)
}
