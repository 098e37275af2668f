package planner

import (
	"fmt"
	"slices"
	"strings"

	"github.com/noon-deploy/noon"
)

// annotate adds to every state what people and checks need to know: its
// contacts with their evidence, what it changes, what can not be undone.
func (s *sketch) annotate() {
	migrated := false
	for i := range s.plan.States {
		st := &s.plan.States[i]
		migrated = migrated || st.Kind == noon.Expanded
		st.Contacts = s.contacts(*st, migrated)
		st.Irreversible = s.irreversible(*st)
		if i > 0 {
			st.Changes = changes(s.plan.States[i-1], *st, s.from, s.in.Brings)
		}
	}
	for _, h := range s.app.HooksAt(noon.OnFailure) {
		s.plan.Failure = append(s.plan.Failure, s.hookFact(h))
	}
	s.plan.Hazards = s.hazards()
	s.plan.Warnings = s.warnings()
}

// contacts lists the pairs that may meet in a state. Before the first
// migration the stores are as From left them.
func (s *sketch) contacts(st noon.State, migrated bool) []noon.Contact {
	if s.from.IsZero() || st.Kind == noon.Settled || st.Kind == noon.Prepared || st.Kind == noon.Quiet {
		return nil
	}
	_, fromThere := st.Presence(s.from)
	var list []noon.Contact
	for _, store := range s.stores(s.from, s.in.To) {
		if !fromThere {
			continue
		}
		evidence, because := s.storeEvidence(store)
		subject := store.Name
		if migrated && s.migrates(store) {
			subject += " as " + name(s.in.To) + " has it"
		}
		list = append(list, noon.Contact{A: name(s.from), B: subject, Through: store.Name, Evidence: evidence, Because: because})
	}
	if st.Kind == noon.Switched || st.Kind == noon.Contracted {
		evidence, because := s.walked(noon.Unproven, "nobody has looked at pages of one release calling the other")
		list = append(list, noon.Contact{A: "pages of " + name(s.from), B: name(s.in.To), Through: "browsers", Evidence: evidence, Because: because})
	}
	return list
}

func (s *sketch) storeEvidence(store noon.Store) (noon.Evidence, string) {
	if s.in.Kind == noon.PlanRollback {
		return s.walked(noon.Declared, "both releases have used it before")
	}
	switch {
	case !s.migrates(store):
		return s.walked(noon.Declared, fmt.Sprintf("%s brings no migration of it", name(s.in.To)))
	case store.Coexistence == noon.Versioned:
		return s.proven(store, noon.Declared, fmt.Sprintf("%s is %s: each release has a view of its own, kept equal", store.Name, noon.Versioned))
	case store.Compatible:
		return s.proven(store, noon.Declared, fmt.Sprintf("noon.yaml of %s: stores.%s.compatible", name(s.in.To), store.Name))
	default:
		return s.proven(store, noon.Unproven, fmt.Sprintf("%s migrates it and does not declare it compatible with %s", name(s.in.To), name(s.from)))
	}
}

// proven raises the evidence of a store that is migrated by what is known of
// both releases and of this change.
func (s *sketch) proven(store noon.Store, evidence noon.Evidence, because string) (noon.Evidence, string) {
	evidence, because = s.rehearsed(store, evidence, because)
	return s.walked(evidence, because)
}

// walked raises the evidence to proven if the two releases have lived side by
// side before.
func (s *sketch) walked(evidence noon.Evidence, because string) (noon.Evidence, string) {
	for _, w := range s.in.Walked {
		if w.A == s.from.Release && w.B == s.in.To.Release || w.B == s.from.Release && w.A == s.in.To.Release {
			return noon.Proven, w.Where + " walked through it"
		}
	}
	return evidence, because
}

// irreversible names what a state does to stores that a walk back does not
// undo.
func (s *sketch) irreversible(st noon.State) []string {
	if s.from.IsZero() {
		return nil
	}
	var list []string
	for _, need := range slices.Concat(st.Enter, st.Leave) {
		switch {
		case need.Fact != nil && need.Fact.Store != "":
			list = append(list, s.stays(need.Fact.Store))
		case need.Data != nil && need.Data.Phase == noon.DataAlone:
			list = append(list, s.contracts(need.Data.Store)...)
		case need.Data != nil && need.Data.Phase == noon.DataBoth && s.coexistence(need.Data.Store) != noon.Versioned:
			list = append(list, s.stays(need.Data.Store))
		}
	}
	return list
}

func (s *sketch) stays(store string) string {
	return fmt.Sprintf("%s stays migrated; %s goes on with it", store, name(s.from))
}

// contracts tells what is removed from a store for good.
func (s *sketch) contracts(store string) []string {
	var list []string
	for _, b := range s.in.Brings[store] {
		if !b.Contracts {
			continue
		}
		text := fmt.Sprintf("%s of %s is completed: %s can not use it after that", b.Name, store, name(s.from))
		if len(b.Loses) > 0 {
			text += "; lost: " + strings.Join(b.Loses, ", ")
		}
		list = append(list, text)
	}
	return list
}

func (s *sketch) coexistence(store string) noon.Coexistence {
	for _, st := range s.app.Stores {
		if st.Name == store {
			return st.Coexistence
		}
	}
	return ""
}

func (s *sketch) warnings() []string {
	var list []string
	for _, st := range s.plan.States {
		for _, c := range st.Contacts {
			if st.Kind == noon.Expanded && c.Evidence == noon.Unproven {
				list = append(list, fmt.Sprintf("%s meets %s: unproven, %s", c.A, c.B, c.Because))
			}
		}
	}
	if len(s.app.Smoke) == 0 && s.in.Kind == noon.PlanDeploy {
		list = append(list, "no smoke checks: users are the first to try "+name(s.in.To)+" (add `smoke:` to noon.yaml)")
	}
	return list
}

// changes tells in words what a state changes against the one before it.
func changes(before, after noon.State, from noon.Revision, brings map[string][]noon.Brought) []string {
	var list []string
	for _, n := range after.Enter {
		if n.Fact != nil {
			list = append(list, fmt.Sprintf("%s: %s", n.Fact.Name, strings.Join(n.Fact.Command.Command, " ")))
		}
	}
	list = append(list, dataChanges(after, brings)...)
	for _, r := range revisions(before, after) {
		b, had := before.Presence(r)
		a, has := after.Presence(r)
		list = append(list, presenceChanges(b, a, had, has)...)
	}
	if before.Jobs != after.Jobs {
		list = append(list, jobsChange(before.Jobs, after.Jobs))
	}
	if after.Kind == noon.Contracted {
		list = append(list, wayBack(from, after, brings))
	}
	return list
}

// wayBack tells what is left of it in the last state.
func wayBack(from noon.Revision, last noon.State, brings map[string][]noon.Brought) string {
	for _, n := range last.Leave {
		if n.Data != nil && slices.ContainsFunc(brings[n.Data.Store], func(b noon.Brought) bool { return b.Contracts }) {
			return fmt.Sprintf("there is no way back to %s from here", name(from))
		}
	}
	return fmt.Sprintf("going back to %s takes a plan of its own from here", name(from))
}

// dataChanges tells which migrations a state takes a step further.
func dataChanges(st noon.State, brings map[string][]noon.Brought) []string {
	var list []string
	for _, n := range slices.Concat(st.Enter, st.Leave) {
		if n.Data == nil {
			continue
		}
		var names []string
		for _, b := range brings[n.Data.Store] {
			if st.Kind == noon.Expanded || st.Kind == noon.Contracted && b.Contracts {
				names = append(names, b.Name)
			}
		}
		if len(names) > 0 {
			list = append(list, n.Data.Name()+": "+strings.Join(names, ", "))
		}
	}
	return list
}

func revisions(states ...noon.State) []noon.Revision {
	var list []noon.Revision
	seen := map[noon.Revision]bool{}
	for _, st := range states {
		for _, p := range st.Presences {
			if !seen[p.Revision] {
				seen[p.Revision] = true
				list = append(list, p.Revision)
			}
		}
	}
	return list
}

func presenceChanges(before, after noon.Presence, had, has bool) []string {
	r := before.Revision
	if has {
		r = after.Revision
	}
	var list []string
	if has && !had {
		list = append(list, fmt.Sprintf("%s is unpacked and verified on %s", name(r), strings.Join(after.Hosts, ", ")))
	}
	list = append(list, placeChanges(r, before.Place, after.Place)...)
	if before.Share != after.Share {
		list = append(list, fmt.Sprintf("%s gets %s of new requests (was %s)", name(r), percent(after.Share), percent(before.Share)))
	}
	return list
}

func placeChanges(r noon.Revision, before, after []noon.Placement) []string {
	counts := map[noon.Placement]int{} // Count is 0 in the keys
	var order []noon.Placement
	note := func(list []noon.Placement, sign int) {
		for _, p := range list {
			key := noon.Placement{Host: p.Host, Service: p.Service}
			if _, ok := counts[key]; !ok {
				order = append(order, key)
			}
			counts[key] += sign * p.Count
		}
	}
	note(before, -1)
	note(after, 1)
	var list []string
	for _, key := range order {
		switch n := counts[key]; {
		case n > 0:
			list = append(list, fmt.Sprintf("%d × %s of %s started on %s", n, key.Service, name(r), key.Host))
		case n < 0:
			list = append(list, fmt.Sprintf("%d × %s of %s drained and stopped on %s", -n, key.Service, name(r), key.Host))
		}
	}
	return list
}

func jobsChange(before, after noon.Revision) string {
	switch {
	case after.IsZero():
		return "scheduled jobs are suspended"
	case before.IsZero():
		return "scheduled jobs run " + name(after)
	}
	return fmt.Sprintf("scheduled jobs are handed over from %s to %s", name(before), name(after))
}

func name(r noon.Revision) string { return noon.ReleaseName(r.Release) }

// percent writes a share: 10000 is "100 %", 5 is "0.05 %".
func percent(points int) string {
	whole, part := points/100, points%100
	if part == 0 {
		return fmt.Sprintf("%d %%", whole)
	}
	return strings.TrimRight(fmt.Sprintf("%d.%02d", whole, part), "0") + " %"
}
