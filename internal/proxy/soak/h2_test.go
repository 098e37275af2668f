package soak_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// h2wires are the connections of users that speak HTTP/2 without TLS. Requests
// are given to one connection, and never to another one.
type h2wires struct {
	address   string
	transport *http.Transport
	mu        sync.Mutex
	conns     []*http.ClientConn
	opened    map[*http.ClientConn]time.Time
	leaving   []*http.ClientConn // take no more; what is on its way goes on
}

// h2Streams is how many requests share a connection.
const h2Streams = 16

func newH2(address string) *h2wires {
	var p http.Protocols
	p.SetUnencryptedHTTP2(true)
	return &h2wires{address: address, opened: map[*http.ClientConn]time.Time{}, transport: &http.Transport{Protocols: &p, DisableCompression: true}}
}

// get reserves a place on a connection.
func (h *h2wires) get(ctx context.Context) (*http.ClientConn, time.Time, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var kept []*http.ClientConn
	var found *http.ClientConn
	for _, c := range h.conns {
		if c.Err() != nil {
			h.leaving = append(h.leaving, c)
			continue
		}
		kept = append(kept, c)
		if found == nil && c.InFlight() < h2Streams && c.Reserve() == nil {
			found = c
		}
	}
	h.conns = kept
	if found != nil {
		return found, h.opened[found], nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c, err := h.transport.NewClientConn(ctx, "http", h.address)
	if err != nil {
		return nil, time.Now(), err
	}
	h.conns, h.opened[c] = append(h.conns, c), time.Now()
	return c, h.opened[c], c.Reserve()
}

func (h *h2wires) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range append(h.conns, h.leaving...) {
		_ = c.Close()
	}
	h.transport.CloseIdleConnections()
}

// ask sends q and reads its answer. A request that the server says it has not
// taken (RFC 9113, section 6.8) is asked anew, as every browser does: nobody
// has lost anything. That it was not taken is seen in the journal.
func (h *h2wires) ask(ctx context.Context, q question) answered {
	for {
		a := h.askOnce(ctx, q)
		if a.err == nil || !strings.Contains(a.err.Error(), "graceful shutdown GOAWAY") && !strings.Contains(a.err.Error(), "client conn not usable") {
			return a
		}
	}
}

func (h *h2wires) askOnce(ctx context.Context, q question) (a answered) {
	defer func() { a.end = time.Now() }()
	c, opened, err := h.get(ctx)
	a.opened, a.sent = opened, time.Now()
	if err != nil {
		a.err = err
		return a
	}
	ctx, cancel := context.WithTimeout(ctx, patience+q.slow)
	defer cancel()
	var body io.Reader = http.NoBody
	if q.body > 0 {
		// No type that could be read a second time.
		body = io.MultiReader(bytes.NewReader(patternOf(q.id, q.body)))
	}
	req, err := http.NewRequestWithContext(ctx, q.method, "http://shop"+q.target, body)
	if err != nil {
		a.err = err
		return a
	}
	res, err := c.RoundTrip(req)
	if err != nil {
		a.err = fmt.Errorf("no answer: %w", err)
		return a
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK || res.ProtoMajor != 2 {
		a.err = fmt.Errorf("%w: %s %s", errStatus, res.Proto, res.Status)
		return a
	}
	if a.release, a.err = releaseOf(res.Header); a.err != nil {
		return a
	}
	a.err = checkPattern(res.Body, q.wantID, q.want)
	if a.err != nil && !errors.Is(a.err, errContent) {
		a.err = fmt.Errorf("%w: %w", errCut, a.err)
	}
	return a
}
