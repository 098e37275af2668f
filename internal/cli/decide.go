package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/api"
	"github.com/noon-deploy/noon/internal/tui"
)

func (f *face) approveCommand() *cobra.Command {
	var resolve []string
	reason := ""
	c := &cobra.Command{
		Use:   "approve dN",
		Short: "Let a deployment that waits for a person go on",
		Long: `approve lets a deployment go on that is held for approval. One that is paused
because a crash made the outcome of a command unknown goes on when --resolve
says what has happened: done, it has had its effect; retry, it has not, run it.`,
		Example:           "  noon approve d7\n  noon approve d7 --resolve TASK=done",
		Args:              args("dN"),
		ValidArgsFunction: f.completeDeployments,
		RunE: func(c *cobra.Command, given []string) error {
			id, err := deploymentID(given[0])
			if err != nil {
				return err
			}
			resolved, err := resolutions(resolve)
			if err != nil {
				return err
			}
			client, err := f.api()
			if err != nil {
				return err
			}
			d, err := client.Approve(c.Context(), id, api.Decision{By: f.user(), Reason: reason, Resolve: resolved})
			if err != nil {
				return err
			}
			return f.emit(d, func(p tui.Page) string { return "approved: " + p.Outcome(d) })
		},
	}
	c.Flags().StringArrayVar(&resolve, "resolve", nil, "what has become of a task, TASK=done or TASK=retry (repeatable)")
	c.Flags().StringVar(&reason, "reason", "", "why, for the journal")
	return c
}

func resolutions(list []string) (map[string]noon.Resolution, error) {
	if len(list) == 0 {
		return nil, nil
	}
	resolved := map[string]noon.Resolution{}
	for _, item := range list {
		task, word, _ := cutLast(item, "=")
		r := noon.Resolution(word)
		if task == "" || r != noon.TakeAsDone && r != noon.RunAgain {
			return nil, &noon.Error{
				Kind: noon.Invalid, Op: "read", Subject: "--resolve", Err: fmt.Errorf("%q is not TASK=done or TASK=retry", item),
				Hint: "`noon history dN` names the task that is in doubt.",
			}
		}
		resolved[task] = r
	}
	return resolved, nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

func (f *face) abortCommand() *cobra.Command {
	reason := ""
	detach := false
	c := &cobra.Command{
		Use:   "abort [dN]",
		Short: "Take back a deployment that is under way or queued",
		Long: `abort asks a deployment to walk back to where it began, and watches it do so.
Without dN it is the one under way in the environment.`,
		Args:              args("[dN]"),
		ValidArgsFunction: f.completeDeployments,
		RunE: func(c *cobra.Command, given []string) error {
			id, err := f.deploymentOr(c.Context(), given)
			if err != nil {
				return err
			}
			return f.abort(c.Context(), id, reason, detach)
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why, for the journal")
	c.Flags().BoolVar(&detach, "detach", false, "return at once")
	return c
}

// deploymentOr is the deployment that was named, or the one under way.
func (f *face) deploymentOr(ctx context.Context, given []string) (int64, error) {
	if len(given) > 0 {
		return deploymentID(given[0])
	}
	site, err := f.site(ctx)
	if err != nil {
		return 0, err
	}
	c, err := f.api()
	if err != nil {
		return 0, err
	}
	const recent = 50
	deployments, err := c.Deployments(ctx, site, recent)
	if err != nil {
		return 0, err
	}
	queued := int64(0)
	for _, d := range deployments { // newest first: the queue, then what is under way
		if d.Status == noon.Queued {
			queued = d.ID
		} else if !d.Status.Ended() {
			return d.ID, nil
		}
	}
	if queued > 0 {
		return queued, nil
	}
	return 0, &noon.Error{
		Kind: noon.NotFound, Op: "look for a deployment in", Subject: site.String(), Err: errors.New("none is under way"),
		Hint: "To leave the release that is live, use `noon rollback`.",
	}
}

func (f *face) abort(ctx context.Context, id int64, reason string, detach bool) error {
	c, err := f.api()
	if err != nil {
		return err
	}
	d, err := c.Abort(ctx, id, api.Decision{By: f.user(), Reason: reason})
	if err != nil {
		return err
	}
	if detach {
		return f.emit(d, func(p tui.Page) string { return "aborted: " + p.Outcome(d) })
	}
	err = f.seeThrough(ctx, d)
	_, interrupted := errors.AsType[coded](err)
	kind := noon.KindOf(err)
	switch {
	case err == nil:
		return &noon.Error{
			Kind: noon.Conflict, Op: "abort", Subject: d.Name(), Err: errors.New("it had come too far and succeeded"),
			Hint: "`noon rollback` goes back.",
		}
	case !interrupted && (kind == noon.Failure || kind == noon.Conflict):
		return nil // back in its first state, or out of the queue: as asked
	}
	return err
}
