package daemon

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/api"
	"github.com/noon-deploy/noon/internal/fault"
	"github.com/noon-deploy/noon/internal/sockets"
)

// partSockets is the part that holds the listening sockets of the proxy and
// has the proxy running.
const partSockets = "sockets"

// holderPart is the part that holds the proxy's sockets.
func (o Options) holderPart() part {
	args := sockets.Config{
		Socket: o.Paths.HolderSocket(), Lock: filepath.Join(o.Paths.ProxyDir(), "sockets.lock"), Worker: o.Paths.ProxySocket(),
		Output: filepath.Join(o.Paths.LogDir(), "proxy.log"), Listen: o.Listen, Argv: o.proxyArgv(),
	}.Args()
	return part{
		name: partSockets, socket: o.Paths.HolderSocket(), argv: append([]string{o.Binary, partSockets}, args...),
		faults: fault.Env + "_SOCKETS", dir: o.Paths.LogDir(), log: o.Log,
		up: func(ctx context.Context) bool {
			_, err := sockets.Ask(ctx, o.Paths.HolderSocket())
			return err == nil
		},
	}
}

// proxyArgv is how the proxy is started.
func (o Options) proxyArgv() []string {
	argv := append([]string{o.Binary, "proxy"}, o.common()...)
	for _, addr := range o.Listen {
		argv = append(argv, "--listen", addr)
	}
	argv = append(argv, o.Access.argv()...)
	return argv
}

// keepHolder has a holder running until ctx ends, and reports how it and the
// proxy are, as soon as that changes. Both are left running then. It waits for
// the holder's word and for its end; it does not look again and again.
func (p part) keepHolder(ctx context.Context, report func(part string, err error)) {
	pause, rest, held := restartSoon, context.WithoutCancel(ctx), false
	for ctx.Err() == nil {
		why := sockets.Watch(ctx, p.socket, func(st sockets.Status) {
			if len(st.Listen) > 0 {
				pause, held = restartSoon, true
				report(p.name, nil)
			}
			report("proxy", proxyProblem(st))
		})
		if ctx.Err() != nil {
			return
		}
		if p.answers(rest) {
			sleep(ctx, restartSoon/10) // it has become another program
			continue
		}
		if held {
			report(p.name, errors.New("it has ended and is being started"))
			p.log.Warn("nobody holds the proxy's sockets", "err", why)
			held = false
		}
		if err := p.start(rest); err != nil && ctx.Err() == nil {
			p.log.Error("part can not be started", "part", p.name, "err", err)
			report(p.name, err)
			sleep(ctx, pause)
			pause = min(2*pause, restartMost)
		}
		p.disarmed = true
	}
}

// proxyProblem is why no proxy serves, nil if one does.
func proxyProblem(st sockets.Status) error {
	switch {
	case st.Worker != 0:
		return nil
	case st.Problem != "":
		return errors.New(st.Problem)
	}
	return errStarting
}

// holderUpgradeLimit bounds the wait for a holder that is only coming up.
const holderUpgradeLimit = 10 * time.Second

// upgradeHolder has the holder become the other binary. It may be asked again:
// one that has died meanwhile is started by keepHolder.
func (c *Controller) upgradeHolder(ctx context.Context, next Options) error {
	ctx, cancel := context.WithTimeout(ctx, holderUpgradeLimit)
	defer cancel()
	for {
		_, err := sockets.Become(ctx, next.Paths.HolderSocket(), next.holderPart().argv)
		if err == nil {
			return nil
		}
		if noon.KindOf(err) != noon.Unavailable || ctx.Err() != nil {
			return &noon.Error{
				Kind: noon.KindOf(err), Op: "upgrade the holder of the sockets to", Subject: next.Binary, Err: err,
				Hint: "The proxy goes on as the new binary, everything else as before; nothing was lost. Upgrade again, or go back with --binary.",
			}
		}
		sleep(ctx, lookEvery)
	}
}

// holderFinding tells of the holder, and of what it has seen of the proxy.
func (c *Controller) holderFinding(ctx context.Context) api.Finding {
	f := api.Finding{Subject: partSockets + " part"}
	st, err := sockets.Ask(ctx, c.opts.Paths.HolderSocket())
	if why := c.partDown(partSockets); why != nil {
		err = why // it tells more than that nobody answers
	}
	switch {
	case err != nil:
		f.Detail = err.Error()
		f.Hint = "A proxy that runs serves on without it, but is not started again should it die. This part is started again until it answers: mend what it says. Its log is in " + c.opts.Paths.LogDir() + "."
		return f
	case st.Version != c.opts.Version:
		f.Hint = "`noon upgrade` brings every part to one version; the log is in " + c.opts.Paths.LogDir() + "."
	default:
		f.OK = true
	}
	f.Detail = fmt.Sprintf("%s; holds %s", st.Version, strings.Join(st.Addresses, ", "))
	if n := len(st.Ends); n > 0 {
		f.Detail += fmt.Sprintf("; has started the proxy again %d times, %s", st.Restarts, describeEnd(st.Ends[n-1]))
	}
	return f
}

func describeEnd(e sockets.End) string {
	text := fmt.Sprintf("last at %s: process %d, %s", e.At.Format(time.RFC3339), e.PID, e.How)
	if e.Gap > 0 {
		text += fmt.Sprintf(", the next one served after %s", e.Gap.Round(time.Millisecond))
	}
	return text
}
