//go:build linux

package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/noon-deploy/noon/bench/load"
	"github.com/noon-deploy/noon/bench/peer"
)

// run is one call of the benchmark.
type run struct {
	options
	dir     string // for everything that is written
	origins []string
	origin  int // process
	pair    pair
	made    int // directories
}

// series is what all rounds show of one peer in one case.
type series struct {
	name    string
	samples []sample // one a round
	absent  string   // why there are none
}

// outcome is what one case shows.
type outcome struct {
	testCase
	peers []*series
}

// entrant is a peer that takes part in a case.
type entrant struct {
	kind    peer.Kind
	name    string
	variant variant
	bare    bool // the origin itself
}

func benchmark(ctx context.Context, o options) error {
	dir, err := os.MkdirTemp("", "noon-bench-")
	if err != nil {
		return fmt.Errorf("make a directory: %w", err)
	}
	r := &run{options: o, dir: dir}
	defer func() { _ = os.RemoveAll(dir) }() // left to whoever cleans the machine
	for _, p := range []*string{&r.bin, &r.noon, &r.profile} {
		if *p != "" {
			if *p, err = filepath.Abs(*p); err != nil {
				return err
			}
		}
	}
	if r.pair, err = makePair(dir); err != nil {
		return err
	}
	stop, err := r.startOrigin()
	if err != nil {
		return err
	}
	defer stop()
	return r.all(ctx)
}

func (r *run) all(ctx context.Context) error {
	out := newReport(os.Stdout, r.options)
	if err := out.begin(); err != nil {
		return err
	}
	for _, c := range cases() {
		if !chosen(r.cases, c.id) {
			continue
		}
		fmt.Fprintf(os.Stderr, "%s: %s", c.id, c.title)
		result, err := r.measure(ctx, c)
		fmt.Fprintln(os.Stderr)
		if err != nil {
			return err
		}
		if err := out.add(result); err != nil {
			return err
		}
	}
	return out.end()
}

// startOrigin starts the back end in a process of its own, so that it and the
// client are not counted with each other.
func (r *run) startOrigin() (stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	cmd := exec.Command(self, "origin") //nolint:noctx // it ends with its input
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setsid: true}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the origin: %w", err)
	}
	stop = func() {
		_ = in.Close() // this is what ends it
		_ = cmd.Wait()
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		stop()
		return nil, fmt.Errorf("start the origin: %w", err)
	}
	r.origins, r.origin = strings.Fields(line), cmd.Process.Pid
	return stop, nil
}

// entrants lists who takes part in a case.
func (r *run) entrants(c testCase) []entrant {
	var all []entrant
	for _, k := range peer.Kinds() {
		switch {
		case len(c.variants) > 0 && k.Name == noonOne:
			for _, v := range c.variants {
				all = append(all, entrant{kind: k, name: v.name, variant: v})
			}
		case len(c.variants) == 0 && chosen(r.peers, k.Name):
			all = append(all, entrant{kind: k, name: k.Name})
		}
	}
	if len(c.variants) == 0 && !c.secure && c.held == nil && chosen(r.peers, direct) {
		all = append(all, entrant{name: direct, bare: true})
	}
	return all
}

// measure runs the rounds of one case: in each all peers, one after the other,
// so that what else the machine does meets all of them.
func (r *run) measure(ctx context.Context, c testCase) (outcome, error) {
	out := outcome{testCase: c}
	entrants := r.entrants(c)
	targets := make([]*target, len(entrants))
	defer func() {
		for _, t := range targets {
			t.stop()
		}
	}()
	for _, e := range entrants {
		out.peers = append(out.peers, &series{name: e.name})
	}
	for round := range r.rounds {
		for i := range entrants {
			i = (i + round) % len(entrants) // nobody is always first
			if err := ctx.Err(); err != nil {
				return out, errors.New("interrupted")
			}
			r.round(ctx, c, entrants[i], &targets[i], out.peers[i])
		}
	}
	r.profileNoon(ctx, c, entrants, targets)
	addP99(out.peers)
	return out, nil
}

// round measures one peer once. A peer that is absent or breaks is left out of
// the rest of the case, with the reason.
func (r *run) round(ctx context.Context, c testCase, e entrant, t **target, s *series) {
	if s.absent != "" {
		return
	}
	fmt.Fprint(os.Stderr, ".")
	if *t == nil {
		started, err := r.start(ctx, c, e)
		if err != nil {
			s.absent = reason(err)
			return
		}
		*t = started
	}
	var got sample
	var err error
	if c.held != nil {
		// Memory that an earlier round made it take would hide the next one's.
		got, err = held(ctx, c, **t, r.held)
		(*t).stop()
		*t = nil
	} else {
		got, err = served(ctx, c, **t, r.plan(c))
	}
	switch {
	case ctx.Err() != nil:
	case err != nil:
		s.absent = reason(err)
	default:
		s.samples = append(s.samples, got)
	}
}

// reason is an error in one line.
func reason(err error) string {
	text := strings.TrimPrefix(err.Error(), peer.ErrAbsent.Error()+": ")
	return strings.Join(strings.Fields(text[:min(len(text), 400)]), " ")
}

func (r *run) plan(c testCase) load.Plan {
	p := c.plan(r.options)
	p.Warm, p.Window = warmFor, seconds(r.seconds)
	if c.secure {
		p.TLS = r.pair.trust()
	}
	return p
}

func (r *run) start(ctx context.Context, c testCase, e entrant) (*target, error) {
	if e.bare {
		return &target{name: e.name, address: r.origins[0], pids: []int{r.origin}}, nil
	}
	address, err := peer.FreeAddress()
	if err != nil {
		return nil, err
	}
	r.made++
	dir := filepath.Join(r.dir, fmt.Sprint(r.made))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	var trust *tls.Config
	if c.secure {
		trust = r.pair.trust()
	}
	running, err := e.kind.Start(ctx, peer.Setup{
		Dir: dir, Address: address, Host: hostName, Origins: r.origins, Secure: c.secure,
		Cert: r.pair.cert, Key: r.pair.key, Both: r.pair.both, Threads: r.threads, Bin: r.bin, Noon: r.noon,
		Routes: e.variant.routes, Isolated: r.isolated,
	}, trust)
	if err != nil {
		return nil, err
	}
	return &target{name: e.name, address: address, pids: running.PIDs, running: running, variant: e.variant}, nil
}

func (t *target) stop() {
	if t != nil && t.running != nil {
		t.running.Stop()
	}
}

// profileNoon runs one more round of noon, which is not counted, with a profile.
func (r *run) profileNoon(ctx context.Context, c testCase, entrants []entrant, targets []*target) {
	if r.profile == "" || c.held != nil {
		return
	}
	for i, e := range entrants {
		if e.name != c.subject() || targets[i] == nil {
			continue
		}
		file := filepath.Join(r.profile, c.id+".pprof")
		ended := make(chan error, 1)
		plan := r.plan(c)
		go func() {
			ended <- peer.NewControl(targets[i].running.Setup).Profile(ctx, plan.Window, file)
		}()
		_, err := served(ctx, c, *targets[i], plan)
		if err = errors.Join(err, <-ended); err != nil {
			fmt.Fprintf(os.Stderr, "\nno profile: %v", err)
			continue
		}
		fmt.Fprintf(os.Stderr, "\nprofile: go tool pprof -top %s", file)
	}
}
