package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/api"
	"github.com/noon-deploy/noon/internal/tui"
)

func (f *face) planCommand() *cobra.Command {
	rollback := false
	c := &cobra.Command{
		Use:   "plan [RELEASE]",
		Short: "Show every state a deployment would pass through, before anything moves",
		Long: `plan shows what a deployment of a release (default: the newest) would do: its
states, what each changes, who meets whom in it and on what evidence, what is
waited for and checked, and what going back does not undo. Nothing is
changed.`,
		Args:              args("[RELEASE]"),
		ValidArgsFunction: f.completeReleases,
		RunE: func(c *cobra.Command, given []string) error {
			req, err := f.request(c.Context(), kindOf(rollback), given)
			if err != nil {
				return err
			}
			client, err := f.api()
			if err != nil {
				return err
			}
			preview, err := client.Plan(c.Context(), req)
			if err != nil {
				return err
			}
			return f.emit(preview, func(p tui.Page) string { return p.Plan(preview) })
		},
	}
	c.Flags().BoolVar(&rollback, "rollback", false, "plan a rollback (default: to the previous good release)")
	return c
}

func kindOf(rollback bool) noon.PlanKind {
	if rollback {
		return noon.PlanRollback
	}
	return noon.PlanDeploy
}

// request names a deployment of the release that is given, if one is.
func (f *face) request(ctx context.Context, kind noon.PlanKind, given []string) (api.DeployRequest, error) {
	req := api.DeployRequest{Kind: kind}
	if len(given) > 0 {
		if err := validRelease(given[0]); err != nil {
			return req, err
		}
		req.Release = given[0]
	}
	site, err := f.site(ctx)
	req.Site = site
	return req, err
}

func validRelease(name string) error {
	if _, err := noon.ParseReleaseName(name); err != nil {
		return &noon.Error{Kind: noon.Invalid, Op: "read", Subject: "RELEASE", Err: err, Hint: "`noon releases` lists them."}
	}
	return nil
}
