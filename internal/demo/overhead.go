package demo

import (
	"slices"
	"strings"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/api"
)

// Overhead is the part of a deployment's time that is noon's own: from the
// request to the end, less what the journal shows the app to have taken or a
// person to have asked for:
//
//   - tasks (hooks, migrations): from the line "intent <task>" to the line
//     "done <task>" or "failed <task>";
//   - the start-up of instances, the answers to smoke checks, the drain of the
//     release before: from the line before to the line "seen check ready",
//     "seen check smoke …", "seen check drain" (or "failed check …");
//   - the bake time: as long as noon.yaml says, no more;
//   - gates: from the line "moved status held…" to the next one.
//
// What noon adds to an app's wait by looking too seldom is in the wait; what
// it adds to a bake time is its own.
func Overhead(v api.DeploymentView) time.Duration {
	if v.Ended.IsZero() || v.Created.IsZero() {
		return 0
	}
	own := v.Ended.Sub(v.Created)
	begun := map[string]time.Time{}
	for i, e := range v.Events {
		if i == 0 || e.At.After(v.Ended) {
			begin(begun, e)
			continue
		}
		own -= appTime(v.Plan, v.Events[i-1], e, begun)
		begin(begun, e)
	}
	return max(own, 0)
}

// begin remembers when a task was begun. One that a crash made noon look at
// again is begun once.
func begin(begun map[string]time.Time, e noon.Event) {
	if _, ok := begun[e.Subject]; !ok && e.Kind == noon.Intent {
		begun[e.Subject] = e.At
	}
}

// appTime is what of the time before an event is not noon's.
func appTime(plan noon.Plan, before, e noon.Event, begun map[string]time.Time) time.Duration {
	waited := max(e.At.Sub(before.At), 0)
	ended := e.Kind == noon.Seen || e.Kind == noon.Failed
	check, isCheck := strings.CutPrefix(e.Subject, "check ")
	switch {
	case before.Kind == noon.Moved && strings.HasPrefix(before.Detail, string(noon.Held)):
		return waited
	case isCheck && ended && check == string(noon.CheckBake):
		return min(waited, bakeTime(plan, e.State))
	case (isCheck || e.Subject == string(noon.CheckDrain)) && ended: // a drain that was not waited for to its end has a line of its own
		return waited
	case isTask(plan, e.Subject) && (e.Kind == noon.Done || e.Kind == noon.Failed):
		if from, ok := begun[e.Subject]; ok {
			return max(e.At.Sub(from), 0)
		}
	}
	return 0
}

func needs(plan noon.Plan) []noon.Need {
	var list []noon.Need
	for _, st := range plan.States {
		list = append(append(list, st.Enter...), st.Leave...)
	}
	return list
}

func isTask(plan noon.Plan, subject string) bool {
	return slices.ContainsFunc(needs(plan), func(n noon.Need) bool { return n.Fact != nil && n.Fact.Name == subject })
}

func bakeTime(plan noon.Plan, state int) time.Duration {
	if state >= len(plan.States) {
		return 0
	}
	for _, n := range plan.States[state].Leave {
		if n.Check != nil && n.Check.Kind == noon.CheckBake {
			return n.Check.For
		}
	}
	return 0
}

// StateTime is how long a deployment was in a state: from the line "intent
// enter" of it to that of the next, or to the deployment's end.
type StateTime struct {
	Name string `json:"name"`
	MS   int64  `json:"ms"`
}

// States tells how long a deployment was in each state that it entered. A
// state entered twice, on the way back, counts both times.
func States(v api.DeploymentView) []StateTime {
	list := []StateTime{}
	add := func(state int, d time.Duration) {
		name := v.Plan.Label(state)
		for i := range list {
			if list[i].Name == name {
				list[i].MS += millis(d)
				return
			}
		}
		list = append(list, StateTime{Name: name, MS: millis(d)})
	}
	in, since := -1, time.Time{}
	for _, e := range v.Events {
		if e.Kind != noon.Intent || e.Subject != "enter" || e.State >= len(v.Plan.States) || e.At.After(v.Ended) && !v.Ended.IsZero() {
			continue
		}
		if in >= 0 {
			add(in, e.At.Sub(since))
		}
		in, since = e.State, e.At
	}
	if in >= 0 && !v.Ended.IsZero() {
		add(in, v.Ended.Sub(since))
	}
	return list
}
