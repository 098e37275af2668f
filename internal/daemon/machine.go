package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/api"
	"github.com/noon-deploy/noon/internal/sockets"
)

// Health tells which parts run, in which version.
func (c *Controller) Health(ctx context.Context) (api.Health, error) {
	h := api.Health{
		Version: c.opts.Version, PID: os.Getpid(), Data: c.opts.Paths.Data, Ledger: c.opts.Paths.LedgerFile(),
		StartedAt: c.started, Parts: map[string]string{}, Identities: map[string]int{"controller": os.Getpid()},
	}
	if p, err := c.proxy.Health(ctx); err != nil {
		h.Parts["proxy"] = err.Error()
	} else {
		h.Parts["proxy"], h.Identities["proxy"], h.Addresses = p.Version, p.PID, p.Addresses
	}
	if st, err := sockets.Ask(ctx, c.opts.Paths.HolderSocket()); err != nil {
		h.Parts[partSockets] = err.Error()
	} else {
		h.Parts[partSockets], h.Identities[partSockets] = st.Version, st.PID
	}
	if _, version, err := c.host.Ping(ctx); err != nil {
		h.Parts["host"] = err.Error()
	} else {
		h.Parts["host"] = version
		if h.Identities["host"], err = peer(ctx, c.opts.Paths.HostSocket()); err != nil {
			return h, err
		}
	}
	return h, nil
}

// probeLimit is how long a new binary may take to tell its version.
const probeLimit = 10 * time.Second

// Upgrade makes every part go on with another binary. The proxy hands over its
// listening sockets; their holder becomes the other binary, the process and
// what it holds stay the same; the host part and the controller are replaced, which
// stops neither traffic nor instances. A deployment that is under way goes on
// in the new controller.
func (c *Controller) Upgrade(ctx context.Context, req api.UpgradeRequest) error {
	if err := runnable(ctx, req.Binary); err != nil {
		return &noon.Error{
			Kind: noon.Invalid, Op: "upgrade to", Subject: req.Binary, Err: err,
			Hint: "Nothing was changed. Name a noon binary for this machine with --binary.",
		}
	}
	next := c.opts
	next.Binary = req.Binary
	if err := c.proxy.Upgrade(ctx, next.proxyArgv()); err != nil {
		return err
	}
	if err := c.upgradeHolder(ctx, next); err != nil {
		return err
	}
	c.opts.Binary = req.Binary
	c.end(endUpgrade)
	return nil
}

func runnable(ctx context.Context, binary string) error {
	if !filepath.IsAbs(binary) {
		return errors.New("it is not an absolute path")
	}
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	out, err := exec.CommandContext(ctx, binary, "version").CombinedOutput()
	if err != nil {
		return fmt.Errorf("`%s version`: %w: %s", binary, err, strings.TrimSpace(string(out)))
	}
	if !strings.HasPrefix(string(out), "noon ") {
		return fmt.Errorf("`%s version` says %q", binary, strings.TrimSpace(string(out)))
	}
	return nil
}

// Down stops every instance and every part on this machine.
func (c *Controller) Down(ctx context.Context) error {
	if err := c.host.Clear(ctx, noon.Site{}); err != nil {
		return fmt.Errorf("stop the apps: %w", err)
	}
	sites, err := c.proxy.Sites(ctx)
	if err != nil {
		return err
	}
	for _, site := range sites {
		if err := c.proxy.Remove(ctx, site.Site, site.Fence); err != nil {
			return err
		}
	}
	c.leaveParts()
	defer c.end(endDown)
	// The holder first: it would start the proxy again.
	return errors.Join(c.stopParts(ctx, partSockets), c.stopParts(ctx, "host", "proxy"))
}

// stopLimit is how long a part may take to end when it is asked to.
const stopLimit = 15 * time.Second

// stopParts ends the named processes beside the controller.
func (c *Controller) stopParts(ctx context.Context, names ...string) error {
	ctx, cancel := context.WithTimeout(ctx, stopLimit)
	defer cancel()
	var problems []error
	for _, name := range names {
		pids, err := c.pids(ctx, name)
		if err != nil {
			continue // it does not run
		}
		for _, pid := range pids {
			problems = append(problems, stopProcess(ctx, pid))
		}
	}
	return errors.Join(problems...)
}

func (c *Controller) pids(ctx context.Context, name string) ([]int, error) {
	switch name {
	case "host":
		pid, err := peer(ctx, c.opts.Paths.HostSocket())
		return []int{pid}, err
	case partSockets:
		pid, err := peer(ctx, c.opts.Paths.HolderSocket())
		return []int{pid}, err
	}
	h, err := c.proxy.Health(ctx)
	return append(h.Predecessors, h.PID), err
}

// stopProcess asks a process to end and waits until it has.
func stopProcess(ctx context.Context, pid int) error {
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		if errors.Is(err, syscall.ESRCH) {
			return nil
		}
		return fmt.Errorf("stop process %d: %w", pid, err)
	}
	for alive(pid) {
		if ctx.Err() != nil {
			return fmt.Errorf("process %d does not end", pid)
		}
		sleep(ctx, 5*time.Millisecond)
	}
	return nil
}

// alive reports whether a process runs. One that is only waiting for its
// parent to notice its end does not.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z")
}
