package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/fault"
)

// How a part is watched. Looking is one connection to a unix socket.
const (
	lookEvery   = 50 * time.Millisecond
	startLimit  = 20 * time.Second
	maxPartLog  = 16 << 20
	restartSoon = 20 * time.Millisecond
	restartMost = 5 * time.Second
)

// part is one of the processes that outlive the controller.
type part struct {
	name   string
	socket string
	argv   []string
	faults string // environment variable whose value becomes the part's NOON_FAULT
	dir    string // for its log
	log    *slog.Logger
}

// answers reports whether somebody listens on the part's socket.
func (p part) answers(ctx context.Context) bool {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "unix", p.socket)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// keep has the part running until ctx ends, and reports how it is at each
// look. It is left running then: a part does not depend on the controller.
//
// The end of ctx neither makes a part seem absent nor leaves one behind that is
// only coming up: what follows, such as an upgrade, deals with what answers.
func (p part) keep(ctx context.Context, report func(part string, err error)) {
	pause, rest := restartSoon, context.WithoutCancel(ctx)
	for ctx.Err() == nil {
		if p.answers(rest) {
			pause = restartSoon
			report(p.name, nil)
			sleep(ctx, lookEvery)
			continue
		}
		if err := p.start(rest); err != nil && ctx.Err() == nil {
			p.log.Error("part can not be started", "part", p.name, "err", err)
			report(p.name, err)
			sleep(ctx, pause)
			pause = min(2*pause, restartMost)
		}
	}
}

// start starts the part in a session of its own, so that no signal meant for
// the controller reaches it, and waits until it answers.
func (p part) start(ctx context.Context) error {
	out, err := p.openLog()
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command(p.argv[0], p.argv[1:]...) //nolint:noctx // it outlives the controller on purpose
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = p.environ()
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	p.log.Info("part started", "part", p.name, "pid", cmd.Process.Pid)
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }() // ends with the process; the channel has room
	limit := time.NewTimer(startLimit)
	defer limit.Stop()
	for !p.answers(ctx) {
		select {
		case err := <-exited:
			return fmt.Errorf("%s ended at once (%s): %s", p.name, describe(err), p.lastLines())
		case <-limit.C:
			return fmt.Errorf("%s does not answer on %s after %s", p.name, p.socket, startLimit)
		case <-time.After(2 * time.Millisecond):
		}
	}
	return nil
}

func describe(err error) string {
	if err == nil {
		return "exit status 0"
	}
	return err.Error()
}

func (p part) logFile() string { return filepath.Join(p.dir, p.name+".log") }

func (p part) openLog() (*os.File, error) {
	if info, err := os.Stat(p.logFile()); err == nil && info.Size() > maxPartLog {
		if err := os.Rename(p.logFile(), p.logFile()+".1"); err != nil {
			return nil, fmt.Errorf("rotate log: %w", err)
		}
	}
	f, err := os.OpenFile(p.logFile(), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, &noon.Error{Kind: noon.Internal, Op: "open log of", Subject: p.name, Err: err, Hint: "See that the data directory can be written to and is not full."}
	}
	return f, nil
}

func (p part) lastLines() string {
	data, err := os.ReadFile(p.logFile())
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return strings.Join(lines[max(0, len(lines)-3):], " | ")
}

// environ gives a part its own crash points, not the controller's.
func (p part) environ() []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, fault.Env+"=") {
			env = append(env, v)
		}
	}
	if spec := os.Getenv(p.faults); spec != "" {
		env = append(env, fault.Env+"="+spec)
	}
	return env
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// parts lists the processes beside the controller, in the order in which they
// are needed.
func (o Options) parts() []part {
	common := []string{"--data", o.Paths.Data, "--run", o.Paths.RunDir()}
	proxyArgs := append([]string{o.Binary, "proxy"}, common...)
	for _, addr := range o.Listen {
		proxyArgs = append(proxyArgs, "--listen", addr)
	}
	proxyArgs = append(proxyArgs, o.Access.argv()...)
	return []part{
		{name: "proxy", socket: o.Paths.ProxySocket(), argv: proxyArgs, faults: fault.Env + "_PROXY", dir: o.Paths.LogDir(), log: o.Log},
		{name: "host", socket: o.Paths.HostSocket(), argv: append([]string{o.Binary, "host"}, common...), faults: fault.Env + "_HOST", dir: o.Paths.LogDir(), log: o.Log},
	}
}
