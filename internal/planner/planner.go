// Package planner computes the states a deployment passes through. It is a
// pure function of what an environment is and what it shall be: no clock, no
// randomness, no input or output. The same input gives the same plan, byte for
// byte.
package planner

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/noon-deploy/noon"
)

// Input is all that a plan depends on.
type Input struct {
	Kind    noon.PlanKind
	Site    noon.Site
	Current noon.State                  // what the environment is now; its kind does not matter
	To      noon.Revision               // what it shall be
	Apps    map[noon.Revision]noon.App  // of To and of every revision in Current
	Marks   map[noon.Revision]StoreMark // of the same revisions
	Walked  []Walked                    // pairs of releases that have lived side by side before
	Brings  map[string][]noon.Brought   // store name → migrations that To has and the live release has not
	Past    map[string][]noon.Brought   // store name → migrations that are completed and that To has not
	Hazards []noon.Hazard               // of migrations that stores do not have yet, in the order in which they run

	Rehearsed map[string]Rehearsed // store name → the newest rehearsal of To, if there is one
}

// StoreMark tells what a release needs of its stores: store name → digest of
// the files that decide whether its migration has work; "" when unknown.
type StoreMark map[string]string

// Walked is a pair of releases that a deployment has taken through all states.
type Walked struct {
	A, B  int    // release numbers
	Where string // "d3 in staging", for people
}

// Plan computes the plan. Its errors are *noon.Error of kind Invalid or
// Conflict.
func Plan(in Input) (noon.Plan, error) {
	s, err := newSketch(in)
	if err != nil {
		return noon.Plan{}, err
	}
	s.settled()
	if in.Kind == noon.PlanRollback && s.warm() {
		s.switchTo()
	} else {
		s.prepared()
		s.expanded()
		s.staged()
		s.switchTo()
	}
	s.contracted()
	s.annotate()
	return s.plan, nil
}

// sketch is a plan while its states are being added.
type sketch struct {
	in   Input
	app  noon.App         // of in.To
	env  noon.Environment // of in.Site in app
	from noon.Revision
	plan noon.Plan
}

func newSketch(in Input) (*sketch, error) {
	app, ok := in.Apps[in.To]
	env, found := app.Environment(in.Site.Environment)
	if !ok || !found {
		return nil, &noon.Error{
			Kind: noon.Invalid, Op: "plan", Subject: in.Site.String(),
			Err:  fmt.Errorf("release %s declares no environment %q", noon.ReleaseName(in.To.Release), in.Site.Environment),
			Hint: "Add it under `environments:` in noon.yaml, commit and build again.",
		}
	}
	from := in.Current.Live()
	if from == in.To {
		return nil, &noon.Error{
			Kind: noon.Conflict, Op: "plan", Subject: in.Site.String(),
			Err:  fmt.Errorf("%s is live already, with this configuration", noon.ReleaseName(in.To.Release)),
			Hint: "Nothing needs to be done. `noon releases` lists the others.",
		}
	}
	if err := passable(in, from); err != nil {
		return nil, err
	}
	s := &sketch{
		in: in, app: app, env: env, from: from,
		plan: noon.Plan{Kind: in.Kind, Site: in.Site, From: from, To: in.To},
	}
	return s, s.unbroken()
}

// passable refuses a release that is behind a point of no return: a store has
// lost what it needs.
func passable(in Input, from noon.Revision) error {
	for _, store := range slices.Sorted(maps.Keys(in.Past)) {
		for _, b := range in.Past[store] {
			if !b.Contracts {
				continue
			}
			what := ""
			if len(b.Loses) > 0 {
				what = " (" + strings.Join(b.Loses, ", ") + ")"
			}
			return &noon.Error{
				Kind: noon.Conflict, Op: "plan", Subject: in.Site.String(),
				Err: fmt.Errorf("%s is behind a point of no return: %s of store %s has been completed%s, and %s does not know of it",
					noon.ReleaseName(in.To.Release), b.Name, store, what, noon.ReleaseName(in.To.Release)),
				Hint: fmt.Sprintf("Nothing was changed; %s serves. Go forward: a release with the older code and all migrations that %s has.",
					noon.ReleaseName(from.Release), noon.ReleaseName(from.Release)),
			}
		}
	}
	return nil
}

func (s *sketch) last() noon.State { return s.plan.States[len(s.plan.States)-1] }

func (s *sketch) add(st noon.State) {
	slices.SortFunc(st.Presences, func(a, b noon.Presence) int {
		return cmp.Or(cmp.Compare(a.Revision.Release, b.Revision.Release), cmp.Compare(a.Revision.Config, b.Revision.Config))
	})
	s.plan.States = append(s.plan.States, st)
}

// warm reports whether every routed service of To is up already.
func (s *sketch) warm() bool {
	p, ok := s.in.Current.Presence(s.in.To)
	return ok && slices.Equal(p.Place, s.placements(s.in.To, routed))
}

func (s *sketch) settled() {
	s.add(noon.State{Kind: noon.Settled, Presences: s.in.Current.Presences, Jobs: s.in.Current.Jobs})
}

// prepared has the release on every host. Other warm releases give way here:
// until now they could be gone back to, from now on their memory is needed.
func (s *sketch) prepared() {
	st := noon.State{Kind: noon.Prepared, Jobs: s.last().Jobs}
	if p, ok := s.in.Current.Presence(s.from); ok {
		st.Presences = append(st.Presences, p)
	}
	to, ok := s.in.Current.Presence(s.in.To)
	if !ok {
		to = noon.Presence{Revision: s.in.To, Hosts: s.hosts(s.in.To)}
	}
	st.Presences = append(st.Presences, to)
	if s.in.Kind == noon.PlanDeploy {
		st.Leave = append(s.admit(), s.hooks(noon.BeforeDeploy)...)
	}
	s.add(st)
}

// admit lets hooks that run before anything is changed connect to stores in
// which every release has a name of its own.
func (s *sketch) admit() []noon.Need {
	if len(s.app.HooksAt(noon.BeforeDeploy)) == 0 {
		return nil
	}
	var needs []noon.Need
	for _, store := range s.app.Stores {
		if store.Coexistence == noon.Versioned {
			needs = append(needs, s.data(store, noon.DataAdmitted))
		}
	}
	return needs
}

// expanded has every store in a shape that both releases can use.
func (s *sketch) expanded() {
	var needs []noon.Need
	quiet := false
	for _, store := range s.app.Stores {
		if need, ok := s.expand(store); ok {
			quiet = quiet || store.Quiet
			needs = append(needs, need)
		}
	}
	if len(needs) == 0 {
		return
	}
	st := noon.State{Kind: noon.Expanded, Presences: s.last().Presences, Jobs: s.last().Jobs, Enter: slices.Concat(s.rehearsals(), s.window(), needs)}
	if quiet && !st.Jobs.IsZero() {
		s.quiet()
		st.Jobs, st.Enter = noon.Revision{}, needs
	}
	s.add(st)
}

// expand is what has to be done to a store before To can use it. The app's own
// command is not run on the way to a release that was there before.
func (s *sketch) expand(store noon.Store) (noon.Need, bool) {
	switch {
	case !s.migrates(store):
		return noon.Need{}, false
	case store.Migrations != "" && s.from.IsZero():
		return s.data(store, noon.DataAlone), true
	case store.Migrations != "":
		return s.data(store, noon.DataBoth), true
	case s.in.Kind == noon.PlanRollback:
		return noon.Need{}, false
	}
	return noon.Need{Fact: &noon.Fact{
		Name: "migrate " + store.Name, Store: store.Name, Revision: s.in.To, Host: s.hosts(s.in.To)[0], Command: *store.Migrate,
	}}, true
}

// quiet suspends the scheduled jobs. Rehearsals and the window are waited for
// before, not while nothing runs.
func (s *sketch) quiet() {
	var limit time.Duration
	for _, j := range s.in.Apps[s.last().Jobs].Jobs {
		limit = max(limit, j.Timeout)
	}
	s.add(noon.State{
		Kind: noon.Quiet, Presences: s.last().Presences, Enter: append(s.rehearsals(), s.window()...),
		Leave: []noon.Need{{Check: &noon.Check{Kind: noon.CheckQuiet, For: limit}}},
	})
}

// migrates reports whether the store's migration has work for To. A store
// whose marks are equal, or that To brings no migration for, has none; a
// versioned one has at least to learn of every release.
func (s *sketch) migrates(store noon.Store) bool {
	if store.Migrate == nil && store.Migrations == "" {
		return false
	}
	if store.Coexistence == noon.Versioned {
		return true
	}
	before, after := s.in.Marks[s.from][store.Name], s.in.Marks[s.in.To][store.Name]
	return s.from.IsZero() || before == "" || after == "" || before != after
}

// staged has the release up and ready, reachable by preview only.
func (s *sketch) staged() {
	st := noon.State{Kind: noon.Staged, Jobs: s.in.Current.Jobs}
	for _, p := range s.last().Presences {
		if p.Revision == s.in.To {
			p.Place, p.Preview = s.placements(s.in.To, routed), true
		}
		st.Presences = append(st.Presences, p)
	}
	if s.last().Kind != noon.Expanded {
		st.Enter = s.window()
	}
	st.Leave = append(st.Leave, s.ready(routed))
	for _, smoke := range s.app.Smoke {
		st.Leave = append(st.Leave, noon.Need{Check: &noon.Check{Kind: noon.CheckSmoke, Smoke: &smoke}})
	}
	s.add(st)
}

// switchTo gives every new request to To. What was live stays up without a
// share; its workers and jobs are handed over.
func (s *sketch) switchTo() {
	st := noon.State{Kind: noon.Switched}
	if len(s.app.Jobs) > 0 {
		st.Jobs = s.in.To
	}
	to := noon.Presence{
		Revision: s.in.To, Place: s.placements(s.in.To, all), Hosts: s.hosts(s.in.To), Share: noon.PointsWhole,
	}
	st.Presences = append(st.Presences, to)
	if !s.from.IsZero() {
		st.Presences = append(st.Presences, noon.Presence{
			Revision: s.from, Place: s.placements(s.from, routed), Hosts: s.hosts(s.from),
		})
	}
	if s.in.Kind == noon.PlanDeploy {
		s.deploySwitch(&st)
	} else {
		st.Enter = s.hooks(noon.BeforeRollback)
		st.Leave = append(st.Leave, s.ready(all))
		st.Leave = append(st.Leave, s.drain()...)
		st.Leave = append(st.Leave, s.hooks(noon.AfterRollback)...)
	}
	s.add(st)
}

func (s *sketch) deploySwitch(st *noon.State) {
	if s.env.Approval {
		st.Enter = append(st.Enter, noon.Need{Gate: &noon.Gate{Kind: noon.GateApproval}})
		st.Enter = append(st.Enter, s.window()...)
	}
	st.Enter = append(st.Enter, s.hooks(noon.BeforeSwitch)...)
	st.Leave = append(st.Leave, s.ready(all))
	st.Leave = append(st.Leave, s.drain()...)
	st.Leave = append(st.Leave, s.hooks(noon.AfterSwitch)...)
	if s.app.Bake > 0 {
		st.Leave = append(st.Leave, noon.Need{Check: &noon.Check{Kind: noon.CheckBake, For: s.app.Bake}})
	}
	st.Leave = append(st.Leave, s.hooks(noon.AfterDeploy)...)
}

// contracted has only To, and stores as To alone needs them. A first
// deployment has nothing to contract.
func (s *sketch) contracted() {
	if s.from.IsZero() {
		return
	}
	to, _ := s.last().Presence(s.in.To)
	s.add(noon.State{
		Kind: noon.Contracted, Presences: []noon.Presence{to}, Jobs: s.last().Jobs,
		Enter: []noon.Need{{Gate: &noon.Gate{Kind: noon.GateWarm, For: s.env.Warm}}},
		Leave: s.contract(),
	})
}

// contract is what is done to stores once the release before is gone.
func (s *sketch) contract() []noon.Need {
	var needs []noon.Need
	for _, store := range s.app.Stores {
		if store.Migrations != "" && s.migrates(store) {
			needs = append(needs, s.data(store, noon.DataAlone))
		}
	}
	return needs
}

func (s *sketch) data(store noon.Store, phase noon.DataPhase) noon.Need {
	return noon.Need{Data: &noon.Data{Store: store.Name, Phase: phase, Revision: s.in.To}}
}

func (s *sketch) window() []noon.Need {
	if s.env.Window == nil || s.in.Kind == noon.PlanRollback {
		return nil
	}
	return []noon.Need{{Gate: &noon.Gate{Kind: noon.GateWindow, Window: s.env.Window}}}
}

func (s *sketch) ready(which func(noon.Service) bool) noon.Need {
	check := &noon.Check{Kind: noon.CheckReady}
	for _, svc := range s.app.Services {
		if which(svc) {
			check.For = max(check.For, svc.Ready.Timeout)
		}
	}
	return noon.Need{Check: check}
}

func (s *sketch) drain() []noon.Need {
	if s.from.IsZero() {
		return nil
	}
	check := &noon.Check{Kind: noon.CheckDrain}
	for _, svc := range s.in.Apps[s.from].Services {
		if svc.Routed() {
			check.For = max(check.For, svc.Drain)
		}
	}
	return []noon.Need{{Check: check}}
}

func (s *sketch) hooks(m noon.HookMoment) []noon.Need {
	var needs []noon.Need
	for _, h := range s.app.HooksAt(m) {
		fact := s.hookFact(h)
		needs = append(needs, noon.Need{Fact: &fact})
	}
	return needs
}

func (s *sketch) hookFact(h noon.Hook) noon.Fact {
	return noon.Fact{
		Name: fmt.Sprintf("hook %s %s", h.Moment, h.Name), Moment: h.Moment,
		Revision: s.in.To, Host: s.hosts(s.in.To)[0], Command: h.Command,
	}
}

func all(noon.Service) bool        { return true }
func routed(svc noon.Service) bool { return svc.Routed() }

func (s *sketch) hosts(r noon.Revision) []string {
	env, _ := s.in.Apps[r].Environment(s.in.Site.Environment)
	if len(env.Hosts) == 0 {
		return []string{noon.LocalHost}
	}
	return slices.Sorted(slices.Values(env.Hosts))
}

// placements spreads the instances of a revision over its hosts, the first
// hosts getting one more where it does not come out even.
func (s *sketch) placements(r noon.Revision, which func(noon.Service) bool) []noon.Placement {
	app := s.in.Apps[r]
	env, _ := app.Environment(s.in.Site.Environment)
	hosts := s.hosts(r)
	var place []noon.Placement
	for n, host := range hosts {
		for _, svc := range app.Services {
			total := svc.Instances
			if c, ok := env.Instances[svc.Name]; ok {
				total = c
			}
			count := total / len(hosts)
			if n < total%len(hosts) {
				count++
			}
			if which(svc) && count > 0 {
				place = append(place, noon.Placement{Host: host, Service: svc.Name, Count: count})
			}
		}
	}
	return place
}

// stores gives the stores of two revisions by name, the newer one's word
// counting.
func (s *sketch) stores(a, b noon.Revision) []noon.Store {
	byName := map[string]noon.Store{}
	for _, r := range []noon.Revision{a, b} {
		for _, store := range s.in.Apps[r].Stores {
			byName[store.Name] = store
		}
	}
	var list []noon.Store
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		list = append(list, byName[name])
	}
	return list
}
