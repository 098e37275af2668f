package noon

import "time"

// EventKind tells what a line of the journal records.
type EventKind string

// The kinds of events.
const (
	Intent EventKind = "intent" // about to have an effect
	Done   EventKind = "done"   // the effect was seen to hold
	Failed EventKind = "failed" // the effect was seen not to hold
	Seen   EventKind = "seen"   // an observation: a check's result, what is waited for
	Moved  EventKind = "moved"  // the deployment's status changed
)

// Event is one line of the journal of a deployment. Events are only ever
// appended.
type Event struct {
	Seq        int64     `json:"seq"` // grows over the whole ledger
	Deployment int64     `json:"deployment"`
	Epoch      int64     `json:"epoch"` // of the controller that wrote it
	At         time.Time `json:"at"`
	Kind       EventKind `json:"kind"`
	State      int       `json:"state"`   // index in the plan
	Subject    string    `json:"subject"` // "enter", "apply local", "fact migrate-db", "check smoke home", "status"
	Detail     string    `json:"detail,omitempty"`
}
