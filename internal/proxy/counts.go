package proxy

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"sync"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/proxy/meter"
)

// What is counted goes on when a proxy replaces another one: while that one
// still finishes something its counts are added to what is told, and when it
// ends it leaves them to the one that serves then. A process that is killed
// takes its counts along.

// countsCall is what a proxy has counted.
type countsCall struct {
	PID    int              `json:"pid"`
	Series []meter.Snapshot `json:"series"`
}

// bequests are the counts that were taken over.
type bequests struct {
	mu    sync.RWMutex // so that nothing is told twice
	from  map[int]bool // by process id
	taken [][]meter.Snapshot
}

// countsLimit bounds what a proxy leaves, in bytes.
const countsLimit = 256 << 20

func (p *Proxy) ownCounts() countsCall {
	return countsCall{PID: os.Getpid(), Series: p.meter.Counted()}
}

// bequeath leaves the counts to the proxy that serves now.
func (p *Proxy) bequeath(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, tellLimit)
	defer cancel()
	if err := NewClient(p.cfg.Control).call(ctx, http.MethodPost, "/v1/counts", p.ownCounts(), nil); err != nil {
		p.log.WarnContext(ctx, "counts are lost", "err", err)
	}
}

// handleCounts takes counts over, those of one process once.
func (p *Proxy) handleCounts(r *http.Request, own bool) error {
	var call countsCall
	if err := json.NewDecoder(io.LimitReader(r.Body, countsLimit)).Decode(&call); err != nil {
		return &noon.Error{Kind: noon.Invalid, Op: "read the counts of the proxy before", Err: err, Hint: "They are lost."}
	}
	if c := p.passOn(own); c != nil {
		return c.call(r.Context(), http.MethodPost, "/v1/counts", call, nil)
	}
	b := &p.bequests
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.from[call.PID] {
		return nil
	}
	if b.from == nil {
		b.from = map[int]bool{}
	}
	b.from[call.PID] = true
	b.taken = append(b.taken, call.Series)
	p.meter.Absorb(call.Series)
	return nil
}

// withEarlier calls tell with what proxies have counted that still finish
// something; nothing is taken over meanwhile. own leaves them out.
func (p *Proxy) withEarlier(ctx context.Context, own bool, tell func([]meter.Snapshot)) error {
	if own {
		tell(nil)
		return nil
	}
	var mu sync.Mutex
	var calls []countsCall
	err := p.eachPredecessor(ctx, func(ctx context.Context, c *Client) ([]noon.RoutingStatus, error) {
		var call countsCall
		err := c.call(ctx, http.MethodGet, "/v1/counts", nil, &call)
		if noon.KindOf(err) == noon.NotFound {
			return nil, nil // it is older than this
		}
		mu.Lock()
		defer mu.Unlock()
		calls = append(calls, call)
		return nil, err
	}, nil)
	if err != nil {
		return err
	}
	p.bequests.mu.RLock()
	defer p.bequests.mu.RUnlock()
	var earlier [][]meter.Snapshot
	for _, call := range calls {
		if !p.bequests.from[call.PID] {
			earlier = append(earlier, call.Series)
		}
	}
	tell(meter.Union(earlier...))
	return nil
}
