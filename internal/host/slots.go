package host

import (
	"time"

	"github.com/noon-deploy/noon"
)

// How an instance that exits by itself is started again.
const (
	backoffFirst  = 100 * time.Millisecond
	backoffLast   = 30 * time.Second
	settledAfter  = time.Minute // up for so long: what was before is forgotten
	loopExits     = 5           // exits within settledAfter are a crash loop
	loopNeverOnce = 3           // as are so many exits without ever getting ready
)

// history is what happened in a slot: it decides when the next incarnation is
// started.
type history struct {
	exits      []time.Time // of the last minute
	failures   int         // since it was last settled
	neverReady int         // of these, in a row without having been ready
	loop       bool
	next       time.Time // not before
	last       string    // ID of the last that exited by itself
}

// exited takes in an exit that nobody asked for.
func (h *history) exited(id string, at time.Time, up time.Duration, ready bool) {
	if up >= settledAfter {
		h.settle()
	}
	h.failures++
	if h.neverReady++; ready {
		h.neverReady = 0
	}
	recent := h.exits[:0]
	for _, t := range h.exits {
		if at.Sub(t) < settledAfter {
			recent = append(recent, t)
		}
	}
	h.exits = append(recent, at)
	h.loop = h.loop || len(h.exits) >= loopExits || h.neverReady >= loopNeverOnce
	h.next = at.Add(min(backoffLast, backoffFirst<<min(h.failures-1, 10)))
	h.last = id
}

// settle forgets: the slot has held an instance for long enough.
func (h *history) settle() { *h = history{last: h.last} }

// instance is one incarnation.
type instance struct {
	labels
	id       string
	status   Status
	since    time.Time // of its phase
	phase    noon.Phase
	ready    bool
	probing  bool
	probe    string    // the last answer that was not ready
	asked    time.Time // when the pending question was asked; zero: none is
	draining bool      // not wanted any more
	leaving  bool      // somebody drains and stops it
	late     string    // why it is stopped although it is wanted
	seen     bool      // its exit was taken in
	closing  bool      // somebody reads its last lines
	lines    []string
	exit     *noon.Exit
	freeing  bool // somebody releases it
}

func (i *instance) live() bool { return i.status.Step != Ended }

// up reports whether users may be sent to it.
func (i *instance) up() bool {
	return i.ready && i.status.Step == Running && !i.status.Stopping && i.status.Port != 0
}

// holds reports whether it fills its slot.
func (i *instance) holds() bool {
	return i.live() && (!i.status.Stopping || i.late != "")
}

// now gives the phase the instance is in.
func (i *instance) now(waiting bool) noon.Phase {
	switch {
	case i.status.Step == Ended && waiting:
		return noon.Waiting
	case i.status.Step == Ended:
		return noon.Exited
	case i.status.Stopping:
		return noon.Stopping
	case i.draining:
		return noon.Draining
	case i.ready:
		return noon.Ready
	default:
		return noon.Starting
	}
}
