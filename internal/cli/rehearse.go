package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/api"
	"github.com/noon-deploy/noon/internal/tui"
)

// rehearseFlags are what noon rehearse takes.
type rehearseFlags struct {
	store, copy      string
	keep, detach     bool
	show, list, stop bool
}

func (f *face) rehearseCommand() *cobra.Command {
	var flags rehearseFlags
	c := &cobra.Command{
		Use:   "rehearse [RELEASE]",
		Short: "Try what a release does to a database, on a copy of it",
		Long: `rehearse copies a store, runs on the copy what a deployment of the release
(default: the newest) would run on the store, while a load of reads and writes
goes on, and reports which locks were taken, what was rewritten, how long users
waited, on whose data it fails, and how long production will take. Then the copy
is dropped. Production is only read.

A rehearsal that was good proves the change to the plan of a deployment of the
same release; one that failed refuses it. It goes on by itself whatever becomes
of this command; --stop ends it.`,
		Example:           "  noon rehearse -e production\n  noon rehearse r7 --store db --copy dump\n  noon rehearse --show\n  noon rehearse --list",
		Args:              args("[RELEASE]"),
		ValidArgsFunction: f.completeReleases,
		RunE: func(c *cobra.Command, given []string) error {
			return f.rehearse(c.Context(), given, flags)
		},
	}
	c.Flags().StringVar(&flags.store, "store", "", "store of noon.yaml (default: the only one with migrations)")
	c.Flags().StringVar(&flags.copy, "copy", "", "how to copy: dump, template or command (default: as noon.yaml says)")
	c.Flags().BoolVar(&flags.keep, "keep", false, "leave the copy, to look at it")
	c.Flags().BoolVar(&flags.detach, "detach", false, "return as soon as it is under way")
	c.Flags().BoolVar(&flags.show, "show", false, "show the report of the newest rehearsal (of RELEASE) instead")
	c.Flags().BoolVar(&flags.list, "list", false, "list the rehearsals instead")
	c.Flags().BoolVar(&flags.stop, "stop", false, "end the one that is under way instead; its copy is dropped")
	c.MarkFlagsMutuallyExclusive("show", "list", "stop", "detach")
	return c
}

func (f *face) rehearse(ctx context.Context, given []string, flags rehearseFlags) error {
	req, err := f.request(ctx, noon.PlanDeploy, given)
	if err != nil {
		return err
	}
	c, err := f.api()
	if err != nil {
		return err
	}
	switch {
	case flags.list:
		all, err := c.Rehearsals(ctx, req.Site, 0)
		if err != nil {
			return err
		}
		return f.emit(list(all), func(p tui.Page) string { return p.Rehearsals(all) })
	case flags.show:
		return f.showRehearsal(ctx, c, req, flags.store)
	case flags.stop:
		return f.stopRehearsal(ctx, c, req.Site)
	}
	r, err := c.Rehearse(ctx, api.RehearseRequest{
		Site: req.Site, Release: req.Release, Store: flags.store, Copy: noon.CopyKind(flags.copy), Keep: flags.keep, By: f.user(),
	})
	if err != nil {
		return err
	}
	if flags.detach {
		return f.emit(r, func(p tui.Page) string { return p.Rehearsal(r) })
	}
	return f.watchRehearsal(ctx, c, r)
}

// watchRehearsal shows a rehearsal until it has ended, and its report.
func (f *face) watchRehearsal(ctx context.Context, c *api.Client, r noon.Rehearsal) error {
	last := ""
	err := retry(ctx, func() error {
		return c.WatchRehearsal(ctx, r.ID, func(now noon.Rehearsal) error {
			r = now
			if now.Status == noon.RehearsalRunning && now.Doing != "" && now.Doing != last {
				last = now.Doing
				f.note(tui.CleanLines(last) + "\n")
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	if err := f.emit(r, func(p tui.Page) string { return p.Rehearsal(r) }); err != nil {
		return err
	}
	return rehearsalOutcome(r)
}

// rehearsalOutcome is the error of a rehearsal that was not good. Its report
// has told why.
func rehearsalOutcome(r noon.Rehearsal) error {
	e := &noon.Error{Kind: noon.Failure, Op: "rehearse", Subject: noon.ReleaseName(r.Release), Err: fmt.Errorf("it %s", r.Status), Hint: "Production was not changed."}
	switch {
	case r.Status == noon.RehearsalGood:
		return nil
	case r.Problem != nil:
		*e = *r.Problem
		if r.Status == noon.RehearsalFailed {
			e.Kind = noon.Failure
		}
	case r.Status == noon.RehearsalInterrupted:
		e.Kind, e.Err, e.Hint = noon.Unavailable, errors.New("the controller went away"), "Rehearse again: what it has left is removed then."
	}
	return e
}

func (f *face) showRehearsal(ctx context.Context, c *api.Client, req api.DeployRequest, store string) error {
	all, err := c.Rehearsals(ctx, req.Site, 0)
	if err != nil {
		return err
	}
	for _, r := range all {
		if (req.Release == "" || noon.ReleaseName(r.Release) == req.Release) && (store == "" || r.Store == store) {
			if r, err = c.Rehearsal(ctx, r.ID); err != nil {
				return err
			}
			return f.emit(r, func(p tui.Page) string { return p.Rehearsal(r) })
		}
	}
	return &noon.Error{
		Kind: noon.NotFound, Op: "look for a rehearsal in", Subject: req.Site.String(), Err: errors.New("there is none"),
		Hint: "`noon rehearse` makes one.",
	}
}

func (f *face) stopRehearsal(ctx context.Context, c *api.Client, site noon.Site) error {
	all, err := c.Rehearsals(ctx, site, 1)
	if err != nil {
		return err
	}
	if len(all) == 0 || all[0].Status != noon.RehearsalRunning {
		return &noon.Error{Kind: noon.NotFound, Op: "stop the rehearsal in", Subject: site.String(), Err: errors.New("none is under way"), Hint: "`noon rehearse --list` tells of those that were."}
	}
	r, err := c.StopRehearsal(ctx, all[0].ID)
	if err != nil {
		return err
	}
	err = c.WatchRehearsal(ctx, r.ID, func(now noon.Rehearsal) error {
		r = now
		return nil
	})
	if err != nil {
		return err
	}
	return f.emit(r, func(tui.Page) string {
		return "rehearsal " + strconv.FormatInt(r.ID, 10) + " is " + string(r.Status) + "; its copy was dropped\n"
	})
}
