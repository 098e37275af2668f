package noon

import "strings"

// StateKind is the role of a state in a deployment, S0 to S7 of the design.
type StateKind string

// The kinds of states, in the order in which a plan may hold them.
const (
	Settled    StateKind = "settled"    // as it was
	Prepared   StateKind = "prepared"   // the release is on every host, verified, its configuration complete
	Quiet      StateKind = "quiet"      // scheduled jobs suspended, running ones finished
	Expanded   StateKind = "expanded"   // stores hold what both releases need
	Staged     StateKind = "staged"     // up, ready, without users; reachable by preview
	Canary     StateKind = "canary"     // some users
	Switched   StateKind = "switched"   // all users; the release before stays warm
	Contracted StateKind = "contracted" // the release before is stopped
)

// StateKinds lists the kinds in order.
func StateKinds() []StateKind {
	return []StateKind{Settled, Prepared, Quiet, Expanded, Staged, Canary, Switched, Contracted}
}

// State is a full description of what an environment shall be, what must have
// run before it is entered and what must hold before it is left.
type State struct {
	Kind         StateKind  `json:"kind"`
	Presences    []Presence `json:"presences,omitempty"` // sorted by revision
	Jobs         Revision   `json:"jobs"`                // whose scheduled jobs run; zero: suspended or none
	Enter        []Need     `json:"enter,omitempty"`     // what must hold before it is entered, in order
	Leave        []Need     `json:"leave,omitempty"`     // what must hold before it is left, in order
	Contacts     []Contact  `json:"contacts,omitempty"`
	Irreversible []string   `json:"irreversible,omitempty"` // what can not be undone once it is entered
	Changes      []string   `json:"changes,omitempty"`      // against the state before, for people
}

// Presence is how much of a revision there is in a state.
type Presence struct {
	Revision Revision    `json:"revision"`
	Place    []Placement `json:"place,omitempty"` // sorted by host, then service; empty: only unpacked
	Hosts    []string    `json:"hosts"`           // where it is unpacked; sorted
	Share    int         `json:"share"`           // of new requests, in PointsWhole
	Preview  bool        `json:"preview,omitempty"`
}

// Placement is a number of instances of a service on a host.
type Placement struct {
	Host    string `json:"host"`
	Service string `json:"service"`
	Count   int    `json:"count"`
}

// Up reports whether instances of the revision run in this presence.
func (p Presence) Up() bool { return len(p.Place) > 0 }

// Presence returns the presence of a revision.
func (s State) Presence(r Revision) (Presence, bool) {
	for _, p := range s.Presences {
		if p.Revision == r {
			return p, true
		}
	}
	return Presence{}, false
}

// Live returns the revision with the largest share, zero if none has one.
func (s State) Live() Revision {
	var live Revision
	most := 0
	for _, p := range s.Presences {
		if p.Share > most {
			live, most = p.Revision, p.Share
		}
	}
	return live
}

// Need is one thing that a state requires: exactly one field is set.
type Need struct {
	Gate  *Gate  `json:"gate,omitempty"`
	Fact  *Fact  `json:"fact,omitempty"`
	Data  *Data  `json:"data,omitempty"`
	Check *Check `json:"check,omitempty"`
}

// Name is how the need is called in plans, events and messages: "approval",
// "migrate db", "smoke home".
func (n Need) Name() string {
	switch {
	case n.Gate != nil:
		return string(n.Gate.Kind)
	case n.Fact != nil:
		return n.Fact.Name
	case n.Data != nil:
		return n.Data.Name()
	case n.Check != nil:
		return n.Check.Name()
	}
	return "nothing"
}

// Fact is a command of the app that must have run: a hook or a migration.
type Fact struct {
	Name     string     `json:"name"` // unique in the plan: "hook before-deploy/notify", "migrate db"
	Revision Revision   `json:"revision"`
	Host     string     `json:"host"`
	Moment   HookMoment `json:"moment,omitempty"` // empty: not a hook
	Store    string     `json:"store,omitempty"`  // that it migrates; empty: not a migration
	Command
}

// Slug is the fact's name as a part of file names: "migrate-db".
func (f Fact) Slug() string {
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			return c
		}
		return '-'
	}, f.Name)
}
