package e2e

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// load is the users of a machine: they come all the time, over connections
// that are kept and over fresh ones, and write down everything that is not as
// it should be. No request is ever sent twice.
type load struct {
	t       testing.TB
	address string
	stopped context.CancelFunc
	wg      sync.WaitGroup

	mu       sync.Mutex
	requests int64
	failed   int64
	failures []string
	answers  map[string]int64     // by release
	last     map[string]time.Time // when a release last answered
	rules    [][]string           // releases that may answer, in the course of time; nil: any
}

// visitor is one user.
type visitor struct {
	load    *load
	method  string
	path    string
	keep    bool
	every   time.Duration
	conn    net.Conn
	in      *bufio.Reader
	payload []byte
}

const maxFailures = 10

// load lets users come until the test ends or stop is called.
func (m *machine) load() *load {
	ctx, cancel := context.WithCancel(m.t.Context())
	l := &load{
		t: m.t, address: m.address, stopped: cancel,
		answers: map[string]int64{}, last: map[string]time.Time{}, rules: [][]string{nil},
	}
	const pace = 10 * time.Millisecond
	for _, v := range []visitor{
		{method: "GET", path: "/", keep: true, every: pace},
		{method: "GET", path: "/", every: pace},
		{method: "POST", path: "/", keep: true, every: pace},
		{method: "POST", path: "/", every: pace},
		{method: "GET", path: "/slow?for=80ms", keep: true, every: pace},
	} {
		v.load = l
		if v.method == "POST" {
			v.payload = bytes.Repeat([]byte("noon"), 2000)
		}
		l.wg.Go(func() { v.visit(ctx) })
	}
	return l
}

// stop lets requests under way end and wants every one of them answered well.
func (l *load) stop() {
	l.t.Helper()
	l.stopped()
	l.wg.Wait()
	l.good()
	if l.requests == 0 {
		l.t.Error("no request was sent")
	}
}

// good wants no failure until now.
func (l *load) good() {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed > 0 {
		l.t.Errorf("%d of %d requests failed:\n%s", l.failed, l.requests, strings.Join(l.failures, "\n"))
	}
}

// allow names the releases that may answer from now on.
func (l *load) allow(releases ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rules = append(l.rules, releases) // nil: any
}

// move runs a command that takes users to a release: once it has ended, no
// other may answer.
func (l *load) move(m *machine, to string, command ...string) {
	l.t.Helper()
	l.allow() // any, while it is under way
	m.must(command...)
	l.allow(to)
}

func (v *visitor) visit(ctx context.Context) {
	tick := time.NewTicker(v.every)
	defer tick.Stop()
	defer v.hangUp()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		began := time.Now()
		v.load.mu.Lock()
		rule := len(v.load.rules) - 1
		v.load.mu.Unlock()
		release, err := v.ask(context.WithoutCancel(ctx)) // what has begun is let end
		v.load.note(v, began, rule, release, err)
	}
}

func (l *load) note(v *visitor, began time.Time, rule int, release string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests++
	if err == nil {
		l.answers[release]++
		l.last[release] = time.Now()
		if !slices.ContainsFunc(l.rules[rule:], func(r []string) bool { return r == nil || slices.Contains(r, release) }) {
			err = fmt.Errorf("answered by %s, allowed was %v", release, l.rules[rule:])
		}
	}
	if err == nil {
		return
	}
	l.failed++
	if len(l.failures) < maxFailures {
		l.failures = append(l.failures, fmt.Sprintf("%s %s %s (kept connection %t, begun %s ago): %v",
			time.Now().Format("15:04:05.000"), v.method, v.path, v.keep, time.Since(began), err))
	}
}

// ask sends one request and reads the whole answer.
func (v *visitor) ask(ctx context.Context) (release string, err error) {
	defer func() {
		if err != nil || !v.keep {
			v.hangUp()
		}
	}()
	if err := v.connect(ctx); err != nil {
		return "", err
	}
	if err := v.conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, v.method, "http://"+v.load.address+v.path, bytes.NewReader(v.payload))
	if err != nil {
		return "", err
	}
	req.Close = !v.keep
	if err := req.Write(v.conn); err != nil {
		return "", fmt.Errorf("send: %w", err)
	}
	res, err := http.ReadResponse(v.in, req)
	if err != nil {
		return "", fmt.Errorf("read answer: %w", err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return "", fmt.Errorf("answer cut off: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", res.Status, body)
	}
	if want := fmt.Sprintf("%d bytes", len(v.payload)); v.method == "POST" && string(body) != want {
		return "", fmt.Errorf("answered %q, want %q", body, want)
	}
	if res.Close {
		v.hangUp()
	}
	return res.Header.Get("App-Release"), nil
}

// connect makes sure of a connection. A kept one that was closed meanwhile is
// replaced: nothing has been sent on it.
func (v *visitor) connect(ctx context.Context) error {
	if v.conn != nil && ended(v.conn) {
		v.hangUp()
	}
	if v.conn != nil {
		return nil
	}
	conn, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, "tcp", v.load.address)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	v.conn, v.in = conn, bufio.NewReader(conn)
	return nil
}

func (v *visitor) hangUp() {
	if v.conn != nil {
		v.conn.Close()
		v.conn = nil
	}
}

// ended looks without waiting whether the other side has closed.
func ended(conn net.Conn) bool {
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

// stopAfterDeath is stop for a test in which an instance died by itself: what
// was being asked of it at that moment may have failed, nothing else.
func (l *load) stopAfterDeath() {
	l.t.Helper()
	l.mu.Lock()
	const atOnce = 5 // the number of users
	if l.failed <= atOnce {
		l.failed = 0
	}
	l.mu.Unlock()
	l.stop()
}

func (l *load) lastOf(release string) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last[release]
}

// answeredBy wants an answer of a release after a time.
func (l *load) answeredBy(release string, after time.Time) error {
	if last := l.lastOf(release); last.Before(after) {
		return fmt.Errorf("the last answer of %s was at %s", release, last)
	}
	return nil
}
