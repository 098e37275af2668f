package proxy

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/proxy/meter"
)

// The span of traffic that is looked at.
const (
	shortestSpan = 100 * time.Millisecond
	longestSpan  = 10 * time.Second
	usualSpan    = 2 * time.Second
)

// handleSights adds the calls that only look.
func (p *Proxy) handleSights(mux *http.ServeMux, handle func(string, func(*http.Request) (any, error)), own bool) {
	handle("GET /v1/top", func(r *http.Request) (any, error) {
		span, err := spanOf(r)
		if err != nil {
			return nil, err
		}
		if c := p.passOn(own); c != nil {
			return c.Traffic(r.Context(), span)
		}
		return p.traffic(r.Context(), span, own)
	})
	handle("GET /v1/show", func(r *http.Request) (any, error) {
		if c := p.passOn(own); c != nil {
			return c.Show(r.Context())
		}
		return p.show(r.Context(), own)
	})
	mux.HandleFunc("GET /v1/metrics", func(w http.ResponseWriter, r *http.Request) {
		if c := p.passOn(own); c != nil {
			text, err := c.Metrics(r.Context())
			writeMetrics(w, text, err)
			return
		}
		p.serveMetrics(r.Context(), w, own)
	})
	handle("GET /v1/counts", func(r *http.Request) (any, error) { return p.ownCounts(), nil })
	handle("POST /v1/counts", func(r *http.Request) (any, error) { return nil, p.handleCounts(r, own) })
}

// forgetEvery is how often series of releases that are gone are looked for.
const forgetEvery = 10 * time.Minute

func (p *Proxy) forgetSeries(ctx context.Context) {
	tick := time.NewTicker(forgetEvery)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			p.meter.Forget(now)
		case <-ctx.Done():
			return
		}
	}
}

// MetricsType is the content type of the text exposition format.
const MetricsType = "text/plain; version=0.0.4; charset=utf-8"

func (p *Proxy) serveMetrics(ctx context.Context, w http.ResponseWriter, own bool) {
	err := p.withEarlier(ctx, own, func(earlier []meter.Snapshot) {
		w.Header().Set("Content-Type", MetricsType)
		_ = p.meter.WritePrometheus(w, p.gauges(), earlier...) // a caller that left needs no answer
	})
	if err != nil {
		writeAnswer(w, nil, err)
	}
}

func writeMetrics(w http.ResponseWriter, text []byte, err error) {
	if err != nil {
		writeAnswer(w, nil, err)
		return
	}
	w.Header().Set("Content-Type", MetricsType)
	_, _ = w.Write(text) // as in serveMetrics
}

// spanOf reads ?over=2s.
func spanOf(r *http.Request) (time.Duration, error) {
	text := r.URL.Query().Get("over")
	if text == "" {
		return usualSpan, nil
	}
	span, err := time.ParseDuration(text)
	if err == nil && (span < shortestSpan || span > longestSpan) {
		err = fmt.Errorf("%v is not from %v to %v", span, shortestSpan, longestSpan)
	}
	if err != nil {
		return 0, &noon.Error{Kind: noon.Invalid, Op: "look at the traffic", Subject: "over", Err: err, Hint: "Name a span such as 2s."}
	}
	return span, nil
}

// Traffic tells what was answered within a span from now on: the answer comes
// when it is over.
func (c *Client) Traffic(ctx context.Context, over time.Duration) (noon.TrafficSeen, error) {
	var t noon.TrafficSeen
	err := c.call(ctx, http.MethodGet, "/v1/top?"+url.Values{"over": {over.String()}}.Encode(), nil, &t)
	return t, err
}

// Show tells what is routed where, and why, in the order of the sites' keys.
func (c *Client) Show(ctx context.Context) ([]noon.Routed, error) {
	var list []noon.Routed
	err := c.call(ctx, http.MethodGet, "/v1/show", nil, &list)
	return list, err
}

// Metrics gives all counts in the text exposition format of Prometheus.
func (c *Client) Metrics(ctx context.Context) ([]byte, error) {
	return c.ask(ctx, http.MethodGet, "/v1/metrics", nil)
}
