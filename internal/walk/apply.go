package walk

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/noon-deploy/noon"
)

// Longest waits on the way forward. On the way back there is none: there is
// nowhere else to go.
const (
	unpackLimit = 10 * time.Minute       // for a release to be unpacked and verified on a host
	routeLimit  = time.Minute            // for the proxies to acknowledge shares
	patience    = 500 * time.Millisecond // how long a host's problem must last to be believed
)

// apply tells every host what it shall hold in the current state and waits
// until each has stored it, has the releases and has its shares acknowledged
// by the proxy.
func (r *run) apply(ctx context.Context) error {
	if err := r.tellAll(ctx); err != nil {
		return err
	}
	for _, name := range r.hosts() {
		if err := r.applied(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// tellAll tells every host the current state, under a new fence.
func (r *run) tellAll(ctx context.Context) error {
	r.telling = true
	defer func() { r.telling = false }()
	halt, err := r.halt(ctx)
	if err != nil {
		return err
	}
	generation, err := r.Journal.NextGeneration(ctx, r.d.Site, r.epoch)
	if err != nil {
		return fmt.Errorf("take a generation: %w", err)
	}
	r.fence, r.told = noon.Fence{Epoch: r.epoch, Generation: generation}, halt
	for _, name := range r.hosts() {
		if err := r.applyTo(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// halt reads what keeps users from the site now.
func (r *run) halt(ctx context.Context) (noon.Halt, error) {
	if r.Halt == nil {
		return noon.Halt{}, nil
	}
	halt, err := r.Halt(ctx, r.d.Site)
	if err != nil {
		return halt, fmt.Errorf("read what halts %s: %w", r.d.Site, err)
	}
	return halt.At(time.Now()), nil
}

// retell tells the hosts the same state again when people have asked to hold
// or close the site, or to let users in, since they were told.
func (r *run) retell(ctx context.Context) error {
	if r.telling || r.fence == (noon.Fence{}) {
		return nil
	}
	halt, err := r.halt(ctx)
	if err != nil || halt.Equal(r.told.At(time.Now())) {
		return err
	}
	return r.tellAll(ctx)
}

func (r *run) applyTo(ctx context.Context, name string) error {
	desired, err := r.desired(ctx, name)
	if err != nil {
		return err
	}
	return r.until(ctx, "host "+name+" to accept "+r.state().Kind.Label(), 0, func(ctx context.Context) (bool, error) {
		host, err := r.Host(name)
		if err != nil {
			return false, err
		}
		r.Faults.Point("walk.apply.before")
		err = host.Apply(ctx, desired)
		r.Faults.Point("walk.apply.after")
		return err == nil, err
	})
}

// applied waits until the host has done what does not depend on the app: it
// has the releases, and new requests go where the state says.
func (r *run) applied(ctx context.Context, name string) error {
	want := r.digests(ctx, name)
	routed := !r.state().Live().IsZero()
	limit := routeLimit
	if r.state().Kind == noon.Prepared {
		limit = unpackLimit
	}
	var since time.Time
	return r.until(ctx, "host "+name+" to be in "+r.state().Kind.Label(), r.limit(limit), func(ctx context.Context) (bool, error) {
		seen, err := r.observe(ctx, name)
		if err != nil {
			return false, err
		}
		missing := slices.ContainsFunc(want, func(digest string) bool { return !slices.Contains(seen.Releases, digest) })
		fence := r.fence // a new one when people have asked for something
		if seen.Accepted.Compare(fence) > 0 {
			return false, staleHost(name)
		}
		if seen.Accepted == fence && !missing && (!routed || seen.Routed == fence) {
			return true, nil
		}
		if _, err := r.unready(seen, name); err != nil && !r.back {
			return false, err // users are not sent to what keeps exiting
		}
		if !missing || seen.Problem == nil || r.back {
			since = time.Time{}
			return false, nil
		}
		if since.IsZero() {
			since = time.Now()
		}
		if time.Since(since) > patience {
			return false, turnBackError{seen.Problem}
		}
		return false, nil
	})
}

func staleHost(name string) error {
	return &noon.Error{
		Kind: noon.Stale, Op: "apply to host", Subject: name,
		Err:  fmt.Errorf("it has accepted a newer state from another controller"),
		Hint: "Another controller has taken over this environment; this one stops.",
	}
}

// limit gives the longest wait on the way forward, none on the way back.
func (r *run) limit(d time.Duration) time.Duration {
	if r.back {
		return 0
	}
	return d
}

func (r *run) observe(ctx context.Context, name string) (noon.Observed, error) {
	host, err := r.Host(name)
	if err != nil {
		return noon.Observed{}, err
	}
	seen, err := host.Observe(ctx, r.d.Site)
	if err != nil {
		return seen, fmt.Errorf("observe host %s: %w", name, err)
	}
	return seen, nil
}

// digests lists the releases that the state wants on a host. What can not be
// resolved is left to desired, which has reported it.
func (r *run) digests(ctx context.Context, name string) []string {
	var list []string
	for _, p := range r.state().Presences {
		if !slices.Contains(p.Hosts, name) {
			continue
		}
		if res, err := r.Catalog.Resolve(ctx, r.d.Site, p.Revision); err == nil {
			list = append(list, res.Digest)
		}
	}
	return list
}

// desired is the current state as one host has to hold it.
func (r *run) desired(ctx context.Context, name string) (noon.Desired, error) {
	st := r.state()
	d := noon.Desired{Site: r.d.Site, Fence: r.fence, Hold: r.told.Hold, Closed: r.told.Closed}
	for _, p := range st.Presences {
		if !slices.Contains(p.Hosts, name) {
			continue
		}
		res, err := r.Catalog.Resolve(ctx, r.d.Site, p.Revision)
		if err != nil {
			return d, fmt.Errorf("resolve %s: %w", p.Revision, err)
		}
		d.Revisions = append(d.Revisions, desiredRevision(p, name, res))
		if p.Revision == st.Live() || st.Live().IsZero() {
			env, _ := res.App.Environment(r.d.Site.Environment)
			d.Domains, d.TLS, d.Traffic = env.Domains, env.TLS, env.Traffic
			d.Traffic.Pages = res.Pages
		}
	}
	return d, nil
}

func desiredRevision(p noon.Presence, host string, res Resolved) noon.DesiredRevision {
	d := noon.DesiredRevision{Revision: p.Revision, Digest: res.Digest, Env: res.Env, Share: p.Share}
	if p.Preview {
		d.Preview = res.Preview
	}
	for _, place := range p.Place {
		if svc, ok := res.App.Service(place.Service); ok && place.Host == host {
			d.Instances = append(d.Instances, noon.DesiredService{Service: svc, Count: place.Count})
		}
	}
	return d
}

// settle waits until nothing is left of revisions that the state does not
// name, and until what it names is up. An app that was broken before is not
// waited for: it is how it was.
func (r *run) settle(ctx context.Context) error {
	for _, name := range r.hosts() {
		err := r.until(ctx, "host "+name+" to have stopped what is not needed", 0, func(ctx context.Context) (bool, error) {
			seen, err := r.observe(ctx, name)
			if err != nil {
				return false, err
			}
			for _, inst := range seen.Instances {
				if inst.Phase != noon.Exited && r.surplus(inst, name) {
					return false, nil
				}
			}
			return true, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *run) surplus(inst noon.Instance, host string) bool {
	p, _ := r.state().Presence(inst.Revision)
	return !slices.ContainsFunc(p.Place, func(place noon.Placement) bool {
		return place.Host == host && place.Service == inst.Service && inst.Index < place.Count
	})
}
