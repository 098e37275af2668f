package api_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/api"
)

func TestTrafficAndRoutedArriveWhole(t *testing.T) {
	t.Parallel()
	var asked time.Duration
	client := serve(t, api.Controller{
		Traffic: func(_ context.Context, over time.Duration) (noon.TrafficSeen, error) {
			asked = over
			return noon.TrafficSeen{Over: over, Routes: []noon.RouteTraffic{{Site: site, Route: "/", Rate: 12.5, P99: time.Second}}}, nil
		},
		Routed: func(context.Context) ([]noon.Routed, error) {
			return []noon.Routed{{Site: site, Endpoints: []noon.RoutedEndpoint{{EndpointStatus: noon.EndpointStatus{ID: "i1", Requests: 3}, Address: "127.0.0.1:1"}}}}, nil
		},
	})
	tr, err := client.Traffic(t.Context(), 1500*time.Millisecond)
	if err != nil || asked != 1500*time.Millisecond || tr.Over != asked || len(tr.Routes) != 1 || tr.Routes[0].Rate != 12.5 || tr.Routes[0].P99 != time.Second {
		t.Errorf("asked for %v: %+v, %v", asked, tr, err)
	}
	list, err := client.Routed(t.Context())
	if err != nil || len(list) != 1 || len(list[0].Endpoints) != 1 || list[0].Endpoints[0].Requests != 3 || list[0].Endpoints[0].Address != "127.0.0.1:1" {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestMetricsAreText(t *testing.T) {
	t.Parallel()
	const text = "noon_connections 5\n"
	problem := error(nil)
	c := api.Controller{
		Metrics: func(context.Context) ([]byte, error) { return []byte(text), problem },
		Traffic: func(_ context.Context, over time.Duration) (noon.TrafficSeen, error) {
			return noon.TrafficSeen{Over: over}, nil
		},
	}
	whole, err := api.NewHandler(c)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(h http.Handler, path string) *httptest.ResponseRecorder {
		answer := httptest.NewRecorder()
		h.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		return answer
	}
	only := api.NewMetricsHandler(c)
	for path, h := range map[string]http.Handler{"/v1/metrics": whole, "/metrics": only} {
		if a := ask(h, path); a.Code != http.StatusOK || a.Body.String() != text || a.Header().Get("Content-Type") != api.MetricsType {
			t.Errorf("%s: %d %s %q", path, a.Code, a.Header().Get("Content-Type"), a.Body)
		}
	}
	for _, path := range []string{"/", "/v1/status", "/v1/config", "/v1/metrics"} {
		if a := ask(only, path); a.Code != http.StatusNotFound {
			t.Errorf("the address for Prometheus answers %s with %d", path, a.Code)
		}
	}
	if a := ask(whole, "/v1/traffic?over=soon"); a.Code != http.StatusBadRequest {
		t.Errorf("a span that is none: %d %s", a.Code, a.Body)
	}
	if a := ask(whole, "/v1/traffic"); a.Code != http.StatusOK {
		t.Errorf("no span: %d %s", a.Code, a.Body)
	}
	problem = &noon.Error{Kind: noon.Unavailable, Op: "call the proxy", Err: errors.New("nobody")}
	for path, h := range map[string]http.Handler{"/v1/metrics": whole, "/metrics": only} {
		if a := ask(h, path); a.Code != http.StatusServiceUnavailable {
			t.Errorf("%s without a proxy: %d %s", path, a.Code, a.Body)
		}
	}
}
