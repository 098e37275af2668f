package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/noon-deploy/noon"
)

// Run is one run of a scheduled job.
type Run struct {
	Job      string    `json:"job"`
	Due      time.Time `json:"due"`
	Claimed  time.Time `json:"claimed"`
	Finished time.Time `json:"finished"` // zero: under way, or its end was not seen
	Outcome  string    `json:"outcome,omitempty"`
}

// ClaimRun reports whether the run of a job that is due at that time is the
// caller's to start. It is true exactly once.
func (l *Ledger) ClaimRun(ctx context.Context, site noon.Site, job string, due time.Time) (bool, error) {
	if err := validSite(site); err != nil {
		return false, explain("claim run of", job, err)
	}
	if err := noon.ValidName(job); err != nil {
		return false, &noon.Error{Kind: noon.Invalid, Op: "claim run of", Subject: job, Err: err}
	}
	won := false
	err := l.write(ctx, "claim", func(tx *sql.Tx) error {
		var n int64
		err := tx.QueryRowContext(ctx, `INSERT INTO job_run (app, environment, job, due, claimed) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (app, environment, job, due) DO NOTHING RETURNING due`,
			site.App, site.Environment, job, due.UnixNano(), nanos(l.clock())).Scan(&n)
		if errors.Is(err, sql.ErrNoRows) {
			return errUnchanged
		}
		won = err == nil
		return err
	})
	if errors.Is(err, errUnchanged) {
		return false, nil
	}
	return won && err == nil, explain("claim run of", job, err)
}

// FinishRun notes how a claimed run ended. The first outcome stays.
func (l *Ledger) FinishRun(ctx context.Context, site noon.Site, job string, due time.Time, outcome string) error {
	err := l.write(ctx, "finish", func(tx *sql.Tx) error {
		var n int64
		err := tx.QueryRowContext(ctx, `UPDATE job_run SET
				outcome = CASE WHEN finished = 0 THEN $1 ELSE outcome END,
				finished = CASE WHEN finished = 0 THEN $2 ELSE finished END
			WHERE app = $3 AND environment = $4 AND job = $5 AND due = $6 RETURNING due`,
			clean(outcome), nanos(l.clock()), site.App, site.Environment, job, due.UnixNano()).Scan(&n)
		if errors.Is(err, sql.ErrNoRows) {
			return &noon.Error{Kind: noon.NotFound, Err: fmt.Errorf("no run due at %s was claimed", due.UTC().Format(time.RFC3339))}
		}
		return err
	})
	return explain("finish run of", job, err)
}

const runColumns = `SELECT job, due, claimed, finished, outcome FROM job_run WHERE app = $1 AND environment = $2 `

// LastRun returns the run of a job that was due last, false if there was none.
func (l *Ledger) LastRun(ctx context.Context, site noon.Site, job string) (Run, bool, error) {
	runs, err := collect(ctx, l.reader, scanRun, runColumns+`AND job = $3 ORDER BY due DESC LIMIT 1`, site.App, site.Environment, job)
	if err != nil || len(runs) == 0 {
		return Run{}, false, explain("find last run of", job, err)
	}
	return runs[0], true, nil
}

// OpenRuns returns the runs of a site that were claimed and not finished, in
// the order in which they were due: what a controller that takes over looks at.
func (l *Ledger) OpenRuns(ctx context.Context, site noon.Site) ([]Run, error) {
	runs, err := collect(ctx, l.reader, scanRun, runColumns+`AND finished = 0 ORDER BY due, job`, site.App, site.Environment)
	return runs, explain("list open runs of", site.String(), err)
}

func scanRun(rows *sql.Rows) (Run, error) {
	var r Run
	var due, claimed, finished int64
	err := rows.Scan(&r.Job, &due, &claimed, &finished, &r.Outcome)
	r.Due, r.Claimed, r.Finished = time.Unix(0, due).UTC(), fromNanos(claimed), fromNanos(finished)
	return r, err
}
