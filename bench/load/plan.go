//go:build linux

package load

import (
	"crypto/tls"
	"fmt"
	"slices"
	"time"
)

// Plan is what one round of a case does.
type Plan struct {
	Address     string   // IPv4 host:port
	Requests    [][]byte // sent in turn, whole
	Body        int      // length of the body of every answer
	Connections int      // kept alive and used at once, or used at once when Fresh
	Fresh       bool     // a new connection for every request
	Rate        float64  // requests per second whatever the answers do; 0: the next when one is answered
	TLS         *tls.Config
	Streams     int // HTTP/2 streams at once on every connection
	Path, Host  string
	Warm        time.Duration // before anything is counted
	Window      time.Duration // what is counted
	Mark        func() error  // called as the window begins and as it ends
}

// Result is what was seen in the window.
type Result struct {
	Elapsed   time.Duration
	Latencies []time.Duration // of the answers that were right
	Errors    int
	Example   error // one of the errors
}

func (r *Result) fail(err error) {
	r.Errors++
	if r.Example == nil {
		r.Example = err
	}
}

// Requests is how many were answered.
func (r *Result) Requests() int { return len(r.Latencies) }

// Percentile gives the latency that the given share of answers did not exceed.
func (r *Result) Percentile(share float64) time.Duration {
	if len(r.Latencies) == 0 {
		return 0
	}
	slices.Sort(r.Latencies)
	return r.Latencies[min(len(r.Latencies)-1, int(share*float64(len(r.Latencies))))]
}

// window calls Mark at both ends of what is counted and keeps the result of it.
type window struct {
	plan     *Plan
	result   Result
	began    time.Time
	counting bool
}

// count begins the window; what was seen before it is forgotten.
func (w *window) count() error {
	errors, example := w.result.Errors, w.result.Example
	w.result = Result{Latencies: make([]time.Duration, 0, 1<<18)}
	if errors > 0 {
		return fmt.Errorf("%d requests failed before anything was counted, such as: %w", errors, example)
	}
	w.counting = true
	err := w.plan.Mark()
	w.began = time.Now()
	return err
}

// close ends the window.
func (w *window) close() (Result, error) {
	w.result.Elapsed = time.Since(w.began)
	w.counting = false
	return w.result, w.plan.Mark()
}

// answered counts an answer. In an open loop one that was due before the window
// is none of it; in a closed one as many are under way at its end as were at
// its beginning.
func (w *window) answered(started, now time.Time) {
	if w.counting && (w.plan.Rate == 0 || !started.Before(w.began)) {
		w.result.Latencies = append(w.result.Latencies, now.Sub(started))
	}
}
