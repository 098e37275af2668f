package cli

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/api"
	"github.com/noon-deploy/noon/internal/tui"
)

// deployFlags are those of every command that starts a deployment.
type deployFlags struct {
	supersede, detach, wait bool
	reason                  string
}

func (d *deployFlags) add(c *cobra.Command) {
	c.Flags().BoolVar(&d.supersede, "supersede", false, "take the place of deployments that are queued")
	c.Flags().BoolVar(&d.wait, "wait", true, "watch until it has ended")
	c.Flags().BoolVar(&d.detach, "detach", false, "return as soon as it is under way; the same as --wait=false")
	c.Flags().StringVar(&d.reason, "reason", "", "why, for the journal")
	c.PreRunE = func(c *cobra.Command, _ []string) error {
		if c.Flags().Changed("wait") && d.wait && d.detach {
			return usage(c.CommandPath(), errors.New("--wait and --detach exclude each other"))
		}
		return nil
	}
}

func (f *face) deployCommand() *cobra.Command {
	var flags deployFlags
	c := &cobra.Command{
		Use:   "deploy [RELEASE]",
		Short: "Replace what is live by a release, with nothing lost",
		Long: `deploy takes an environment to a release. Without RELEASE it is that of the
commit that is checked out, which is built first if it has none yet.

The plan's summary is shown, and consent is asked for; without a terminal --yes
has to say so. Then the deployment is watched until it has ended. It goes on by
itself whatever becomes of this command.`,
		Args:              args("[RELEASE]"),
		ValidArgsFunction: f.completeReleases,
		RunE: func(c *cobra.Command, given []string) error {
			ctx := c.Context()
			req, err := f.request(ctx, noon.PlanDeploy, given)
			if err != nil {
				return err
			}
			if req.Release == "" {
				// Nothing is built for somebody who can not be asked.
				if err := f.askable("Deploy to " + req.Site.String() + "?"); err != nil {
					return err
				}
				if req.Release, err = f.headRelease(ctx, req.Site.App); err != nil {
					return err
				}
			}
			return f.deploy(ctx, req, flags)
		},
	}
	flags.add(c)
	return c
}

func (f *face) rollbackCommand() *cobra.Command {
	var flags deployFlags
	c := &cobra.Command{
		Use:   "rollback [RELEASE]",
		Short: "Go back to the previous good release, or to one that is named",
		Long: `rollback takes an environment back to a release that was live before, with the
configuration it had then. A release that is still warm has users again in
under a second.`,
		Args:              args("[RELEASE]"),
		ValidArgsFunction: f.completeReleases,
		RunE: func(c *cobra.Command, given []string) error {
			req, err := f.request(c.Context(), noon.PlanRollback, given)
			if err != nil {
				return err
			}
			return f.deploy(c.Context(), req, flags)
		},
	}
	flags.add(c)
	return c
}

// headRelease is the newest release of the commit that is checked out; it is
// built if there is none. Outside of the app's directory it is "", the newest.
func (f *face) headRelease(ctx context.Context, app string) (string, error) {
	p, ok, err := f.project()
	if err != nil || !ok || p.app.Name != app {
		return "", err
	}
	commit, err := head(ctx, p.dir)
	if err != nil {
		return "", err
	}
	c, err := f.api()
	if err != nil {
		return "", err
	}
	releases, err := c.Releases(ctx, app)
	if err != nil && noon.KindOf(err) != noon.NotFound {
		return "", err
	}
	for _, r := range releases { // newest first
		if r.Commit == commit && !r.Dirty {
			return r.Name(), nil
		}
	}
	built, err := f.build(ctx, p, false)
	if err != nil {
		return "", err
	}
	f.note(builtText(built))
	return built.Name(), nil
}

// deploy shows what would be done, asks, and does it.
func (f *face) deploy(ctx context.Context, req api.DeployRequest, flags deployFlags) error {
	c, err := f.api()
	if err != nil {
		return err
	}
	req.Supersede, req.Reason, req.By = flags.supersede, flags.reason, f.user()
	preview, err := c.Plan(ctx, req)
	if err != nil {
		return err
	}
	if len(preview.Missing) > 0 {
		return missingError(req.Site.App, []missing{{req.Site.Environment, preview.Missing}})
	}
	f.note(f.page().Summary(preview) + "\n")
	if err := preview.Plan.Refusal(); err != nil {
		return err
	}
	if err := f.consent(ctx, question(preview)); err != nil {
		return err
	}
	// What consent was given for is what is deployed, whatever has been added
	// meanwhile.
	if preview.Plan.To.Release > 0 {
		req.Release = noon.ReleaseName(preview.Plan.To.Release)
	}
	d, err := f.start(ctx, c, req)
	if err != nil {
		return err
	}
	if flags.detach || !flags.wait {
		return f.emit(d, func(tui.Page) string {
			return fmt.Sprintf("%s is %s; `noon history %s` tells more, `noon abort %s` takes it back\n", d.Name(), d.Status, d.Name(), d.Name())
		})
	}
	return f.seeThrough(ctx, d)
}

func question(v api.Preview) string {
	to := noon.ReleaseName(v.Plan.To.Release)
	if v.Plan.Kind == noon.PlanRollback {
		return fmt.Sprintf("Roll %s back to %s?", v.Plan.Site, to)
	}
	return fmt.Sprintf("Deploy %s to %s?", to, v.Plan.Site)
}

// start asks for the deployment. A controller that goes away meanwhile is
// asked again: the key keeps it from making two.
func (f *face) start(ctx context.Context, c *api.Client, req api.DeployRequest) (noon.Deployment, error) {
	req.Key = rand.Text()
	var d noon.Deployment
	err := retry(ctx, func() error {
		var err error
		d, err = c.Deploy(ctx, req)
		return err
	})
	return d, err
}

// user is who asks, for the journal.
func (f *face) user() string {
	return cmp.Or(f.Getenv("NOON_USER"), f.Getenv("SUDO_USER"), f.Getenv("USER"), f.Getenv("LOGNAME"))
}

// patience is how long a controller that has gone away is waited for: a
// restart or an upgrade takes less.
const patience = 30 * time.Second

// retry does something until the controller can be reached, or has been away
// for too long.
func retry(ctx context.Context, do func() error) error {
	end := time.Now().Add(patience)
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, 500*time.Millisecond) {
		err := do()
		if err == nil || noon.KindOf(err) != noon.Unavailable || time.Now().After(end) {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
	}
}
