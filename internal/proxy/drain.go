package proxy

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/noon-deploy/noon"
)

// errDrainLimit is the cause when the time of a drain is over.
var errDrainLimit = errors.New("the time to finish is over")

// drain waits until endpoints that are no longer routed have nothing in
// flight, here and in every proxy before. At the limit it ends what is left.
func (p *Proxy) drain(ctx context.Context, d drainCall, own bool) error {
	endpoints, err := p.unrouted(d)
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	errs := make([]error, len(endpoints)+1)
	limited, cancel := context.WithTimeoutCause(ctx, d.Limit, errDrainLimit)
	defer cancel()
	goodbye := min(p.goodbye(d.Site), d.Limit)
	for i, e := range endpoints {
		wg.Go(func() { errs[i] = e.drain(limited, goodbye) })
	}
	if !own {
		wg.Go(func() { errs[len(endpoints)] = p.drainPredecessors(ctx, d) })
	}
	wg.Wait()
	p.mu.Lock()
	if state := p.sites[d.Site]; state != nil {
		p.forgetLocked(state)
	}
	p.mu.Unlock()
	if err := errors.Join(errs...); err != nil {
		return &noon.Error{Kind: drainKind(err), Op: "drain", Subject: d.Site.String(), Err: err, Hint: "Ask for the drain again; what is in flight is shown in the status."}
	}
	return nil
}

func drainKind(err error) noon.ErrorKind {
	if k := noon.KindOf(err); k != noon.Internal {
		return k
	}
	return noon.Failure
}

func (p *Proxy) drainPredecessors(ctx context.Context, d drainCall) error {
	ctx, cancel := context.WithTimeout(ctx, max(d.Limit, 0)+2*endGrace+tellLimit)
	defer cancel()
	return p.askPredecessors(ctx, func(ctx context.Context, c *Client) ([]noon.RoutingStatus, error) {
		return nil, c.Drain(ctx, d.Site, d.Endpoints, d.Limit)
	}, nil)
}

// unrouted finds the endpoints; those that are not known have no work.
func (p *Proxy) unrouted(d drainCall) ([]*endpoint, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	routed := map[string]bool{}
	if state := p.sites[d.Site]; state != nil {
		for _, e := range state.routing.Endpoints {
			routed[e.ID] = true
		}
	}
	var found []*endpoint
	for _, id := range d.Endpoints {
		if routed[id] {
			return nil, &noon.Error{
				Kind: noon.Conflict, Op: "drain", Subject: id, Err: errors.New("it is still routed"),
				Hint: "Send a routing without this endpoint first.",
			}
		}
		if e := p.endpoints[id]; e != nil {
			found = append(found, e)
		}
	}
	return found, nil
}

// usualGoodbye is the time over which streams of a drained instance are told
// to leave.
const usualGoodbye = 10 * time.Second

func (p *Proxy) goodbye(site noon.Site) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if state := p.sites[site]; state != nil && state.routing.Traffic.Limits.Goodbye > 0 {
		return state.routing.Traffic.Limits.Goodbye
	}
	return usualGoodbye
}

// drain waits until nothing is in flight, at the limit ends what is left, and
// then closes the idle connections to the instance. Streams whose users go on
// elsewhere are told to leave one after the other, spread over goodbye: if all
// of them came back at once, that would be an attack.
func (e *endpoint) drain(ctx context.Context, goodbye time.Duration) error {
	spread, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { e.dismiss(spread, goodbye) })
	err := e.work.wait(ctx)
	stop()
	wg.Wait()
	if err != nil && !errors.Is(err, errDrainLimit) {
		return err // nobody waits for the answer any more
	}
	if err != nil {
		e.endAll()
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), endGrace+time.Second)
		defer cancel()
		if e.work.wait(last) != nil {
			return fmt.Errorf("%d requests of endpoint %s could not be ended", e.load(), e.ID)
		}
	}
	e.retire()
	return nil
}

// dismissEvery is how often streams are told to leave, on average.
const dismissEvery = 20 * time.Millisecond

// dismiss tells the streams to leave so that at each moment as large a part is
// left as of the time.
func (e *endpoint) dismiss(ctx context.Context, over time.Duration) {
	begin, most := time.Now(), 0
	for {
		passed := min(1, float64(time.Since(begin))/float64(max(over, 1)))
		most = max(most, e.dismissDown(func(now int) int { return int(float64(max(most, now)) * (1 - passed)) }))
		pause := time.NewTimer(dismissEvery/2 + rand.N(dismissEvery)) //nolint:gosec // jitter
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return
		}
	}
}

// dismissDown counts the exchanges that can be ended without harm, and ends
// those that are more than keep says.
func (e *endpoint) dismissDown(keep func(now int) int) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := 0
	for x := e.first; x != nil; x = x.next {
		if x.gentle && !x.told {
			n++
		}
	}
	surplus := n - keep(n)
	for x := e.first; x != nil && surplus > 0; x = x.next {
		if x.gentle && !x.told {
			x.told = true
			x.ender.stop()
			surplus--
		}
	}
	return n
}
