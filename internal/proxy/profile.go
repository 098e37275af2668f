package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/pprof"
	"strconv"
	"time"

	"github.com/noon-deploy/noon"
)

// How long a CPU profile may take, in seconds.
const (
	profileUsual = 10
	profileMost  = 300
)

// handleProfile answers GET /v1/debug/profile?seconds=N with a CPU profile of
// this process over that time, as go tool pprof reads it. While nobody asks it
// costs nothing. A proxy that has a successor is profiled over its own socket.
func (p *Proxy) handleProfile(w http.ResponseWriter, r *http.Request) {
	seconds, err := profileSeconds(r.URL.Query().Get("seconds"))
	var profile []byte
	if err == nil {
		profile, err = profileCPU(r.Context(), time.Duration(seconds)*time.Second)
	}
	if err != nil {
		writeAnswer(w, nil, err)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(profile) // a caller that left needs no answer
}

func profileSeconds(asked string) (int, error) {
	if asked == "" {
		return profileUsual, nil
	}
	n, err := strconv.Atoi(asked)
	if err == nil && (n < 1 || n > profileMost) {
		err = fmt.Errorf("%d is not from 1 to %d", n, profileMost)
	}
	if err != nil {
		return 0, &noon.Error{Kind: noon.Invalid, Op: "read", Subject: "seconds", Err: err, Hint: fmt.Sprintf("Give a whole number of seconds, %d at most.", profileMost)}
	}
	return n, nil
}

// profileCPU samples what the process does. A process has one CPU profile at a
// time.
func profileCPU(ctx context.Context, d time.Duration) ([]byte, error) {
	var profile bytes.Buffer
	if err := pprof.StartCPUProfile(&profile); err != nil {
		return nil, &noon.Error{Kind: noon.Conflict, Op: "profile the proxy", Err: err, Hint: "Wait until the profile that is being made has ended."}
	}
	limit := time.NewTimer(d)
	defer limit.Stop()
	select {
	case <-limit.C:
	case <-ctx.Done():
	}
	pprof.StopCPUProfile()
	if ctx.Err() != nil {
		return nil, &noon.Error{Kind: noon.Unavailable, Op: "profile the proxy", Err: errors.New("the caller left, or the proxy ends"), Hint: "Ask again."}
	}
	return profile.Bytes(), nil
}
