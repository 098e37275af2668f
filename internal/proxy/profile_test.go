package proxy_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/noon-deploy/noon/internal/proxy"
)

func askProfile(ctx context.Context, t *testing.T, control, query string) (status int, body []byte) {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", control)
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://proxy/v1/debug/profile"+query, nil)
	if err != nil {
		t.Error(err)
		return 0, nil
	}
	res, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return 0, nil // the caller left
	}
	defer func() { _ = res.Body.Close() }()
	body, err = io.ReadAll(res.Body)
	if err != nil {
		t.Error(err)
	}
	return res.StatusCode, body
}

// Not parallel to others that profile: a process has one profile at a time.
func TestProfile(t *testing.T) {
	p := start(t, proxy.Limits{})
	for _, query := range []string{"?seconds=0", "?seconds=-1", "?seconds=301", "?seconds=long"} {
		if status, body := askProfile(t.Context(), t, p.control, query); status != http.StatusBadRequest && status != http.StatusUnprocessableEntity {
			t.Errorf("%s is answered %d: %s", query, status, body)
		}
	}
	status, body := askProfile(t.Context(), t, p.control, "?seconds=1")
	if gzip := []byte{0x1f, 0x8b}; status != http.StatusOK || !bytes.HasPrefix(body, gzip) {
		t.Fatalf("the profile is answered %d and begins %.20q", status, body)
	}
}

func TestOneProfileAtATime(t *testing.T) {
	p := start(t, proxy.Limits{})
	ctx, leave := context.WithCancel(t.Context())
	first := make(chan struct{})
	go func() {
		defer close(first)
		for status := http.StatusConflict; status == http.StatusConflict; {
			status, _ = askProfile(ctx, t, p.control, "?seconds=300")
		}
	}()
	// This one may be the first of the two to begin, but not often.
	for short := 0; ; short++ {
		if status, _ := askProfile(t.Context(), t, p.control, "?seconds=1"); status == http.StatusConflict {
			break
		}
		if short > 10 {
			t.Fatal("two profiles are made at a time")
		}
	}
	leave()
	<-first
	// The one who left does not stand in the way of the next for long.
	deadline := time.After(20 * time.Second)
	for status := 0; status != http.StatusOK; {
		select {
		case <-deadline:
			t.Fatal("no profile can be made any more")
		default:
			status, _ = askProfile(t.Context(), t, p.control, "?seconds=1")
		}
	}
}
