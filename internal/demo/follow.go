package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/api"
)

// How often something is looked at that nobody tells about.
const lookEvery = 5 * time.Millisecond

// await looks until something is so.
func await(ctx context.Context, what string, limit time.Duration, is func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not within %s", limit))
	defer cancel()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	var last error
	for {
		ok, err := is(ctx)
		if ok || err != nil && noon.KindOf(err) != noon.Unavailable {
			return err
		}
		if err != nil {
			last = err
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", what, errors.Join(context.Cause(ctx), last))
		}
	}
}

// partLimit bounds the wait for a part of noon to be there (again).
const partLimit = 60 * time.Second

// reach asks the controller, and asks again while it is away.
func reach[T any](ctx context.Context, d *demo, what string, ask func(context.Context) (T, error)) (T, error) {
	var out T
	err := await(ctx, what, partLimit, func(ctx context.Context) (bool, error) {
		if err := d.serve.problem(); err != nil {
			return false, err
		}
		var err error
		out, err = ask(ctx)
		return err == nil, err
	})
	return out, err
}

// newest is the number of the newest deployment, 0 if there is none.
func (d *demo) newest(ctx context.Context) (int64, error) {
	list, err := reach(ctx, d, "the list of deployments", func(ctx context.Context) ([]noon.Deployment, error) {
		return d.client.Deployments(ctx, d.site, 1)
	})
	if err != nil || len(list) == 0 {
		return 0, err
	}
	return list[0].ID, nil
}

// follow sees every event of the first deployment after a number, once, until
// the deployment has ended. It gives up when ctx ends: the command that asked
// for the deployment has failed.
func (d *demo) follow(ctx context.Context, after int64, see func(noon.Deployment, noon.Event)) (api.DeploymentView, error) {
	var id, seen int64
	err := await(ctx, "the deployment to begin", time.Hour, func(ctx context.Context) (bool, error) {
		list, err := d.client.Deployments(ctx, d.site, 1)
		if err != nil || len(list) == 0 || list[0].ID <= after {
			return false, err
		}
		id = list[0].ID
		return true, nil
	})
	if err != nil {
		return api.DeploymentView{}, err
	}
	for {
		ended := false
		err := d.client.Watch(ctx, id, func(v api.DeploymentView) error {
			for _, e := range v.Events {
				if e.Seq > seen {
					seen = e.Seq
					see(v.Deployment, e)
				}
			}
			ended = v.Status.Ended()
			return nil
		})
		if err != nil && noon.KindOf(err) != noon.Unavailable {
			return api.DeploymentView{}, err
		}
		// An answer that ended, or was cut off, before the deployment has.
		v, err := reach(ctx, d, "the journal", func(ctx context.Context) (api.DeploymentView, error) { return d.client.Deployment(ctx, id) })
		if err != nil || ended {
			return v, err
		}
	}
}
