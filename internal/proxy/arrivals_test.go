package proxy_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// arrivals are users that come at a fixed rate, whether those before them have
// been answered or not: GET and POST, over fresh and over kept connections. No
// request is ever sent twice.
type arrivals struct {
	t       *testing.T
	address string
	stop    chan struct{}
	wg      sync.WaitGroup

	mu       sync.Mutex
	inside   int // requests under way
	skipped  int // that did not come because too many were inside
	began    time.Time
	idle     []*keptConn
	sent     int
	slowest  time.Duration
	failures []failure
	kills    []window
}

// window is when a process was killed and when its end was seen.
type window struct{ from, to time.Time }

type failure struct {
	what        string
	established time.Time // of the connection, not later; zero: there was none
	at          time.Time
	err         error
}

func (f failure) String() string {
	return fmt.Sprintf("%s %s: %v (connection of %s)", f.at.Format("05.000"), f.what, f.err, f.established.Format("05.000"))
}

type keptConn struct {
	net.Conn
	r           *bufio.Reader
	established time.Time // not later than that
}

const (
	arrivalPace  = 2500 * time.Microsecond // 400 requests a second
	arrivalLimit = 10 * time.Second
	// mostInside keeps a machine that is too slow for the pace from having ever
	// more requests in the queue than it will answer.
	mostInside = 600
)

// arrive begins; every body of a POST is as long as it says.
func arrive(t *testing.T, url string) *arrivals {
	t.Helper()
	a := &arrivals{t: t, address: strings.TrimPrefix(url, "http://"), began: time.Now(), stop: make(chan struct{})}
	a.wg.Go(func() {
		tick := time.NewTicker(arrivalPace)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-a.stop:
				return
			case <-tick.C:
			}
			method, keep := http.MethodGet, n%4 < 2
			if n%2 == 1 {
				method = http.MethodPost
			}
			if a.enter() {
				a.wg.Go(func() { a.visit(method, keep) })
			}
		}
	})
	return a
}

func (a *arrivals) enter() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.inside >= mostInside {
		a.skipped++
		return false
	}
	a.inside++
	return true
}

func (a *arrivals) visit(method string, keep bool) {
	began := time.Now()
	c, err := a.connect(keep)
	if err != nil {
		a.note(began, failure{what: method + " connect", at: time.Now(), err: err})
		return
	}
	again, err := c.exchange(method)
	if err != nil {
		a.note(began, failure{what: fmt.Sprintf("%s (kept %t)", method, keep), established: c.established, at: time.Now(), err: err})
	} else {
		a.note(began, failure{})
	}
	if err != nil || !again || !keep {
		_ = c.Close()
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.idle = append(a.idle, c)
}

// connect takes a connection that is kept, if it shall and there is one that
// the other side has not ended.
func (a *arrivals) connect(keep bool) (*keptConn, error) {
	for keep {
		a.mu.Lock()
		var c *keptConn
		if n := len(a.idle); n > 0 {
			c, a.idle = a.idle[0], a.idle[1:]
		}
		a.mu.Unlock()
		if c == nil {
			break
		}
		if !endedByPeer(c.Conn) {
			return c, nil
		}
		_ = c.Close()
	}
	began := time.Now() // the kernel may have made it long before Dial returns
	conn, err := net.DialTimeout("tcp", a.address, arrivalLimit)
	if err != nil {
		return nil, err
	}
	return &keptConn{conn, bufio.NewReader(conn), began}, nil
}

// endedByPeer looks without waiting.
func endedByPeer(conn net.Conn) bool {
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return true
	}
	over := false
	err = raw.Read(func(fd uintptr) bool {
		var one [1]byte
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		over = !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.EINTR)
		return true
	})
	return err != nil || over
}

// exchange reports whether the connection may be used again.
func (c *keptConn) exchange(method string) (bool, error) {
	if err := c.SetDeadline(time.Now().Add(arrivalLimit)); err != nil {
		return false, err
	}
	const body = "an order of three things"
	text := method + " / HTTP/1.1\r\nHost: shop\r\n\r\n"
	if method == http.MethodPost {
		text = fmt.Sprintf("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
	if _, err := io.WriteString(c, text); err != nil {
		return false, err
	}
	res, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return false, err
	}
	defer func() { _ = res.Body.Close() }()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		return false, err
	}
	if res.StatusCode != http.StatusOK || string(got) != "r1" {
		return false, fmt.Errorf("%s: %s", res.Status, got)
	}
	return !res.Close, nil
}

func (a *arrivals) note(began time.Time, f failure) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sent++
	a.inside--
	if f.err != nil {
		a.failures = append(a.failures, f)
		return
	}
	a.slowest = max(a.slowest, time.Since(began))
}

// killed says that the process that serves was killed.
func (a *arrivals) killed(from, to time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.kills = append(a.kills, window{from, to})
}

// excused reports a failure on a connection that the process killed had: it
// was made before the end of that process, and failed after it was killed.
func (a *arrivals) excused(f failure) bool {
	for _, k := range a.kills {
		if !f.established.IsZero() && f.established.Before(k.to) && f.at.After(k.from) {
			return true
		}
	}
	return false
}

// good waits for n more requests and wants no failure but those on connections
// that died with the process that had them.
func (a *arrivals) good(phase string, n int) {
	a.t.Helper()
	a.mu.Lock()
	want := a.sent + n
	a.mu.Unlock()
	eventually(a.t, fmt.Sprintf("%d more requests end (%s)", n, phase), func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.sent >= want
	})
	a.sum(phase)
}

func (a *arrivals) sum(phase string) {
	a.t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	var bad []string
	for _, f := range a.failures {
		if !a.excused(f) {
			bad = append(bad, f.String())
		}
	}
	a.t.Logf("%s: %d requests, %.0f a second, %d cut with their connection, %d failed, %d did not come; slowest %s", phase,
		a.sent, float64(a.sent)/time.Since(a.began).Seconds(), len(a.failures)-len(bad), len(bad), a.skipped, a.slowest.Round(time.Millisecond))
	if len(bad) > 0 {
		a.t.Errorf("%s: %s", phase, strings.Join(bad[:min(len(bad), 10)], "\n"))
	}
	a.sent, a.skipped, a.slowest, a.failures, a.began = 0, 0, 0, nil, time.Now()
}

func (a *arrivals) end() {
	a.t.Helper()
	close(a.stop)
	a.wg.Wait()
	a.sum("end")
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.idle {
		_ = c.Close()
	}
}
