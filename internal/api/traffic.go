package api

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"time"

	"github.com/noon-deploy/noon"
)

// MetricsType is the content type of the text exposition format of Prometheus.
const MetricsType = "text/plain; version=0.0.4; charset=utf-8"

// DefaultSpan is how long traffic is looked at unless told otherwise.
const DefaultSpan = 2 * time.Second

func (c Controller) traffic(r *http.Request) (noon.TrafficSeen, error) {
	over := DefaultSpan
	if text := r.FormValue("over"); text != "" {
		var err error
		if over, err = time.ParseDuration(text); err != nil {
			return noon.TrafficSeen{}, &noon.Error{Kind: noon.Invalid, Op: "read request", Subject: "over", Err: fmt.Errorf("%q is not a span such as 2s", text)}
		}
	}
	return c.Traffic(r.Context(), over)
}

func (c Controller) metrics() route {
	return route{
		method: http.MethodGet, path: "/metrics", summary: "all counts and gauges of the proxy, in the text format 0.0.4 of Prometheus",
		out: reflect.TypeFor[string](), kind: "text/plain",
		serve: c.serveMetrics,
	}
}

func (c Controller) serveMetrics(w http.ResponseWriter, r *http.Request) error {
	text, err := c.Metrics(r.Context())
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", MetricsType)
	_, _ = w.Write(text) // the client has gone: nobody is left to tell
	return nil
}

// NewMetricsHandler serves GET /metrics and nothing else: for an address that
// Prometheus can reach. The rest of the API stays on its socket.
func NewMetricsHandler(c Controller) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		if err := c.serveMetrics(w, r); err != nil {
			writeError(w, err)
		}
	})
	return mux
}

// Traffic tells what the proxy answers within a span from now on.
func (c *Client) Traffic(ctx context.Context, over time.Duration) (noon.TrafficSeen, error) {
	return get[noon.TrafficSeen](ctx, c, "/traffic", url.Values{"over": {over.String()}})
}

// Routed tells what the proxy routes where, and why.
func (c *Client) Routed(ctx context.Context) ([]noon.Routed, error) {
	return get[[]noon.Routed](ctx, c, "/routed", nil)
}
