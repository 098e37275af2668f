// Package schedule runs the jobs of apps when they are due: each due run once,
// by the release that has the jobs at that time, whatever crashes. A run that
// came due while nobody looked, or while jobs were suspended, is made up for;
// of several missed runs of one job only the last.
package schedule

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/noon-deploy/noon"
)

// Site is what the scheduler knows of a site at an instant.
type Site struct {
	Site     noon.Site
	Revision noon.Revision // whose jobs run; zero: suspended
	Jobs     []noon.Job
	Since    time.Time // no run that was due before is made up for
}

// Run is a run that was claimed.
type Run struct {
	Job string
	Due time.Time
}

// Book is the durable record of runs. It has four methods because a run is
// claimed, finished, found again and compared with the last.
type Book interface {
	// Claim reports whether the run is ours to start: true exactly once.
	Claim(ctx context.Context, site noon.Site, run Run) (bool, error)
	Finish(ctx context.Context, site noon.Site, run Run, outcome string) error
	// Last returns the due time of the newest claimed run, zero if none.
	Last(ctx context.Context, site noon.Site, job string) (time.Time, error)
	// Open lists claimed runs whose end was not recorded.
	Open(ctx context.Context, site noon.Site) ([]Run, error)
}

// Starter starts a run under an ID that is started at most once for ever, and
// tells how it is.
type Starter interface {
	Start(ctx context.Context, site noon.Site, r noon.Revision, id string, job noon.Job) error
	Status(ctx context.Context, id string) (noon.TaskStatus, error)
}

// lookEvery is how often due times and running jobs are looked at. Cron's
// grain is a minute; "@every" may be finer.
const lookEvery = 250 * time.Millisecond

// Scheduler runs jobs. All fields are required.
type Scheduler struct {
	Sites   func(ctx context.Context) ([]Site, error)
	Book    Book
	Starter Starter
	Log     *slog.Logger
}

// Run works until ctx ends. Jobs that run go on without it.
func (s *Scheduler) Run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		s.look(ctx, time.Now())
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *Scheduler) look(ctx context.Context, now time.Time) {
	sites, err := s.Sites(ctx)
	if err != nil {
		s.Log.Warn("jobs can not be looked at", "err", err)
		return
	}
	for _, site := range sites {
		if err := s.site(ctx, site, now); err != nil && ctx.Err() == nil {
			s.Log.Warn("jobs can not be run", "site", site.Site.String(), "err", err)
		}
	}
}

func (s *Scheduler) site(ctx context.Context, site Site, now time.Time) error {
	if err := s.follow(ctx, site); err != nil {
		return err
	}
	if site.Revision.IsZero() {
		return nil
	}
	for _, job := range site.Jobs {
		if err := s.job(ctx, site, job, now); err != nil {
			return fmt.Errorf("job %s: %w", job.Name, err)
		}
	}
	return nil
}

func (s *Scheduler) job(ctx context.Context, site Site, job noon.Job, now time.Time) error {
	last, err := s.Book.Last(ctx, site.Site, job.Name)
	if err != nil {
		return err
	}
	if last.Before(site.Since) {
		last = site.Since
	}
	due, err := Due(job, last, now)
	if err != nil || due.IsZero() {
		return err
	}
	run := Run{Job: job.Name, Due: due}
	if ours, err := s.Book.Claim(ctx, site.Site, run); err != nil || !ours {
		return err
	}
	return s.Starter.Start(ctx, site.Site, site.Revision, ID(site.Site, run), job)
}

// follow starts claimed runs that a crash kept from being started, and records
// the end of those that have ended.
func (s *Scheduler) follow(ctx context.Context, site Site) error {
	open, err := s.Book.Open(ctx, site.Site)
	if err != nil {
		return err
	}
	for _, run := range open {
		status, err := s.Starter.Status(ctx, ID(site.Site, run))
		switch {
		case err != nil && noon.KindOf(err) == noon.NotFound:
			err = s.again(ctx, site, run)
		case err == nil && !status.Running && status.Exit != nil:
			err = s.Book.Finish(ctx, site.Site, run, status.Exit.Reason)
		}
		if err != nil {
			return fmt.Errorf("run of job %s: %w", run.Job, err)
		}
	}
	return nil
}

func (s *Scheduler) again(ctx context.Context, site Site, run Run) error {
	if site.Revision.IsZero() {
		return nil
	}
	for _, job := range site.Jobs {
		if job.Name == run.Job {
			return s.Starter.Start(ctx, site.Site, site.Revision, ID(site.Site, run), job)
		}
	}
	return s.Book.Finish(ctx, site.Site, run, "the release that has the jobs now does not know it")
}

// ID names a run. It is the same whoever starts it.
func ID(site noon.Site, run Run) string {
	return site.Key() + "_job_" + run.Job + "_" + strconv.FormatInt(run.Due.Unix(), 10)
}

// Parse reads a schedule: five cron fields, a word such as "@daily", or
// "@every 10s".
func Parse(job noon.Job) (cron.Schedule, error) {
	zone := job.Zone
	if zone == "" {
		zone = "UTC"
	}
	schedule, err := cron.ParseStandard("CRON_TZ=" + zone + " " + job.Schedule)
	if err != nil {
		return nil, fmt.Errorf("schedule %q: %w", job.Schedule, err)
	}
	return schedule, nil
}

// Due returns the latest time after last and not after now at which the job is
// due, zero if there is none. A clock that was set back makes nothing due.
func Due(job noon.Job, last, now time.Time) (time.Time, error) {
	schedule, err := Parse(job)
	if err != nil {
		return time.Time{}, err
	}
	if constant, ok := schedule.(cron.ConstantDelaySchedule); ok {
		if behind := now.Sub(last); behind >= constant.Delay {
			return last.Add(behind.Truncate(constant.Delay)).Truncate(time.Second), nil
		}
		return time.Time{}, nil
	}
	var due time.Time
	for next := schedule.Next(last); !next.IsZero() && !next.After(now); next = schedule.Next(next) {
		due = next
	}
	return due, nil
}
