package daemon

import (
	"context"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/ledger"
	"github.com/noon-deploy/noon/internal/schedule"
)

// book keeps the runs of jobs in the ledger.
type book struct{ *ledger.Ledger }

// Claim reports whether the run is ours to start.
func (b book) Claim(ctx context.Context, site noon.Site, run schedule.Run) (bool, error) {
	return b.ClaimRun(ctx, site, run.Job, run.Due)
}

// Finish records the end of a run.
func (b book) Finish(ctx context.Context, site noon.Site, run schedule.Run, outcome string) error {
	return b.FinishRun(ctx, site, run.Job, run.Due, outcome)
}

// Last returns when the newest claimed run was due.
func (b book) Last(ctx context.Context, site noon.Site, job string) (time.Time, error) {
	run, _, err := b.LastRun(ctx, site, job)
	return run.Due, err
}

// Open lists claimed runs whose end was not recorded.
func (b book) Open(ctx context.Context, site noon.Site) ([]schedule.Run, error) {
	runs, err := b.OpenRuns(ctx, site)
	open := make([]schedule.Run, 0, len(runs))
	for _, r := range runs {
		open = append(open, schedule.Run{Job: r.Job, Due: r.Due})
	}
	return open, err
}

// starter runs jobs as tasks of the host.
type starter struct{ *Controller }

// Status tells how a run is.
func (c starter) Status(ctx context.Context, id string) (noon.TaskStatus, error) {
	return c.host.TaskStatus(ctx, id)
}

// Start runs a job of a revision as a task of the host.
func (c starter) Start(ctx context.Context, site noon.Site, r noon.Revision, id string, job noon.Job) error {
	res, err := c.catalog.Resolve(ctx, site, r)
	if err != nil {
		return err
	}
	lease, err := c.ledger.Lease(ctx, site)
	if err != nil {
		return err
	}
	return c.host.StartTask(ctx, noon.Task{
		ID: id, Site: site, Fence: lease.Fence, Revision: r, Digest: res.Digest,
		Command: job.Command, Env: res.Env, Timeout: job.Timeout,
	})
}

// jobSites tells the scheduler whose jobs run where.
func (c *Controller) jobSites(ctx context.Context) ([]schedule.Site, error) {
	sites, err := c.ledger.Sites(ctx)
	if err != nil {
		return nil, err
	}
	var list []schedule.Site
	for _, site := range sites {
		now, d, err := c.desk.current(ctx, site)
		if err != nil {
			return nil, err
		}
		if d.ID == 0 {
			continue
		}
		s := schedule.Site{Site: site, Revision: now.Jobs, Since: d.Started}
		if !now.Jobs.IsZero() {
			res, err := c.catalog.Resolve(ctx, site, now.Jobs)
			if err != nil {
				return nil, err
			}
			s.Jobs = res.App.Jobs
		}
		list = append(list, s)
	}
	return list, nil
}

// jobsBusy counts the scheduled jobs of a site that run now.
func (c *Controller) jobsBusy(ctx context.Context, site noon.Site) (int, error) {
	open, err := book{c.ledger}.Open(ctx, site)
	if err != nil {
		return 0, err
	}
	busy := 0
	for _, run := range open {
		status, err := c.host.TaskStatus(ctx, schedule.ID(site, run))
		if err != nil && noon.KindOf(err) != noon.NotFound {
			return 0, err
		}
		if err == nil && status.Running {
			busy++
		}
	}
	return busy, nil
}
