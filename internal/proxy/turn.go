package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/noon-deploy/noon/internal/proxy/h1"
	"github.com/noon-deploy/noon/internal/proxy/meter"
)

// outSize is room for a head that is sent, in bytes.
const outSize = 4 << 10

// outcome is what becomes of a connection after a request.
type outcome int

const (
	kept   outcome = iota // the next request may come
	over                  // it is to be closed
	handed                // a tunnel has it
	passed                // net/http has it
)

// turn is one request of an HTTP/1.1 connection, from its first byte to the
// last of its answer. It is lent to connections, so that an idle one is small.
type turn struct {
	exchange
	attempts
	conn *userConn
	in   *slab // in.b[:have] was read from the user
	have int
	head int // bytes of the request's head
	end  int // where the request ends in what was read

	req    h1.Request
	body   requestBody
	repeat bool // may be sent again although it was sent
	out    []byte
	host   [256]byte

	up       *upConn // set under conn.mu
	ans      *slab   // ans.b[:ansHave] was read from the instance
	ansHave  int
	ansHead  int
	res      h1.Response
	decoder  h1.Chunked
	begun    bool // part of the final answer was sent
	account  account
	names    names
	answerer *endpoint
	keyed    bool // has an idempotency key
	silent   bool // the instance is waited for, not the user

	tooLarge atomic.Bool  // the body is more than the site takes
	replying atomic.Bool  // the final answer is on its way to the user
	last     atomic.Bool  // what is waited for is the end of that time
	deadline atomic.Int64 // end of the time of the request, nanoseconds since the sweeper's start; 0: there is none

	// under conn.mu
	abandoned bool // the user has left
	answered  bool // the rest of an upload is not wanted
	ended     bool // by a drain at its limit
	holding   context.CancelFunc
}

func (t *turn) reset() {
	t.head, t.end, t.repeat, t.begun = 0, 0, false, false
	t.attempts = attempts{}
	t.query, t.target, t.gentle, t.told = query{}, target{}, false, false
	t.body = requestBody{decoder: t.body.decoder}
	t.abandoned, t.answered, t.ended, t.holding = false, false, false, nil
	t.account, t.answerer, t.keyed, t.silent = account{}, nil, false, false
	t.replying.Store(false)
	t.tooLarge.Store(false)
	t.names.numbered, t.names.traced = false, false
	t.deadline.Store(0)
}

// next makes what was read behind a request the beginning of the next one. It
// returns false if nothing was.
func (t *turn) next() bool {
	n := copy(t.in.b, t.in.b[t.end:t.have])
	t.reset()
	t.have = n
	return n > 0
}

// run answers one request.
func (t *turn) run() outcome {
	t.account.begin = time.Now()
	err := t.readHead()
	if errors.Is(err, h1.ErrPreface) {
		return t.toWeb()
	}
	if err != nil {
		how := t.refuse(err)
		if t.account.status != 0 {
			t.account.fail(meter.BadRequest)
			t.settle()
		}
		return how
	}
	p := t.proxy
	p.active.add(1)
	t.enter()
	how := t.answer()
	t.settle()
	t.leave()
	p.active.add(-1)
	return how
}

// enter makes the turn the one that others find at the connection.
func (t *turn) enter() {
	c := t.conn
	c.lookAt.Store(t.proxy.sweeper.clock() + 2*sweepEvery.Milliseconds())
	c.mu.Lock()
	c.turn = t
	c.mu.Unlock()
}

func (t *turn) leave() {
	c := t.conn
	c.mu.Lock()
	c.turn = nil
	c.mu.Unlock()
	c.lookAt.Store(0)
}

// interrupt ends what the turn waits for. conn.mu is held.
func (t *turn) interrupt() {
	if t.up != nil {
		_ = t.up.SetDeadline(time.Unix(1, 0)) // closed: it waits for nothing
	}
	if t.holding != nil {
		t.holding()
	}
}

// readHead reads the request up to its blank line.
func (t *turn) readHead() error {
	seen := 0
	for {
		if h1.Advanced(t.in.b[:t.have], seen) {
			n, err := t.req.Parse(t.in.b[:t.have])
			if err != nil {
				return err
			}
			if n > 0 {
				t.head, t.end = n, n
				return nil
			}
		}
		if t.have >= maxHeader {
			return &h1.Error{Status: http.StatusRequestHeaderFieldsTooLarge, Reason: fmt.Sprintf("The head of the request is longer than %d bytes.", maxHeader)}
		}
		if seen == 0 {
			t.conn.within(t.proxy.limits.Header)
		}
		seen = t.have
		if err := t.more(); err != nil {
			return err
		}
	}
}

// replays reports whether the site lets the request be sent twice.
func (t *turn) replays() bool {
	site := t.target.site
	return site != nil && replays(site.traffic.Replay, t.query.path, t.keyed)
}

// more reads on behind what was read, into a larger buffer if it is full.
func (t *turn) more() error {
	if len(t.in.room(t.have)) == 0 {
		t.grow()
	}
	n, err := t.conn.Read(t.in.room(t.have))
	t.have += n
	if n > 0 {
		return nil
	}
	return err
}

// grow moves what was read into a large buffer.
func (t *turn) grow() {
	large := t.conn.slabs.get(bigSize)
	copy(large.b, t.in.b[:t.have])
	t.conn.slabs.put(t.in)
	t.in = large
}

// answer sees to a request whose head was read.
func (t *turn) answer() outcome {
	t.ask()
	if handler := t.odd(); handler != nil {
		return t.serve(handler)
	}
	if t.proxy.snap.Load().ruled > 0 {
		t.target, _ = t.proxy.snap.Load().resolve(&t.query)
		if handler := t.lead(); handler != nil {
			return t.serve(handler)
		}
		t.bound()
	}
	defer func() { t.body.spool.drop() }()
	if err := t.takeBody(); err != nil {
		t.account.fail(meter.ClientSlow)
		if status, _ := statusOf(err); status != 0 && status != http.StatusRequestTimeout {
			t.account.fail(meter.BadRequest)
		}
		return t.refuse(err)
	}
	t.account.in = int64(t.end)
	if t.body.spool != nil {
		t.account.in = int64(t.head) + t.body.length
	}
	t.repeat = t.body.done && (len(t.body.payload) == 0 && safe(t.req.Method) || t.replays())
	err := t.late(t.forward())
	how := over
	if err == nil {
		how = t.reply()
	} else {
		how = t.fail(err)
	}
	t.finish(&how)
	return how
}

// finish gives back what the answer was made with.
func (t *turn) finish(how *outcome) {
	if t.body.sending != nil && *how == over { // else it has ended by itself
		t.endUpload()
	}
	t.detach()
	t.conn.slabs.put(t.ans)
	t.ans = nil
	if *how != handed {
		t.drop()
	}
	t.part()
	if *how == kept && t.wasEnded() {
		*how = over
	}
}

func (t *turn) wasEnded() bool {
	t.conn.mu.Lock()
	defer t.conn.mu.Unlock()
	return t.ended
}

// wait is Proxy.wait; the user's leaving ends it.
func (t *turn) wait(where target, snap *snapshot, v verdict, limit *time.Time, refused bool) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	t.within(0)
	t.conn.mu.Lock()
	t.holding = cancel
	t.conn.mu.Unlock()
	err := t.proxy.wait(ctx, &t.exchange, where, snap, v, limit, refused)
	t.conn.mu.Lock()
	t.holding = nil
	t.conn.mu.Unlock()
	return err
}

// try sends the request to one instance and reads until its final answer has
// begun.
func (t *turn) try(e *endpoint) error {
	up, err := e.pool.get(t.dialUntil(), !t.repeat || t.body.streams())
	if err != nil {
		return err
	}
	if !t.attach(up) {
		_ = up.Close() // nothing was sent
		return errEnded
	}
	before := up.written
	t.out = t.appendRequest(t.out[:0])
	sendErr := t.send(up, t.out, t.body.payload)
	switch {
	case sendErr != nil:
	case t.body.streams():
		t.startUpload(up)
	case t.body.spool != nil:
		t.sendSpool(up)
	}
	err = t.readAnswer(up)
	if err == nil {
		return nil
	}
	if t.body.sending != nil {
		t.endUpload()
	} else if up.used && t.unseen(up, before) {
		err = &unreachable{errors.Join(sendErr, err)}
	}
	t.detach()
	return err
}

// unseen reports that nothing of what was sent since before has reached the
// other side: its kernel has acknowledged none of it, and a connection that
// has ended never will. The SYN counts as one byte.
func (t *turn) unseen(up *upConn, before uint64) bool {
	if n, ok := up.acknowledged(); ok {
		return n <= before+1
	}
	return false
}

// attach lets an interruption reach the connection to the instance. It is
// false if one has come already.
func (t *turn) attach(up *upConn) bool {
	t.conn.mu.Lock()
	defer t.conn.mu.Unlock()
	if t.ended || t.abandoned {
		return false
	}
	t.up = up
	return true
}

// detach closes the connection to the instance unless release has kept it.
func (t *turn) detach() {
	t.conn.mu.Lock()
	up := t.up
	t.up = nil
	t.conn.mu.Unlock()
	if up == nil {
		return
	}
	_ = up.Close() // whatever is unread is nobody's
	t.body.spool.wait()
}

// release keeps the connection to the instance for another request.
func (t *turn) release() {
	t.conn.mu.Lock()
	up := t.up
	if t.uploading() || t.ended || t.abandoned || t.conn.due.Load() == expired || !t.body.spool.whole(up, t.body.length) {
		up = nil // it may have been interrupted: finish closes it
	} else {
		t.up = nil
	}
	t.conn.mu.Unlock()
	if up != nil {
		t.endpoint.pool.put(up)
	}
}

// send writes both parts of a request.
func (t *turn) send(up *upConn, first, second []byte) error {
	n, err := up.writePair(first, second)
	up.written += uint64(n) //nolint:gosec // never negative
	return err
}

// stopped reports whether the user has left or a drain ends the request.
func (t *turn) stopped() bool {
	t.conn.mu.Lock()
	defer t.conn.mu.Unlock()
	return t.abandoned || t.ended
}

// stop implements exchange's end: as kindly as the protocol allows.
func (t *turn) stop() {
	c := t.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.ended {
		return
	}
	t.ended = true
	// A user who does not read must not hold it up.
	_ = c.SetWriteDeadline(time.Now().Add(endGrace)) // closed: nothing is written
	t.interrupt()
}
