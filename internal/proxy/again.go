package proxy

import (
	"errors"
	"slices"
	"time"
)

// mostSends is how many instances may have received a request that none of
// them has answered.
const mostSends = 3

// usualAfter is what noon.Replay.After is if nobody has set it.
const usualAfter = 5 * time.Second

// attempts is what has become of a request so far. The zero value is that of
// one that was not sent.
type attempts struct {
	tried []*endpoint // where it need not go just now
	sends int         // to how many it was sent that may have received it
	only  error       // not nil: it may only go where it has not been, or ends so
}

// again notes that e has not answered, and decides whether the request may go
// to another instance. repeat says that it may be sent after an instance may
// have received it, left that there is one where it has not been.
func (a *attempts) again(e *endpoint, err error, repeat bool, left func() bool, b *budget) bool {
	a.tried = append(a.tried, e)
	e.failed.Add(1)
	if _, lost := errors.AsType[*unreachable](err); lost {
		e.stumbles(false)
		return true
	}
	silent := isTimeout(err)
	if !silent && !connectionLost(err) {
		return false // what it said can not be understood: others of its kind will say the same
	}
	e.stumbles(true)
	if a.sends++; !repeat || a.sends >= mostSends {
		return false
	}
	// A second time it may go anywhere: one that has just ended may be there again.
	if silent || a.sends > 1 {
		if a.only = err; !left() {
			return false
		}
	}
	return b.spend()
}

// nowhere tells how a request ends that found no instance to try; nil: it may
// wait for one.
func (a *attempts) nowhere(v verdict) error {
	if v == noEndpoint {
		return a.only
	}
	return nil
}

// waited notes that there may be others now, or the same again.
func (a *attempts) waited() {
	if a.only == nil {
		a.tried = nil
	}
}

// left reports whether q can go to an instance where it has not been.
func (p *Proxy) left(q *query, tried []*endpoint) bool {
	t, v := p.snap.Load().resolve(q)
	return v == claimed && slices.ContainsFunc(t.route.pool, func(e *endpoint) bool { return !slices.Contains(tried, e) })
}

// another decides whether the request may go to another instance, and notes
// the failure. The user's own leaving is nobody's failure.
func (t *turn) another(e *endpoint, err error) bool {
	if t.stopped() {
		return false
	}
	if t.overdue() {
		if t.body.done { // else the user may have taken the time
			e.failed.Add(1)
			e.stumbles(true)
		}
		return false
	}
	repeat := t.repeat && !t.body.streams()
	return t.again(e, err, repeat, func() bool { return t.proxy.left(&t.query, t.tried) }, &t.target.site.state.budget)
}

// alternative reports whether the request could still go to another instance
// if this one does not answer.
func (t *turn) alternative() bool {
	if !t.repeat || t.body.streams() || t.sends+1 >= mostSends || len(t.target.route.pool) < 2 {
		return false
	}
	return t.sends+len(t.tried) == 0 || slices.ContainsFunc(t.target.route.pool, t.untried)
}

func (t *turn) untried(e *endpoint) bool { return e != t.endpoint && !slices.Contains(t.tried, e) }

// patience is how long the instance may take to begin its answer; 0 is for as
// long as it likes. If there is an end to the time of the request and another
// instance, that one gets as much as this.
func (t *turn) patience() time.Duration {
	limit := t.firstByte()
	if end := t.deadline.Load(); limit > 0 && end != 0 && t.alternative() {
		limit = min(limit, max(t.left(end)/2, time.Millisecond))
	}
	return limit
}

// after is how long an instance is waited for that answers nobody.
func (t *turn) after() time.Duration {
	if after := t.target.site.traffic.Replay.After; after > 0 {
		return after
	}
	return usualAfter
}

// awaitAnswer waits for the first bytes of the answer. Of a request that can
// go elsewhere it is seen now and then whether the instance answers anybody.
func (t *turn) awaitAnswer(up *upConn) (*slab, int, error) {
	if t.body.sending != nil { // the upload has a limit of its own
		return up.await()
	}
	since, limit := t.proxy.sweeper.clock(), t.patience()
	look := limit
	if t.body.spool == nil && t.alternative() { // a spooled body is still being sent
		look = min(limit, t.after())
	}
	t.within(look)
	for {
		s, n, err := up.await()
		if look == limit || err != nil && (!isTimeout(err) || t.overdue() || t.stopped()) {
			return s, n, err
		}
		waited := time.Duration(t.proxy.sweeper.clock()-since) * time.Millisecond
		if err != nil && (waited >= limit || t.mute(since, waited)) {
			return nil, 0, err
		}
		t.within(max(min(look, limit-waited), time.Millisecond))
		if err == nil {
			return s, n, nil // the rest of the head has as long
		}
	}
}

// mute reports that the instance has begun no answer since then, while another
// one has to which the request could go. If that one was not asked either,
// nothing is known, and the instance is waited for three times as long.
func (t *turn) mute(since int64, waited time.Duration) bool {
	return t.endpoint.heard.Load() <= since && (waited >= 3*t.after() ||
		slices.ContainsFunc(t.target.route.pool, func(e *endpoint) bool { return t.untried(e) && e.heard.Load() > since }))
}

// resume lets the connection to the instance wait on after its time was over,
// unless the request has ended. conn.mu is held.
func (t *turn) resume() {
	if t.up != nil && !t.ended && !t.abandoned {
		_ = t.up.SetDeadline(time.Time{}) // closed: the next use tells
	}
}

// dialUntil is when it is no use any more to reach an instance; zero: never.
func (t *turn) dialUntil() time.Time {
	if t.deadline.Load() == 0 {
		return time.Time{}
	}
	return time.Now().Add(t.patience())
}

// forward finds an instance and has it begin its answer: another one if it
// could not be reached; it waits for one if there is none.
func (t *turn) forward() error {
	var limit time.Time
	for {
		e, where, snap, v := t.proxy.claim(&t.query, t.tried)
		if v == claimed {
			if len(t.tried)+t.sends == 0 {
				where.site.state.budget.earn(where.site.traffic.Replay.Budget)
			}
			t.take(e, where)
			err := t.try(e)
			if err == nil {
				e.answers()
				t.answerer = e
				return nil
			}
			t.drop()
			if !t.another(e, err) {
				return err
			}
			t.account.retries++
			continue
		}
		if err := t.nowhere(v); err != nil {
			return err
		}
		t.target.site = where.site
		if err := t.wait(where, snap, v, &limit, len(t.tried) > 0); err != nil {
			return err
		}
		t.waited()
	}
}
