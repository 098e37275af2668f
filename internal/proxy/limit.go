package proxy

import (
	"errors"
	"os"
	"time"
)

// The limits of time that a site sets for its requests, streams excepted.

// bound begins the time that the request and its answer may take together.
func (t *turn) bound() {
	if t.target.site == nil || t.deadline.Load() != 0 || t.firstByte() == 0 {
		return // of a stream
	}
	if total := t.target.site.traffic.Limits.Total; total > 0 {
		t.deadline.Store(int64(t.account.begin.Sub(t.proxy.sweeper.start) + total))
	}
}

// within limits what the connection waits for, and never beyond the end of the
// request's time; 0 is no limit of its own.
func (t *turn) within(d time.Duration) {
	if end := t.deadline.Load(); end != 0 {
		last := d == 0 || t.left(end) < d
		t.last.Store(last)
		if last {
			t.conn.until(time.Duration(end))
			return
		}
	}
	t.conn.within(d)
}

// left is the time until the end of the request's time.
func (t *turn) left(end int64) time.Duration {
	return time.Duration(end) - time.Since(t.proxy.sweeper.start)
}

// awaitBegin limits how long the instance may take to begin its answer, from
// now on: it has just taken something of the request.
func (t *turn) awaitBegin() {
	if !t.replying.Load() {
		t.within(t.patience())
	}
}

// awaitRest limits how long the instance may be silent within its answer.
func (t *turn) awaitRest() {
	t.silent = true
	if t.streams {
		t.within(0)
		return
	}
	t.within(t.target.site.traffic.Limits.Idle)
}

// sending limits how long the user may take nothing of the answer.
func (t *turn) sending() {
	t.silent = false
	t.within(writeLimit)
}

// overdue reports that the time of the request is over.
func (t *turn) overdue() bool {
	end := t.deadline.Load()
	return end != 0 && (t.last.Load() && t.conn.due.Load() == expired || t.left(end) <= 0)
}

// late makes the end of the request's time what it is, whatever it has ended.
func (t *turn) late(err error) error {
	switch {
	case err == nil || t.stopped():
		return err
	case t.tooLarge.Load():
		return errTooLarge
	case t.overdue():
		return os.ErrDeadlineExceeded
	}
	return err
}

// errTooLarge is what a body ends with that is more than its site takes.
var errTooLarge = errors.New("it is larger than the site takes")

const tooLargeText = "The request is larger than this site takes."

// fits sees to it that no more than the site takes of a body in chunks is sent
// on; of others the length is known before.
func (t *turn) fits() error {
	site := t.target.site
	if site == nil || site.traffic.Limits.Body == 0 || t.body.decoder.Received() <= site.traffic.Limits.Body {
		return nil
	}
	t.tooLarge.Store(true)
	return errTooLarge
}
