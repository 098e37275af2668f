package noon

import (
	"slices"
	"time"
)

// Smoke is one HTTP request that a release must answer as expected before any
// user is sent to it. It goes through the proxy's preview route.
type Smoke struct {
	Name    string            `json:"name"`
	Method  string            `json:"method"` // "GET" …
	Path    string            `json:"path"`   // with query
	Headers map[string]string `json:"headers,omitempty"`
	Body    string            `json:"body,omitempty"`
	Timeout time.Duration     `json:"timeout"`
	Expect  Expect            `json:"expect"`
}

// Expect is what an answer must be. Everything that is set must hold.
type Expect struct {
	Status  int               `json:"status"`             // exact
	Headers map[string]string `json:"headers,omitempty"`  // name → substring of the value
	Body    []string          `json:"body,omitempty"`     // substrings
	NotBody []string          `json:"not_body,omitempty"` // substrings that must not occur
	JSON    map[string]any    `json:"json,omitempty"`     // "items.0.price" → value
}

// CheckKind tells what a check looks at.
type CheckKind string

// The kinds of checks.
const (
	CheckReady CheckKind = "ready" // every instance the state names is ready
	CheckSmoke CheckKind = "smoke" // Smoke is answered as expected
	CheckQuiet CheckKind = "quiet" // no scheduled job of the site runs
	CheckDrain CheckKind = "drain" // the releases without a share have no request in flight
	CheckBake  CheckKind = "bake"  // the state holds for a time
)

// Check is evidence that is required to leave a state.
type Check struct {
	Kind  CheckKind     `json:"kind"`
	Smoke *Smoke        `json:"smoke,omitempty"`
	For   time.Duration `json:"for,omitempty"` // CheckBake: how long; CheckReady and CheckDrain: the longest wait
}

// Name is how the check is called in plans, events and messages.
func (c Check) Name() string {
	if c.Smoke != nil {
		return string(c.Kind) + " " + c.Smoke.Name
	}
	return string(c.Kind)
}

// GateKind tells what a gate waits for.
type GateKind string

// The kinds of gates.
const (
	GateApproval  GateKind = "approval"  // a person
	GateWindow    GateKind = "window"    // a time of the week
	GateWarm      GateKind = "warm"      // the warm time has passed, or somebody said go on
	GateRehearsal GateKind = "rehearsal" // the change of a store was rehearsed, or a person lets it pass
)

// Gate is something to wait for before a state is entered.
type Gate struct {
	Kind   GateKind      `json:"kind"`
	Window *Window       `json:"window,omitempty"`
	For    time.Duration `json:"for,omitempty"`   // GateWarm
	Store  string        `json:"store,omitempty"` // GateRehearsal
}

// Window is a time of the week in which a step may be taken.
type Window struct {
	Days []time.Weekday `json:"days"` // empty: every day
	From int            `json:"from"` // minutes since midnight, 0 … 1439
	To   int            `json:"to"`   // minutes since midnight, 1 … 1440, after From
	Zone string         `json:"zone"` // IANA name
}

// Opens returns the first instant at or after t at which a clock on the wall
// shows a time inside the window. Where the clock is put forward over From, the
// window opens at that moment; one that is skipped whole opens on its next day.
// loc is the loaded Zone.
func (w Window) Opens(t time.Time, loc *time.Location) time.Time {
	for at := t.In(loc); ; {
		opens := w.opensAtOffset(at)
		_, end := at.ZoneBounds()
		if end.IsZero() || opens.Before(end) {
			if opens.Equal(t) {
				return t
			}
			return opens
		}
		at = end
	}
}

// opensAtOffset is Opens for a clock that is never put forward or back.
func (w Window) opensAtOffset(t time.Time) time.Time {
	midnight := t.Add(-time.Duration(t.Hour())*time.Hour - time.Duration(t.Minute())*time.Minute -
		time.Duration(t.Second())*time.Second - time.Duration(t.Nanosecond()))
	for day := range 8 {
		if !w.on((t.Weekday() + time.Weekday(day)) % 7) {
			continue
		}
		start := midnight.Add(time.Duration(day)*24*time.Hour + time.Duration(w.From)*time.Minute)
		end := start.Add(time.Duration(w.To-w.From) * time.Minute)
		if t.Before(start) {
			return start
		}
		if t.Before(end) {
			return t
		}
	}
	return t // not reached: a window has a day, and eight days have them all
}

func (w Window) on(day time.Weekday) bool {
	return len(w.Days) == 0 || slices.Contains(w.Days, day)
}
