package planner

import (
	"errors"
	"fmt"

	"github.com/noon-deploy/noon"
)

// Rehearsed is what the newest rehearsal of To on a store says about it.
type Rehearsed struct {
	Failed  bool   // it does not work on this data
	Old     bool   // it says nothing any more about the data there are now
	Because string // "rehearsed 14m ago on 1000000 rows", for people
}

// unbroken refuses what has failed when it was rehearsed.
func (s *sketch) unbroken() error {
	if s.in.Kind == noon.PlanRollback {
		return nil
	}
	for _, store := range s.app.Stores {
		r, ok := s.in.Rehearsed[store.Name]
		if !ok || !r.Failed || !s.migrates(store) {
			continue
		}
		to := name(s.in.To)
		return &noon.Error{
			Kind: noon.Conflict, Op: "plan", Subject: s.in.Site.String(),
			Err:  fmt.Errorf("%s as %s has it is %s: %w", store.Name, to, noon.Broken, errors.New(r.Because)),
			Hint: fmt.Sprintf("Nothing was changed. `noon rehearse --show` tells what failed. Correct the change or the data, and try it on a copy again: `noon rehearse %s`.", to),
		}
	}
	return nil
}

// rehearsed raises the evidence to proven if the change has worked on a copy,
// and says what is known otherwise.
func (s *sketch) rehearsed(store noon.Store, evidence noon.Evidence, because string) (noon.Evidence, string) {
	r, ok := s.in.Rehearsed[store.Name]
	switch {
	case ok && !r.Failed && !r.Old:
		return noon.Proven, r.Because
	case ok && r.Old:
		because += "; " + r.Because + ", which is too long ago"
	case evidence == noon.Unproven && store.Migrations != "":
		because += fmt.Sprintf("; `noon rehearse %s` tries it on a copy", name(s.in.To))
	}
	return evidence, because
}

// rehearsals are waited for before the stores are changed that ask for it.
func (s *sketch) rehearsals() []noon.Need {
	if s.in.Kind == noon.PlanRollback || s.from.IsZero() {
		return nil
	}
	var needs []noon.Need
	for _, store := range s.app.Stores {
		if store.Rehearsal.Required && store.Migrations != "" && s.migrates(store) && len(s.in.Brings[store.Name]) > 0 {
			needs = append(needs, noon.Need{Gate: &noon.Gate{Kind: noon.GateRehearsal, Store: store.Name}})
		}
	}
	return needs
}
