package walk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/noon-deploy/noon"
)

// meet waits for every need of state i, in order.
func (r *run) meet(ctx context.Context, i int, needs []noon.Need) error {
	for _, n := range needs {
		if err := r.refresh(ctx); err != nil {
			return err
		}
		var err error
		switch {
		case n.Gate != nil:
			err = r.gate(ctx, i, *n.Gate)
		case n.Fact != nil:
			err = r.fact(ctx, *n.Fact)
		case n.Data != nil:
			err = r.data(ctx, *n.Data)
		case n.Check != nil:
			err = r.check(ctx, *n.Check)
		}
		if err != nil {
			return err
		}
	}
	// Asked while the last of them was on its way: users are not sent on first.
	return r.refresh(ctx)
}

func (r *run) gate(ctx context.Context, i int, g noon.Gate) error {
	if g.Kind == noon.GateRehearsal {
		return r.rehearsal(ctx, g)
	}
	what, open, err := r.gateOpen(i, g)
	if err != nil {
		return err
	}
	if open() {
		return nil
	}
	if err := r.move(ctx, noon.Held, what); err != nil {
		return err
	}
	if err := r.until(ctx, what, 0, func(context.Context) (bool, error) { return open(), nil }); err != nil {
		return err
	}
	return r.move(ctx, noon.Walking, what+": open")
}

func (r *run) gateOpen(i int, g noon.Gate) (string, func() bool, error) {
	switch g.Kind {
	case noon.GateApproval:
		what := fmt.Sprintf("approval to enter %s (noon approve %s)", r.d.Plan.Label(i), r.d.Name())
		return what, func() bool { return r.d.Approved != "" }, nil
	case noon.GateWindow:
		loc, err := time.LoadLocation(g.Window.Zone)
		if err != nil {
			return "", nil, errBack("open gate", "window", "Correct `zone` in noon.yaml or install the time zone database on this machine.", err)
		}
		opens := g.Window.Opens(time.Now(), loc)
		what := "time window, opens " + opens.In(loc).Format("Mon 15:04 MST")
		// The clock is read at each look: it may be set meanwhile.
		return what, func() bool { now := time.Now(); return !g.Window.Opens(now, loc).After(now) }, nil
	default:
		return "", nil, errBack("open gate", string(g.Kind), "Upgrade noon: the plan was made by a newer one.", errors.New("unknown kind of gate"))
	}
}

func (r *run) check(ctx context.Context, c noon.Check) error {
	var err error
	switch c.Kind {
	case noon.CheckReady:
		err = r.ready(ctx, c.For)
	case noon.CheckSmoke:
		err = r.smoke(ctx, *c.Smoke)
	case noon.CheckQuiet:
		err = r.quiet(ctx, c.For)
	case noon.CheckDrain:
		err = r.drained(ctx, c.For)
	case noon.CheckBake:
		err = r.bake(ctx, c.For)
	default:
		err = errBack("check", c.Name(), "Upgrade noon: the plan was made by a newer one.", errors.New("unknown kind of check"))
	}
	if why, ok := errors.AsType[turnBackError](err); ok {
		if rerr := r.record(ctx, noon.Failed, "check "+c.Name(), why.Error()); rerr != nil {
			return rerr
		}
	}
	if err != nil {
		return err
	}
	return r.record(ctx, noon.Seen, "check "+c.Name(), "holds")
}

// ready waits until every instance of the new revision that the state names
// is ready, on every host. A crash loop ends the wait at once.
func (r *run) ready(ctx context.Context, limit time.Duration) error {
	var short []string
	err := r.until(ctx, "instances of "+noon.ReleaseName(r.d.Plan.To.Release)+" to be ready", r.limit(limit), func(ctx context.Context) (bool, error) {
		short = nil
		for _, name := range r.hosts() {
			seen, err := r.observe(ctx, name)
			if err != nil {
				return false, err
			}
			missing, err := r.unready(seen, name)
			if err != nil {
				return false, err
			}
			short = append(short, missing...)
		}
		return len(short) == 0, nil
	})
	if errors.Is(err, errLimit) {
		return errBack("make ready", noon.ReleaseName(r.d.Plan.To.Release),
			r.users()+" `noon logs` has the output of the instance; `ready:` in noon.yaml has the probe and its timeout.",
			fmt.Errorf("not ready within %s: %s", limit, strings.Join(short, "; ")))
	}
	return err
}

// unready tells what of the new revision is missing on a host.
func (r *run) unready(seen noon.Observed, host string) ([]string, error) {
	var short []string
	to := r.d.Plan.To
	p, _ := r.state().Presence(to)
	for _, place := range p.Place {
		if place.Host != host {
			continue
		}
		ready := 0
		var last noon.Instance
		for _, inst := range seen.Instances {
			if inst.Revision != to || inst.Service != place.Service || inst.Phase == noon.Exited {
				continue
			}
			if inst.CrashLoop {
				return nil, r.crashLoop(inst)
			}
			if inst.Phase == noon.Ready {
				ready++
			} else {
				last = inst
			}
		}
		if ready < place.Count {
			short = append(short, unreadyText(place, ready, last, seen.Problem))
		}
	}
	return short, nil
}

func unreadyText(place noon.Placement, ready int, last noon.Instance, problem *noon.Error) string {
	text := fmt.Sprintf("%d of %d %s on %s", ready, place.Count, place.Service, place.Host)
	if last.Probe != "" {
		text += ", last answer: " + last.Probe
	}
	if last.Exit != nil {
		text += ", " + last.Exit.Reason
	}
	if problem != nil {
		text += ", " + problem.Error()
	}
	return text
}

// users tells where they are while a new release does not hold.
func (r *run) users() string {
	if r.d.Plan.From.IsZero() {
		return "There was no release before it: nobody was sent anywhere."
	}
	return "Users are still on the release before."
}

func (r *run) crashLoop(inst noon.Instance) error {
	reason := "it keeps exiting"
	if inst.Exit != nil {
		reason += ": " + inst.Exit.Reason
	}
	if len(inst.LastLines) > 0 {
		reason += "; its last lines:\n  " + strings.Join(inst.LastLines, "\n  ")
	}
	return errBack("start", inst.Service+" of "+noon.ReleaseName(inst.Revision.Release),
		r.users()+" `noon logs` has the whole output.", errors.New(reason))
}

// smoke sends one request through the preview route.
func (r *run) smoke(ctx context.Context, s noon.Smoke) error {
	res, err := r.Catalog.Resolve(ctx, r.d.Site, r.d.Plan.To)
	if err != nil {
		return fmt.Errorf("resolve %s: %w", r.d.Plan.To, err)
	}
	err = r.until(ctx, "smoke check "+s.Name, r.limit(max(s.Timeout, routeLimit)), func(ctx context.Context) (bool, error) {
		err := r.Smoke(ctx, r.d.Site, res.Preview, s)
		return err == nil, err
	})
	if err == nil || ctx.Err() != nil || errors.As(err, new(turnBackError)) {
		return err
	}
	return errBack("smoke check", s.Name, "No user has been sent to the release. `noon logs` shows what it said.", err)
}

func (r *run) quiet(ctx context.Context, limit time.Duration) error {
	return r.until(ctx, "running scheduled jobs to end", r.limit(limit), func(ctx context.Context) (bool, error) {
		busy, err := r.JobsBusy(ctx, r.d.Site)
		return busy == 0, err
	})
}

// drained waits until the releases without a share have no request in flight.
// What takes longer than the limit goes on there: that release stays up.
func (r *run) drained(ctx context.Context, limit time.Duration) error {
	left := 0
	err := r.until(ctx, "requests in flight on the release before", limit, func(ctx context.Context) (bool, error) {
		left = 0
		for _, name := range r.hosts() {
			seen, err := r.observe(ctx, name)
			if err != nil {
				return false, err
			}
			for _, in := range seen.InFlight {
				if p, _ := r.state().Presence(in.Revision); p.Share == 0 {
					left += in.Requests
				}
			}
		}
		return left == 0, nil
	})
	if errors.Is(err, errLimit) {
		return r.record(ctx, noon.Seen, "drain", fmt.Sprintf("%d requests go on at the release before", left))
	}
	return err
}

// bake watches that the new revision stays ready for a while.
func (r *run) bake(ctx context.Context, d time.Duration) error {
	end := time.Now().Add(d)
	return r.until(ctx, "bake time of "+d.String(), 0, func(ctx context.Context) (bool, error) {
		for _, name := range r.hosts() {
			seen, err := r.observe(ctx, name)
			if err != nil {
				return false, err
			}
			if _, err := r.unready(seen, name); err != nil {
				return false, err
			}
		}
		return !time.Now().Before(end), nil
	})
}

// known reports whether the journal knows that a fact holds.
func (r *run) known(f noon.Fact) bool { return slices.Contains(r.d.Facts, f.Name) }
