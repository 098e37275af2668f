package proxy

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// endGrace is how long a stream has to say good-bye when it is ended, and how
// long a client has to take what was already on the way to it.
const endGrace = time.Second

// errEnded is the cause when a drain reached its limit.
var errEnded = errors.New("the instance is being stopped and its time to finish is over")

// exchange is one request on its way: from the claim until the last byte of
// the answer has been handed to the client's connection.
type exchange struct {
	proxy    *Proxy
	query    query
	target   target
	endpoint *endpoint // claimed, nil before
	streams  bool      // counted as a stream
	crowd    *crowd    // it is counted in; nil: nowhere
	counted  bool      // among all requests of the site
	from     netip.Addr

	// under endpoint.mu
	next, prev *exchange
	since      int64 // when the endpoint was claimed, by its clock
	gentle     bool  // its user can be told to leave and goes on elsewhere
	told       bool  // and was
	ender      interface {
		// stop ends the exchange as kindly as its protocol allows. It does not
		// block.
		stop()
	}
}

// take makes e, which was counted in, the exchange's endpoint.
func (x *exchange) take(e *endpoint, t target) {
	x.endpoint, x.target = e, t
	e.enter(x)
}

// drop gives the endpoint back.
func (x *exchange) drop() {
	e := x.endpoint
	if e == nil {
		return
	}
	x.endpoint = nil
	e.leave(x)
	if x.streams {
		x.streams = false
		e.work.add(-streamUnit)
		return
	}
	e.work.add(-1)
}

// becomeStream counts the exchange as a stream from now on.
func (x *exchange) becomeStream() {
	if !x.streams {
		x.streams = true
		x.endpoint.work.add(streamUnit - 1)
		x.part() // it may stay for hours
	}
}

// soften notes that the exchange can be ended without harm.
func (x *exchange) soften() {
	x.endpoint.mu.Lock()
	x.gentle = true
	x.endpoint.mu.Unlock()
}

// webExchange is an exchange that net/http carries: of HTTP/2.
type webExchange struct {
	exchange
	in      *http.Request // as it came
	cancel  context.CancelCauseFunc
	writer  *http.ResponseController
	body    *replayBody // nil: the request has none
	repeat  bool        // may be sent again although it was sent
	renewed bool        // was sent again already
	retries int         // instances that were tried in vain
	id      string      // of the request
	trace   string      // that it is part of
	failure error       // why no instance has answered

	mu       sync.Mutex
	upgraded *upgradedConn // the client's connection once the protocol was switched
	ended    bool
}

type exchangeKey struct{}

func exchangeOf(ctx context.Context) *webExchange {
	x, _ := ctx.Value(exchangeKey{}).(*webExchange)
	return x
}

// stop implements exchange's end.
func (x *webExchange) stop() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.ended {
		return
	}
	x.ended = true
	if x.upgraded != nil {
		x.upgraded.goAway(func() { x.cancel(errEnded) })
		return
	}
	// A client that does not read must not hold it up.
	_ = x.writer.SetWriteDeadline(time.Now().Add(endGrace)) // not all connections have one
	x.cancel(errEnded)
}

// upgrade notes the client's connection; from now on stop speaks its protocol.
func (x *webExchange) upgrade(c *upgradedConn) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.upgraded = c
	if x.ended {
		c.goAway(func() { x.cancel(errEnded) })
	}
}
