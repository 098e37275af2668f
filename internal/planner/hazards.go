package planner

import (
	"cmp"
	"slices"

	"github.com/noon-deploy/noon"
)

// hazards marks those that the stores refuse. Going back is never refused: what
// is wrong is there already.
func (s *sketch) hazards() []noon.Hazard {
	if s.in.Kind != noon.PlanDeploy {
		return nil
	}
	list := slices.Clone(s.in.Hazards)
	for i := range list {
		h := &list[i]
		h.Refuses = h.Gravity.AtLeast(s.refused(h.Store))
	}
	return list
}

// refused is the least gravity that a store refuses.
func (s *sketch) refused(store string) noon.Gravity {
	for _, st := range s.app.Stores {
		if st.Name == store {
			return cmp.Or(st.Lint.Refuse, noon.GravityError)
		}
	}
	return noon.GravityError
}
