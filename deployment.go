package noon

import (
	"fmt"
	"slices"
	"time"
)

// Status is where a deployment is in its life.
type Status string

// The statuses of a deployment.
const (
	Queued     Status = "queued"     // another deployment of the site is under way
	Walking    Status = "walking"    // on the way to the next state
	Held       Status = "held"       // at a gate: a person, a time
	Paused     Status = "paused"     // the outcome of a fact is unknown; a person must look
	Returning  Status = "returning"  // on the way back
	Warm       Status = "warm"       // succeeded; the release before is still up, ready to go back to
	Succeeded  Status = "succeeded"  // the last state is reached
	Returned   Status = "returned"   // back in the first state
	Reverted   Status = "reverted"   // had succeeded; a later rollback left it
	Superseded Status = "superseded" // left the queue for a newer request
	Cancelled  Status = "cancelled"  // left the queue because somebody aborted it
)

// Statuses lists every status.
func Statuses() []Status {
	return []Status{Queued, Walking, Held, Paused, Returning, Warm, Succeeded, Returned, Reverted, Superseded, Cancelled}
}

// moves is the table of legal moves. Its keys are all statuses.
func moves() map[Status][]Status {
	return map[Status][]Status{
		Queued:     {Walking, Superseded, Cancelled},
		Walking:    {Held, Paused, Returning, Warm, Succeeded},
		Held:       {Walking, Returning},
		Paused:     {Walking, Returning},
		Returning:  {Returned},
		Warm:       {Succeeded, Reverted},
		Succeeded:  {Reverted},
		Returned:   {},
		Reverted:   {},
		Superseded: {},
		Cancelled:  {},
	}
}

// CanMove reports whether a deployment may go from one status to another.
func CanMove(from, to Status) bool { return slices.Contains(moves()[from], to) }

// Ended reports whether nothing more happens by itself: the site is free.
func (s Status) Ended() bool {
	switch s {
	case Queued, Walking, Held, Paused, Returning:
		return false
	default:
		return true
	}
}

// Good reports whether the deployment's release is one that served users and
// was not left: what a rollback without an argument goes to.
func (s Status) Good() bool { return s == Warm || s == Succeeded }

// Deployment is the durable walk along a plan.
type Deployment struct {
	ID        int64     `json:"id"` // 1, 2, … over all sites
	Site      Site      `json:"site"`
	Plan      Plan      `json:"plan"`
	Status    Status    `json:"status"`
	At        int       `json:"at"` // index of the last state that was entered
	By        string    `json:"by"` // who asked, "" when unknown
	Reason    string    `json:"reason,omitempty"`
	Error     *Error    `json:"error,omitempty"` // why it went back
	WantAbort string    `json:"want_abort,omitempty"`
	AbortKey  string    `json:"abort_key,omitempty"` // idempotency key of the request for that
	Approved  string    `json:"approved,omitempty"`  // who approved
	Created   time.Time `json:"created"`
	Started   time.Time `json:"started"`
	Ended     time.Time `json:"ended"`
	WarmUntil time.Time `json:"warm_until"`
	Key       string    `json:"key,omitempty"`   // idempotency key of the request
	Facts     []string  `json:"facts,omitempty"` // names of the facts that are known to hold
	// Resolved holds what a person decided about tasks whose outcome a crash
	// made unknown: Task.ID → Resolution.
	Resolved map[string]Resolution `json:"resolved,omitempty"`
	Waiting  string                `json:"waiting,omitempty"` // what is being waited for now, for people; not stored
}

// Resolution is a person's word on a fact whose outcome is unknown.
type Resolution string

// The resolutions.
const (
	TakeAsDone Resolution = "done"  // it has happened
	RunAgain   Resolution = "retry" // it has not; run it
)

// Name is how people call the deployment: "d7".
func (d Deployment) Name() string { return fmt.Sprintf("d%d", d.ID) }

// Move changes the status. An illegal move is a bug in noon, not an error of
// its user, and panics.
func (d *Deployment) Move(to Status) {
	if !CanMove(d.Status, to) {
		panic(fmt.Sprintf("noon: illegal move of deployment %d: %s to %s", d.ID, d.Status, to))
	}
	d.Status = to
}
