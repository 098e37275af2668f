package cli

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/api"
	"github.com/noon-deploy/noon/internal/tui"
)

// proxyCommand looks at the proxy. With flags it is the proxy: that is how the
// controller starts it.
func (f *face) proxyCommand() *cobra.Command {
	c := f.partCommand("proxy", "Look at the proxy: what it routes where, and its access log", f.parts.Proxy)
	c.Hidden = false
	for _, name := range []string{"data", "run", "listen", "access-log", "access-rule", "access-query", "access-addresses", "log-format", "log-level"} {
		_ = c.Flags().MarkHidden(name) // a name that serveFlags has added
	}
	run := c.RunE
	c.Args = cobra.ArbitraryArgs
	c.RunE = func(c *cobra.Command, args []string) error {
		switch {
		case len(args) > 0:
			return unknownCommand(c, args[0])
		case c.Flags().NFlag() == 0:
			return c.Help()
		}
		return run(c, args)
	}
	c.AddCommand(f.proxyShowCommand(), f.proxyLogCommand())
	return c
}

func (f *face) proxyShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show",
		Short: "Tell what the proxy routes where, and why",
		Long: `show tells, for every environment of the app or the one named with -e, and
outside of an app's directory for all, what the proxy has: domains, paths,
releases with their shares, instances with what they have in flight, previews
(their tokens are not told), who said so and since when, and why requests may
not be answered.`,
		Args: args(),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := f.api()
			if err != nil {
				return err
			}
			chosen, err := f.chosen()
			if err != nil {
				return err
			}
			routed, err := client.Routed(c.Context())
			if err != nil {
				return err
			}
			routed = slices.DeleteFunc(routed, func(r noon.Routed) bool { return !chosen(r.Site) })
			return f.emit(list(routed), func(p tui.Page) string { return p.Routed(routed) })
		},
	}
}

func (f *face) proxyLogCommand() *cobra.Command {
	q := api.AccessQuery{Lines: 100}
	c := &cobra.Command{
		Use:   "log",
		Short: "Show the access log",
		Long: `log shows the requests that the proxy has written down: of the app or the
environment named with -e, outside of an app's directory all. The proxy writes
them if "noon serve" was started with --access-log. Values of queries are not
written, cookies never.`,
		Args: args(),
		RunE: func(c *cobra.Command, _ []string) error {
			if q.Lines < 0 {
				return usage(c.CommandPath(), fmt.Errorf("--lines is %d and must not be negative", q.Lines))
			}
			client, err := f.api()
			if err != nil {
				return err
			}
			if q.App, err = f.appName(); err != nil {
				return err
			}
			if q.Environment, err = f.envName(); err != nil {
				return err
			}
			err = client.Access(c.Context(), q, func(l api.AccessLine) error {
				if f.flags.json {
					return f.emitJSON(l)
				}
				return f.print(f.page().Access(l))
			})
			if q.Follow && c.Context().Err() != nil {
				return coded{code: exitInterrupted, err: errQuiet}
			}
			return err
		},
	}
	c.Flags().BoolVarP(&q.Follow, "follow", "f", false, "go on with what is written from now on")
	c.Flags().IntVarP(&q.Lines, "lines", "n", q.Lines, "how many of the last lines")
	c.Flags().BoolVar(&q.Errors, "errors", false, "only what failed or was answered 5xx")
	return c
}

// chosen reports what --app, --env and the directory leave of all sites.
func (f *face) chosen() (func(noon.Site) bool, error) {
	app, err := f.appName()
	if err != nil {
		return nil, err
	}
	env, err := f.envName()
	if err != nil {
		return nil, err
	}
	return func(s noon.Site) bool {
		return (app == "" || s.App == app) && (env == "" || s.Environment == env)
	}, nil
}

func (f *face) topCommand() *cobra.Command {
	var watch bool
	over := api.DefaultSpan
	c := &cobra.Command{
		Use:   "top",
		Short: "Watch the traffic: requests, latency and errors of each release",
		Long: `top shows what the proxy answers, for each path and release: requests a second,
errors, latency, bytes, sessions; and what is in flight. On a terminal it goes
on until it is interrupted, otherwise it looks once. Nothing is measured for
it that is not measured anyway.`,
		Args: args(),
		RunE: func(c *cobra.Command, _ []string) error {
			once := !watch && (f.flags.json || f.flags.quiet || !tui.IsTerminal(f.Stdout) || f.Getenv("TERM") == "dumb")
			return f.top(c.Context(), over, once)
		},
	}
	c.Flags().DurationVar(&over, "over", over, "the span that is looked at, 100ms to 10s")
	c.Flags().BoolVarP(&watch, "watch", "w", false, "go on, also where it is no terminal")
	return c
}

func (f *face) top(ctx context.Context, over time.Duration, once bool) error {
	client, err := f.api()
	if err != nil {
		return err
	}
	chosen, err := f.chosen()
	if err != nil {
		return err
	}
	look := func() (noon.TrafficSeen, error) {
		t, err := client.Traffic(ctx, over)
		if err != nil {
			return t, err
		}
		t.Routes = list(slices.DeleteFunc(t.Routes, func(r noon.RouteTraffic) bool { return !chosen(r.Site) }))
		t.Services = list(slices.DeleteFunc(t.Services, func(s noon.ServiceTraffic) bool { return !chosen(s.Site) }))
		return t, nil
	}
	if once {
		t, err := look()
		if err != nil {
			return err
		}
		return f.emit(t, func(p tui.Page) string { return p.Traffic(t) })
	}
	show, end := f.screen()
	defer end()
	t, err := look()
	for err == nil {
		if err = show(t); err != nil {
			break
		}
		err = retry(ctx, func() (err error) { // it goes on when the controller is back
			t, err = look()
			return err
		})
	}
	if ctx.Err() != nil {
		return coded{code: exitInterrupted, err: errQuiet}
	}
	return err
}

// screen shows traffic again and again: in place on a terminal, one after the
// other elsewhere.
func (f *face) screen() (show func(noon.TrafficSeen) error, end func()) {
	if f.flags.json || !tui.IsTerminal(f.Stdout) || f.Getenv("TERM") == "dumb" {
		return func(t noon.TrafficSeen) error {
			return f.emit(t, func(p tui.Page) string { return p.Traffic(t) + "\n" })
		}, func() {}
	}
	s := tui.NewScreen(f.Stdout, func() (int, int) { return tui.Size(f.Stdout) })
	return func(t noon.TrafficSeen) error { s.Draw(f.page().Traffic(t)); return nil }, s.Close
}
