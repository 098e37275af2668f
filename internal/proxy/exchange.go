package proxy

import (
	"errors"
	"net/netip"
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
