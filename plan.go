package noon

import "fmt"

// PlanKind tells why a plan was made.
type PlanKind string

// The kinds of plans.
const (
	PlanDeploy   PlanKind = "deploy"
	PlanRollback PlanKind = "rollback"
)

// Plan is an ordered list of states. It is data: it can be stored, compared,
// printed, and walked by a newer noon than the one that made it.
type Plan struct {
	Kind   PlanKind `json:"kind"`
	Site   Site     `json:"site"`
	From   Revision `json:"from"` // zero: the first deployment
	To     Revision `json:"to"`
	States []State  `json:"states"`
	// Failure holds the on-failure hooks; they run after a walk back.
	Failure []Fact `json:"failure,omitempty"`
	// Hazards are what the migrations of the deployment would do to users.
	Hazards []Hazard `json:"hazards,omitempty"`
	// Warnings are findings that do not stop a deployment, for people.
	Warnings []string `json:"warnings,omitempty"`
}

// Label is how people call a state: "S4 staged". Numbers are those of the
// design and do not depend on which states a plan has.
func (p Plan) Label(i int) string { return p.States[i].Kind.Label() }

// Label is how people call a state of this kind: "S4 staged".
func (k StateKind) Label() string {
	for n, kind := range StateKinds() {
		if kind == k {
			return fmt.Sprintf("S%d %s", n, k)
		}
	}
	return string(k)
}

// Index returns the position of the state of that kind, -1 if there is none.
func (p Plan) Index(kind StateKind) int {
	for i, s := range p.States {
		if s.Kind == kind {
			return i
		}
	}
	return -1
}

// PointOfNoReturn returns the first state that can not be walked back, and
// whether there is one.
func (p Plan) PointOfNoReturn() (State, bool) {
	for _, s := range p.States {
		if len(s.Irreversible) > 0 {
			return s, true
		}
	}
	return State{}, false
}
