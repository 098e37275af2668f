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

func (f *face) holdCommand() *cobra.Command {
	req := api.HaltRequest{Action: api.HoldSite}
	c := &cobra.Command{
		Use:   "hold",
		Short: "Let new requests wait, without an error, for a short time",
		Long: `hold lets new requests of an environment wait at the proxy while something is
cut over by hand. Those under way go on. It ends by itself after its time, even
if every other part of noon is gone by then; noon resume ends it earlier. Then
the requests that waited go on, in the order in which they came.`,
		Example: "  noon hold --for 5s -e production --reason \"swap the disk\"",
		Args:    args(),
		RunE: func(c *cobra.Command, _ []string) error {
			return f.halt(c.Context(), req, func(h noon.Halt) string {
				if h.Hold == nil {
					return "held, and over already"
				}
				return "held until " + h.Hold.Until.Local().Format("15:04:05") + "; then requests go on by themselves"
			})
		},
	}
	c.Flags().DurationVar(&req.For, "for", 10*time.Second, "how long, at most "+noon.LongestHold.String())
	c.Flags().IntVar(&req.Most, "most", noon.HoldMost, "how many requests may wait; more are answered with 503")
	c.Flags().StringVar(&req.Reason, "reason", "", "why, for the journal")
	return c
}

func (f *face) resumeCommand() *cobra.Command {
	req := api.HaltRequest{Action: api.ResumeSite}
	c := &cobra.Command{
		Use: "resume", Short: "Let requests that wait go on", Args: args(),
		Long: "resume ends a hold before its time.",
		RunE: func(c *cobra.Command, _ []string) error {
			return f.halt(c.Context(), req, func(noon.Halt) string { return "resumed" })
		},
	}
	c.Flags().StringVar(&req.Reason, "reason", "", "why, for the journal")
	return c
}

func (f *face) closeCommand() *cobra.Command {
	req := api.HaltRequest{Action: api.CloseSite}
	c := &cobra.Command{
		Use:   "close",
		Short: "Show everybody a page instead of the application",
		Long: `close answers every new request of an environment with status 503 and a page
until noon open. noon itself never does this: a deployment needs no maintenance
page. It holds over restarts and deployments; previews go on working, so that
what is deployed meanwhile can be looked at.`,
		Example: "  noon close -e production --text \"We are back at noon.\" --yes",
		Args:    args(),
		RunE: func(c *cobra.Command, _ []string) error {
			site, err := f.site(c.Context())
			if err != nil {
				return err
			}
			if err := f.consent(c.Context(), fmt.Sprintf("Close %s to all users?", site)); err != nil {
				return err
			}
			return f.halt(c.Context(), req, func(noon.Halt) string { return "closed; `noon open` lets users in again" })
		},
	}
	c.Flags().StringVar(&req.Text, "text", "", "what users are told")
	c.Flags().StringVar(&req.Reason, "reason", "", "why, for the journal")
	return c
}

func (f *face) openCommand() *cobra.Command {
	req := api.HaltRequest{Action: api.OpenSite}
	c := &cobra.Command{
		Use: "open", Short: "Let users in again after noon close", Args: args(),
		RunE: func(c *cobra.Command, _ []string) error {
			return f.halt(c.Context(), req, func(noon.Halt) string { return "open" })
		},
	}
	c.Flags().StringVar(&req.Reason, "reason", "", "why, for the journal")
	return c
}

// halt asks for it and says what has become of it.
func (f *face) halt(ctx context.Context, req api.HaltRequest, text func(noon.Halt) string) error {
	site, err := f.site(ctx)
	if err != nil {
		return err
	}
	if req.Action == api.HoldSite && req.For <= 0 {
		return usage("noon hold", errors.New("--for has to be longer than nothing"))
	}
	c, err := f.api()
	if err != nil {
		return err
	}
	req.Site, req.By = site, f.user()
	halt, err := c.Halt(ctx, req)
	if err != nil {
		return err
	}
	return f.emit(halt, func(tui.Page) string { return site.String() + " is " + text(halt) + "\n" })
}
