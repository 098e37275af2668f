package proxy

import (
	"context"
	"errors"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/noon-deploy/noon"
)

// tellLimit bounds what is quick when the other proxy is well.
const tellLimit = 5 * time.Second

// tellPredecessors has every proxy that still finishes something do the same.
func (p *Proxy) tellPredecessors(ctx context.Context, op string, do func(context.Context, *Client) error) error {
	err := p.eachPredecessor(ctx, func(ctx context.Context, c *Client) ([]noon.RoutingStatus, error) {
		return nil, do(ctx, c)
	}, nil)
	if err == nil {
		return nil
	}
	return &noon.Error{Kind: noon.KindOf(err), Op: op + " in the proxy before", Err: err, Hint: retryHint}
}

// eachPredecessor asks all at the same time, with tellLimit, and gives the
// answers to merge, one after the other. One that has ended is no error: it
// had finished.
func (p *Proxy) eachPredecessor(ctx context.Context, ask func(context.Context, *Client) ([]noon.RoutingStatus, error), merge func([]noon.RoutingStatus)) error {
	ctx, cancel := context.WithTimeout(ctx, tellLimit)
	defer cancel()
	return p.askPredecessors(ctx, ask, merge)
}

func (p *Proxy) askPredecessors(ctx context.Context, ask func(context.Context, *Client) ([]noon.RoutingStatus, error), merge func([]noon.RoutingStatus)) error {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	for _, path := range p.predecessors() {
		wg.Go(func() {
			answer, err := askOne(ctx, path, ask)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				errs = append(errs, err)
			case merge != nil:
				merge(answer)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// askOne asks twice when the first try was cut off: the other may have ended
// just then, which the second try finds out.
func askOne(ctx context.Context, path string, ask func(context.Context, *Client) ([]noon.RoutingStatus, error)) ([]noon.RoutingStatus, error) {
	c := NewClient(path)
	answer, err := ask(ctx, c)
	if noon.KindOf(err) == noon.Unavailable && !gone(err) && ctx.Err() == nil {
		answer, err = ask(ctx, c)
	}
	if gone(err) {
		_ = os.Remove(path) // whoever made it has ended
		return nil, nil
	}
	return answer, err
}

// predecessors are the sockets of the proxies before that still finish
// something. Each has made its own before this process began: once there is none
// there never is one again, and nobody looks.
func (p *Proxy) predecessors() []string {
	if p.first.Load() {
		return nil
	}
	paths := predecessors(p.cfg.Control)
	p.first.Store(len(paths) == 0)
	return paths
}

// gone reports that nobody listens on a socket.
func gone(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, os.ErrNotExist)
}
