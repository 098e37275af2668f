package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/api"
)

func (f *face) promoteCommand() *cobra.Command {
	var flags deployFlags
	from, to := "", ""
	c := &cobra.Command{
		Use:   "promote [RELEASE]",
		Short: "Deploy to the next environment what has passed the one before",
		Long: `promote deploys a release, bit for bit the same, to another environment: the one
that is named, or the one that is live in --from. What has not passed the
environment before is refused.`,
		Example:           "  noon promote --from staging --to production\n  noon promote r42 --to production",
		Args:              args("[RELEASE]"),
		ValidArgsFunction: f.completeReleases,
		RunE: func(c *cobra.Command, given []string) error {
			if to != "" {
				f.flags.env = to
			}
			if len(given) == 0 && from == "" {
				return usage(c.CommandPath(), errors.New("neither RELEASE nor --from is given"))
			}
			req, err := f.request(c.Context(), noon.PlanDeploy, given)
			if err != nil {
				return err
			}
			if from != "" {
				if req.Release, err = f.liveIn(c.Context(), req, from); err != nil {
					return err
				}
			}
			return f.deploy(c.Context(), req, flags)
		},
	}
	flags.add(c)
	c.Flags().StringVar(&from, "from", "", "environment whose live release is taken")
	c.Flags().StringVar(&to, "to", "", "environment to deploy to (default: that of -e)")
	// The names are those of flags which were registered just now.
	_ = c.RegisterFlagCompletionFunc("from", f.completeEnvironments)
	_ = c.RegisterFlagCompletionFunc("to", f.completeEnvironments)
	return c
}

// liveIn is the release that is live in an environment. If one was named it
// must have been there.
func (f *face) liveIn(ctx context.Context, req api.DeployRequest, env string) (string, error) {
	if err := validName("--from", env); err != nil {
		return "", err
	}
	c, err := f.api()
	if err != nil {
		return "", err
	}
	releases, err := c.Releases(ctx, req.Site.App)
	if err != nil {
		return "", err
	}
	for _, r := range releases {
		if req.Release == "" && slices.Contains(r.Live, env) {
			return r.Name(), nil
		}
		if req.Release == r.Name() && (slices.Contains(r.Live, env) || slices.Contains(r.Passed, env)) {
			return r.Name(), nil
		}
	}
	cause := fmt.Errorf("no release of %s is live in %s", req.Site.App, env)
	if req.Release != "" {
		cause = fmt.Errorf("%s has not passed %s", req.Release, env)
	}
	return "", &noon.Error{
		Kind: noon.Conflict, Op: "promote to", Subject: req.Site.String(), Err: cause,
		Hint: fmt.Sprintf("Deploy it there first: `noon deploy -e %s`.", env),
	}
}
