package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/api"
	"github.com/noon-deploy/noon/internal/tui"
)

func (f *face) logsCommand() *cobra.Command {
	q := api.LogQuery{Lines: 100}
	c := &cobra.Command{
		Use:   "logs",
		Short: "Show what instances and tasks have written",
		Args:  args(),
		RunE: func(c *cobra.Command, _ []string) error {
			if q.Lines < 0 {
				return usage(c.CommandPath(), fmt.Errorf("--lines is %d and must not be negative", q.Lines))
			}
			if q.Release != "" {
				if err := validRelease(q.Release); err != nil {
					return err
				}
			}
			site, err := f.site(c.Context())
			if err != nil {
				return err
			}
			q.Site = site
			return f.logs(c.Context(), q)
		},
	}
	c.Flags().BoolVarP(&q.Follow, "follow", "f", false, "go on with what is written from now on")
	c.Flags().IntVarP(&q.Lines, "lines", "n", q.Lines, "how many of the last lines")
	c.Flags().StringVar(&q.Service, "service", "", "only of this service")
	c.Flags().StringVar(&q.Release, "release", "", "only of this release")
	// The names are those of flags which were registered just now.
	_ = c.RegisterFlagCompletionFunc("release", f.completeReleases)
	_ = c.RegisterFlagCompletionFunc("service", f.completeServices)
	return c
}

// logs prints lines. When the controller goes away while they are followed it
// is waited for, and lines that were shown already are left out.
func (f *face) logs(ctx context.Context, q api.LogQuery) error {
	c, err := f.api()
	if err != nil {
		return err
	}
	terminal := tui.IsTerminal(f.Stdout)
	var last time.Time // of what has been shown
	connected := false
	see := func(l api.LogLine) error {
		connected = true
		if q.Lines == catchUp && !l.At.After(last) {
			return nil
		}
		if l.At.After(last) {
			last = l.At
		}
		if f.flags.json {
			return f.emitJSON(l)
		}
		return f.print(f.page().Log(l, terminal))
	}
	for {
		err := c.Logs(ctx, q, see)
		if q.Follow && ctx.Err() != nil {
			return coded{code: exitInterrupted, err: errQuiet}
		}
		if !q.Follow || !connected || noon.KindOf(err) != noon.Unavailable && err != nil {
			return err
		}
		connected, q.Lines = false, catchUp
		if err := f.await(ctx, c); err != nil {
			return err
		}
		connected = true
	}
}

// catchUp is how many lines are asked for again after the controller was away.
const catchUp = 1000

// await waits for a controller that has gone away.
func (f *face) await(ctx context.Context, c *api.Client) error {
	return retry(ctx, func() error {
		_, err := c.Health(ctx)
		if err != nil && errors.Is(err, context.Canceled) {
			return coded{code: exitInterrupted, err: errQuiet}
		}
		return err
	})
}
