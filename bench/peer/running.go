//go:build linux

package peer

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/noon-deploy/noon/bench/load"
	"github.com/noon-deploy/noon/bench/meter"
)

// How long a peer may take.
const (
	startLimit = 30 * time.Second
	siteLimit  = 200 * time.Millisecond // more, for each site that noon is given
	stopLimit  = 3 * time.Second
)

// Running is a peer that serves.
type Running struct {
	Setup Setup
	PIDs  []int
	Took  time.Duration // until it answered
	cmd   *exec.Cmd
	ended chan struct{} // closed once it has ended; then exit is set
	exit  error
	log   string
}

// ErrAbsent is why a peer is left out of a case.
var ErrAbsent = errors.New("left out")

// Start starts a peer and waits until it answers. The thread that calls must
// live on: the peer ends with it, so that none is left behind.
func (k Kind) Start(ctx context.Context, s Setup, trust *tls.Config) (*Running, error) {
	cmd, err := k.command(s)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAbsent, err)
	}
	began := time.Now()
	r := &Running{Setup: s, cmd: cmd, ended: make(chan struct{}), log: filepath.Join(s.Dir, "stderr.log")}
	out, err := os.Create(r.log)
	if err != nil {
		return nil, fmt.Errorf("make the log of %s: %w", k.Name, err)
	}
	cmd.Stderr = out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	err = cmd.Start()
	if err = errors.Join(err, out.Close()); err != nil {
		return nil, fmt.Errorf("start %s: %w", k.Name, err)
	}
	go func() { // ends with the process, which Stop waits for
		r.exit = cmd.Wait()
		close(r.ended)
	}()
	if err := r.await(ctx, k, trust); err != nil {
		r.Stop()
		return nil, fmt.Errorf("start %s: %w: %s", k.Name, err, r.lastWords())
	}
	r.Took = time.Since(began)
	return r, nil
}

// await waits until the peer is configured and gives the right answer.
func (r *Running) await(ctx context.Context, k Kind, trust *tls.Config) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit+time.Duration(r.Setup.Sites())*siteLimit)
	defer cancel()
	configured := k.configure == nil
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		var err error
		if !configured {
			err = k.configure(ctx, r.Setup)
			configured = err == nil
		}
		if configured {
			if err = load.Probe(ctx, r.Setup.Address, r.Setup.Host, secured(r.Setup, trust)); err == nil {
				r.PIDs, err = meter.Family(r.cmd.Process.Pid)
				return err
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("it does not answer: %w", err)
		case <-r.ended:
			return fmt.Errorf("it ended at once: %w", errors.Join(r.exit, err))
		case <-tick.C:
		}
	}
}

func secured(s Setup, trust *tls.Config) *tls.Config {
	if s.Secure {
		return trust
	}
	return nil
}

func (r *Running) lastWords() string {
	data, err := os.ReadFile(r.log)
	if err != nil {
		return err.Error()
	}
	return string(bytes.TrimSpace(data[max(0, len(data)-600):]))
}

// Stop ends the peer: asked first, then made to.
func (r *Running) Stop() {
	family, err := meter.Family(r.cmd.Process.Pid)
	if err != nil {
		family = nil // it has ended
	}
	_ = r.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-r.ended:
	case <-time.After(stopLimit):
		_ = r.cmd.Process.Kill() // it may have ended
		<-r.ended
	}
	for _, pid := range slices.Backward(family) {
		if pid != r.cmd.Process.Pid && unix.Kill(pid, 0) == nil {
			_ = unix.Kill(pid, unix.SIGKILL) // it may have ended just now
		}
	}
}
