package proxy

import (
	"context"
	"errors"
	"fmt"
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
	for i, e := range endpoints {
		wg.Go(func() { errs[i] = e.drain(limited) })
	}
	if !own {
		wg.Go(func() { errs[len(endpoints)] = p.drainPredecessors(ctx, d) })
	}
	wg.Wait()
	p.mu.Lock()
	p.forgetLocked(p.routedLocked())
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
	routed := p.routedLocked()
	var found []*endpoint
	for _, id := range d.Endpoints {
		if _, ok := routed[id]; ok {
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

// drain waits until nothing is in flight, at the limit ends what is left, and
// then closes the idle connections to the instance.
func (e *endpoint) drain(ctx context.Context) error {
	err := e.work.wait(ctx)
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
