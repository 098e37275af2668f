package proxy

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/sockets"
)

// drainCall is the body of POST /v1/drain.
type drainCall struct {
	Site      noon.Site     `json:"site"`
	Endpoints []string      `json:"endpoints"`
	Limit     time.Duration `json:"limit"`
}

// upgradeCall is the body of POST /v1/upgrade.
type upgradeCall struct {
	Argv []string `json:"argv"`
}

// callLimit bounds the body of a call.
const callLimit = 16 << 20

// controlHandler answers noon's own parts. own is for a proxy that has a
// successor: it speaks of itself only, and the successor is who asks. All
// other calls that still reach such a proxy are passed on.
func (p *Proxy) controlHandler(own bool) http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, f func(*http.Request) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			answer, err := f(r)
			writeAnswer(w, answer, err)
		})
	}
	handle("GET /v1/health", func(*http.Request) (any, error) { return p.health(), nil })
	handle("GET /v1/sites", func(r *http.Request) (any, error) {
		if c := p.passOn(own); c != nil {
			return c.Sites(r.Context())
		}
		return p.statuses(r.Context(), own)
	})
	handle("GET /v1/sites/{app}/{environment}", func(r *http.Request) (any, error) {
		if c := p.passOn(own); c != nil {
			return c.Status(r.Context(), siteOf(r))
		}
		return p.status(r.Context(), siteOf(r), own)
	})
	handle("PUT /v1/sites/{app}/{environment}", func(r *http.Request) (any, error) { return nil, p.handleRoute(r, own) })
	handle("DELETE /v1/sites/{app}/{environment}", func(r *http.Request) (any, error) { return nil, p.handleRemove(r, own) })
	handle("POST /v1/drain", func(r *http.Request) (any, error) { return nil, p.handleDrain(r, own) })
	handle("POST /v1/upgrade", func(r *http.Request) (any, error) {
		var call upgradeCall
		if err := readCall(r, &call); err != nil {
			return nil, err
		}
		return nil, p.upgrade(r.Context(), call.Argv)
	})
	p.handleSights(mux, handle, own)
	handle("POST "+sockets.HandInPath, func(r *http.Request) (any, error) { return nil, p.handIn(r.Context()) })
	mux.HandleFunc("GET /v1/debug/profile", p.handleProfile)
	return mux
}

// passOn returns the client of the successor if it is the one to answer.
func (p *Proxy) passOn(own bool) *Client {
	select {
	case <-p.over:
		if !own {
			return NewClient(p.cfg.Control)
		}
	default:
	}
	return nil
}

func (p *Proxy) handleRoute(r *http.Request, own bool) error {
	routing, err := readRouting(r.Body)
	if err != nil {
		return err
	}
	if routing.Site != siteOf(r) {
		return &noon.Error{Kind: noon.Invalid, Op: "route", Subject: siteOf(r).String(), Err: fmt.Errorf("the routing is one of %v", routing.Site), Hint: "Nothing was changed."}
	}
	// The change is carried through even if the caller leaves: half of it in
	// this proxy and not in the one before would help nobody.
	return p.route(context.WithoutCancel(r.Context()), routing, own)
}

func readRouting(body io.Reader) (noon.Routing, error) {
	var routing noon.Routing
	if err := decodeCall(body, &routing); err != nil {
		return noon.Routing{}, err
	}
	if reflect.ValueOf(routing.Traffic).IsZero() {
		return routing, nil
	}
	// As a file gives it back: an empty list is none. Else the same routing would
	// be another one after a restart.
	data, err := json.Marshal(routing.Traffic)
	if err == nil {
		routing.Traffic = noon.Traffic{}
		err = json.Unmarshal(data, &routing.Traffic)
	}
	return routing, err
}

func (p *Proxy) handleRemove(r *http.Request, own bool) error {
	var fence noon.Fence
	var err, gerr error
	fence.Epoch, err = strconv.ParseInt(r.URL.Query().Get("epoch"), 10, 64)
	fence.Generation, gerr = strconv.ParseInt(r.URL.Query().Get("generation"), 10, 64)
	site := siteOf(r)
	if _, serr := noon.ParseSiteKey(site.Key()); err != nil || gerr != nil || serr != nil {
		return &noon.Error{Kind: noon.Invalid, Op: "remove", Subject: site.String(), Err: fmt.Errorf("the call needs a site, an epoch and a generation"), Hint: "Nothing was changed."}
	}
	return p.remove(context.WithoutCancel(r.Context()), site, fence, own)
}

func (p *Proxy) handleDrain(r *http.Request, own bool) error {
	var call drainCall
	if err := readCall(r, &call); err != nil {
		return err
	}
	if c := p.passOn(own); c != nil {
		return c.Drain(r.Context(), call.Site, call.Endpoints, call.Limit)
	}
	return p.drain(r.Context(), call, own)
}

func siteOf(r *http.Request) noon.Site {
	return noon.Site{App: r.PathValue("app"), Environment: r.PathValue("environment")}
}

func readCall(r *http.Request, into any) error { return decodeCall(r.Body, into) }

// decodeCall reads JSON. Fields it does not know are of a newer noon.
func decodeCall(body io.Reader, into any) error {
	data, err := io.ReadAll(io.LimitReader(body, callLimit+1))
	switch {
	case err != nil:
	case len(data) > callLimit:
		err = fmt.Errorf("it is longer than %d bytes", callLimit)
	default:
		err = json.Unmarshal(data, into)
	}
	if err != nil {
		return &noon.Error{Kind: noon.Invalid, Op: "read the call", Err: err, Hint: "Nothing was changed."}
	}
	return nil
}

func (p *Proxy) health() Health {
	h := Health{Version: p.cfg.Version, PID: os.Getpid(), Asked: p.cfg.Listen}
	for _, a := range p.Addrs() {
		h.Addresses = append(h.Addresses, a.String())
	}
	for _, path := range p.predecessors() {
		if pid, err := strconv.Atoi(strings.TrimPrefix(path, p.cfg.Control+".")); err == nil {
			h.Predecessors = append(h.Predecessors, pid)
		}
	}
	return h
}

func writeAnswer(w http.ResponseWriter, answer any, err error) {
	status := http.StatusOK
	if err != nil {
		status = noon.KindOf(err).HTTPStatus()
		answer = failureBody{noon.AsError(err)}
	}
	if answer == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	data, jerr := json.Marshal(answer)
	if jerr != nil {
		http.Error(w, jerr.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(data, '\n')) // a caller that left needs no answer
}
