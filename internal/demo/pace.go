package demo

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"time"
)

// Pacing: how many customers a machine takes with ease.
const (
	paceSamples    = 40
	requestsEach   = 6    // requests of a journey, about
	easyShare      = 0.12 // of the time of all processors that requests may take, as seen by one who waits
	slowest        = 2.0  // journeys a second
	fastest        = 30.0
	paceAnswerMost = 30 * time.Second
)

// pace measures how long the shop takes for a page and gives the journeys a
// second that leave most of the machine idle: a saturated machine shows how
// long its queues are, not what a deployment does.
func pace(ctx context.Context, address string) (float64, error) {
	client := &http.Client{Timeout: paceAnswerMost, Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	took := make([]time.Duration, paceSamples)
	for i := range took {
		start := time.Now()
		if err := visit(ctx, client, "http://"+address+"/"); err != nil {
			return 0, err
		}
		took[i] = time.Since(start)
	}
	return rateFor(took, min(runtime.GOMAXPROCS(0), runtime.NumCPU())), nil
}

func visit(ctx context.Context, client *http.Client, url string) error {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("visit the shop: %w", err)
	}
	a, err := client.Do(q)
	if err != nil {
		return fmt.Errorf("visit the shop: %w", err)
	}
	defer a.Body.Close()
	if _, err := io.Copy(io.Discard, a.Body); err != nil {
		return fmt.Errorf("visit the shop: %w", err)
	}
	if a.StatusCode != http.StatusOK {
		return fmt.Errorf("visit the shop: it answered %s", a.Status)
	}
	return nil
}

// rateFor takes the upper quartile: a machine that others use too is as slow
// as it often is.
func rateFor(took []time.Duration, processors int) float64 {
	slices.Sort(took)
	typical := took[len(took)*3/4].Seconds()
	rate := easyShare * float64(processors) / max(typical, 1e-6) / requestsEach
	return min(max(rate, slowest), fastest)
}

// token is a secret for the shop.
func token() string { return rand.Text() }
