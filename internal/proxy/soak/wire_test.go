package soak_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// patience is how long a user waits for anything.
const patience = 30 * time.Second

// What can become of a request, besides being answered.
var (
	errRefused = errors.New("the connection was refused")
	errRace    = errors.New("a kept connection ended before the answer began")
	errCut     = errors.New("cut")
	errStatus  = errors.New("wrong status")
)

// wire is one connection of a user. Nothing is ever sent twice on it or on
// another one: net/http's own client would do that.
type wire struct {
	net.Conn
	in   *bufio.Reader
	used bool // a request was answered on it before
}

// wires are the connections that users keep between requests.
type wires struct {
	address string
	from    net.IP // the user's own address; nil: any

	mu   sync.Mutex
	idle []*wire
	next int
}

func (p *wires) dial(ctx context.Context) (*wire, error) {
	d := net.Dialer{Timeout: patience, KeepAlive: -1}
	if p.from != nil {
		d.LocalAddr = &net.TCPAddr{IP: p.from}
	}
	conn, err := d.DialContext(ctx, "tcp", p.address)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return nil, fmt.Errorf("%w: %w", errRefused, err)
	}
	if err != nil {
		return nil, err
	}
	return &wire{Conn: conn, in: bufio.NewReader(conn)}, nil
}

// get gives a kept connection, of any age; a new one if there is none that
// still stands as far as a user can know.
func (p *wires) get(ctx context.Context, fresh bool) (*wire, error) {
	for !fresh {
		w := p.take()
		if w == nil {
			break
		}
		if !w.ended() {
			return w, nil
		}
		w.Close()
	}
	return p.dial(ctx)
}

func (p *wires) take() *wire {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.idle)
	if n == 0 {
		return nil
	}
	p.next = (p.next + 7) % n
	w := p.idle[p.next]
	p.idle[p.next] = p.idle[n-1]
	p.idle = p.idle[:n-1]
	return w
}

func (p *wires) put(w *wire) {
	w.used = true
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = append(p.idle, w)
}

func (p *wires) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.idle {
		w.Close()
	}
	p.idle = nil
}

// ended looks, without waiting, whether the other side has closed.
func (w *wire) ended() bool {
	raw, err := w.Conn.(*net.TCPConn).SyscallConn()
	if err != nil || w.in.Buffered() > 0 {
		return true
	}
	ended := false
	err = raw.Read(func(fd uintptr) bool {
		var one [1]byte
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		ended = !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.EINTR)
		return true
	})
	return err != nil || ended
}

// question is one request and what its answer must be.
type question struct {
	method string
	target string
	fields string // further lines
	id     uint64
	body   int // bytes
	framed framing
	slow   time.Duration // over which the body is sent
	want   int64         // bytes of the answer
	wantID uint64
	times  int // sent at once, one behind the other; 0 is 1
	fresh  bool
	h2     bool // HTTP/2
}

// framing is how the length of a body is told.
type framing int

const (
	byLength framing = iota
	byChunks
	byExpect // by length, after the server has asked for it
)

// answered is what is known of a request in the end.
type answered struct {
	opened  time.Time // when its connection was; only of HTTP/2, whose users can not see that it has ended
	sent    time.Time // when its first byte was about to be
	end     time.Time
	release int // 0 if no answer has begun
	err     error
}

// ask sends q and reads its answer.
func (p *wires) ask(ctx context.Context, q question) answered {
	var a answered
	w, err := p.get(ctx, q.fresh)
	a.sent = time.Now()
	if err != nil {
		a.err, a.end = err, time.Now()
		return a
	}
	_ = w.SetDeadline(time.Now().Add(patience + q.slow))
	keep := true
	if err = w.send(ctx, q); err == nil || !errors.Is(err, errStatus) {
		// A server may answer before it has taken everything.
		var rerr error
		for range max(q.times, 1) {
			var more bool
			if more, rerr = w.receive(q, &a); rerr != nil {
				break
			}
			if keep = more; !keep {
				break // what is behind was not answered, as announced: it would be asked anew
			}
		}
		err = rerr
	}
	a.end, a.err = time.Now(), err
	if err != nil || !keep || q.fresh {
		w.Close()
		return a
	}
	p.put(w)
	return a
}

// send writes the whole request.
func (w *wire) send(ctx context.Context, q question) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: shop\r\n%s", q.method, q.target, q.fields)
	switch {
	case q.body > 0 && q.framed == byChunks:
		b.WriteString("Transfer-Encoding: chunked\r\n")
	case q.method == http.MethodPost:
		fmt.Fprintf(&b, "Content-Length: %d\r\n", q.body)
	}
	if q.framed == byExpect {
		b.WriteString("Expect: 100-continue\r\n")
	}
	b.WriteString("\r\n")
	head := strings.Repeat(b.String(), max(q.times, 1))
	payload := patternOf(q.id, q.body)
	if q.slow == 0 && q.framed == byLength {
		_, err := w.Write(append([]byte(head), payload...))
		return err
	}
	if _, err := io.WriteString(w, head); err != nil {
		return err
	}
	if q.framed == byExpect {
		if err := w.awaitContinue(); err != nil {
			return err
		}
	}
	return w.sendParts(ctx, payload, q.framed == byChunks, q.slow)
}

func (w *wire) awaitContinue() error {
	res, err := http.ReadResponse(w.in, nil) //nolint:bodyclose // an interim answer has none
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusContinue {
		return fmt.Errorf("%w: %s instead of 100", errStatus, res.Status)
	}
	return nil
}

// sendParts writes the body in ten parts.
func (w *wire) sendParts(ctx context.Context, payload []byte, chunked bool, over time.Duration) error {
	const parts = 10
	for k := range parts {
		part := payload[len(payload)*k/parts : len(payload)*(k+1)/parts]
		if chunked && len(part) > 0 {
			part = fmt.Appendf(nil, "%x\r\n%s\r\n", len(part), part)
		}
		if _, err := w.Write(part); err != nil {
			return err
		}
		if over > 0 {
			pause(ctx, over/parts)
		}
	}
	if !chunked {
		return nil
	}
	_, err := io.WriteString(w, "0\r\n\r\n")
	return err
}

// receive reads one answer and says whether the connection may be kept.
func (w *wire) receive(q question, a *answered) (bool, error) {
	if _, err := w.in.Peek(1); err != nil {
		if w.used && !isTimeout(err) {
			return false, fmt.Errorf("%w: %w", errRace, err)
		}
		return false, fmt.Errorf("no answer: %w", err)
	}
	res, err := http.ReadResponse(w.in, &http.Request{Method: q.method})
	if err != nil {
		return false, fmt.Errorf("%w: %w", errCut, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 200))
		return false, fmt.Errorf("%w: %s %q", errStatus, res.Status, text)
	}
	if a.release, err = releaseOf(res.Header); err != nil {
		return false, err
	}
	want := q.want
	if q.method == http.MethodHead {
		if res.ContentLength != want {
			return false, fmt.Errorf("%w: length %d, want %d", errContent, res.ContentLength, want)
		}
		want = 0
	}
	err = checkPattern(res.Body, q.wantID, want)
	if err != nil && !errors.Is(err, errContent) {
		err = fmt.Errorf("%w: %w", errCut, err)
	}
	return !res.Close, err
}

// releaseOf reads who has answered: the instance and the proxy must agree, if
// the proxy says anything.
func releaseOf(h http.Header) (int, error) {
	said := h.Get("Soak-Release")
	if own := h.Get("Noon-Release"); own != "" && own != "r"+said {
		return 0, fmt.Errorf("%w: release %q marked as %q", errContent, said, own)
	}
	n, err := strconv.Atoi(said)
	if err != nil {
		return 0, fmt.Errorf("%w: release %q", errContent, said)
	}
	return n, nil
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// pause waits, at most until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
