package cli

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/api"
	"github.com/noon-deploy/noon/internal/tui"
)

// completionTime bounds how long a shell waits for completions.
const completionTime = 2 * time.Second

// completing finds completions for a first argument. What goes wrong is not
// told: there is nowhere to.
func (f *face) completing(c *cobra.Command, given []string, find func(ctx context.Context, client *api.Client) []string) ([]string, cobra.ShellCompDirective) {
	if len(given) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	parent := c.Context()
	if parent == nil {
		parent = context.Background()
	}
	ctx, cancel := context.WithTimeout(parent, completionTime)
	defer cancel()
	client, err := f.api()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return find(ctx, client), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}

func (f *face) completeReleases(c *cobra.Command, given []string, _ string) ([]string, cobra.ShellCompDirective) {
	return f.completing(c, given, func(ctx context.Context, client *api.Client) []string {
		app, err := f.needApp()
		if err != nil {
			return nil
		}
		releases, err := client.Releases(ctx, app)
		if err != nil {
			return nil
		}
		var out []string
		for _, r := range releases {
			out = append(out, r.Name()+"\t"+tui.ShortCommit(r.Commit, r.Dirty)+" "+tui.Clean(r.Title))
		}
		return out
	})
}

func (f *face) completeDeployments(c *cobra.Command, given []string, _ string) ([]string, cobra.ShellCompDirective) {
	return f.completing(c, given, func(ctx context.Context, client *api.Client) []string {
		const shown = 20
		deployments, err := client.Deployments(ctx, noon.Site{}, shown)
		if err != nil {
			return nil
		}
		var out []string
		for _, d := range deployments {
			out = append(out, d.Name()+"\t"+d.Plan.To.String()+" in "+d.Site.String()+", "+string(d.Status))
		}
		return out
	})
}

func (f *face) completeEnvironments(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return f.completing(c, nil, func(ctx context.Context, _ *api.Client) []string {
		app, err := f.needApp()
		if err != nil {
			return nil
		}
		names, err := f.environments(ctx, app)
		if err != nil {
			return nil
		}
		return names
	})
}

func (f *face) completeServices(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	p, ok, err := f.project()
	if err != nil || !ok {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names := make([]string, len(p.app.Services))
	for i, s := range p.app.Services {
		names[i] = s.Name
	}
	slices.Sort(names)
	return names, cobra.ShellCompDirectiveNoFileComp
}
