package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/noon-deploy/noon/internal/api"
	"github.com/noon-deploy/noon/internal/tui"
)

func (f *face) releasesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "releases",
		Short: "List the releases of the app, and where they are",
		Args:  args(),
		RunE: func(c *cobra.Command, _ []string) error {
			app, err := f.needApp()
			if err != nil {
				return err
			}
			client, err := f.api()
			if err != nil {
				return err
			}
			releases, err := client.Releases(c.Context(), app)
			if err != nil {
				return err
			}
			return f.emit(list(releases), func(p tui.Page) string { return p.Releases(releases) })
		},
	}
}

func (f *face) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Tell what is live, warm, under way and waiting",
		Long: `status tells of every environment of the app, or of the one named with -e;
outside of an app's directory of every app.`,
		Args: args(),
		RunE: func(c *cobra.Command, _ []string) error {
			sites, err := f.sites(c.Context())
			if err != nil {
				return err
			}
			return f.emit(list(sites), func(p tui.Page) string { return p.Status(sites) })
		},
	}
}

func (f *face) psCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "ps",
		Short: "List instances: their phase, uptime, starts and last exit",
		Args:  args(),
		RunE: func(c *cobra.Command, _ []string) error {
			sites, err := f.sites(c.Context())
			if err != nil {
				return err
			}
			observed := []any{}
			for _, s := range sites {
				for _, h := range s.Hosts {
					observed = append(observed, h)
				}
			}
			return f.emit(observed, func(p tui.Page) string { return p.Instances(sites) })
		},
	}
}

// sites asks for the status of what --app and --env leave of all sites.
func (f *face) sites(ctx context.Context) ([]api.SiteStatus, error) {
	app, err := f.appName()
	if err != nil {
		return nil, err
	}
	env, err := f.envName()
	if err != nil {
		return nil, err
	}
	c, err := f.api()
	if err != nil {
		return nil, err
	}
	all, err := c.Status(ctx, app)
	if err != nil {
		return nil, err
	}
	var sites []api.SiteStatus
	for _, s := range all {
		if env == "" || s.Site.Environment == env {
			sites = append(sites, s)
		}
	}
	return sites, nil
}
