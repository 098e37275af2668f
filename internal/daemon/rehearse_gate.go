package daemon

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/ledger"
	"github.com/noon-deploy/noon/internal/planner"
)

// freshFor is how long a rehearsal counts, where noon.yaml does not say.
const freshFor = 24 * time.Hour

// rehearsed tells the planner of the newest rehearsals of a release.
func (d *desk) rehearsed(ctx context.Context, site noon.Site, release int) (map[string]planner.Rehearsed, error) {
	rel, app, err := d.catalog.app(ctx, site.App, release)
	if err != nil {
		return nil, err
	}
	all := map[string]planner.Rehearsed{}
	for _, s := range app.Stores {
		if s.Migrations == "" {
			continue
		}
		r, ok, err := d.verdict(ctx, site, s.Name, rel.Digest)
		if err != nil {
			return nil, err
		}
		if ok {
			all[s.Name] = judged(r, s, time.Now())
		}
	}
	return all, nil
}

// verdict finds the newest rehearsal of a release that says something.
func (d *desk) verdict(ctx context.Context, site noon.Site, store, digest string) (noon.Rehearsal, bool, error) {
	list, err := d.Rehearsals(ctx, ledger.RehearsalQuery{Site: site, Store: store, Digest: digest})
	for _, r := range list {
		if r.Status.Verdict() {
			return r, true, err
		}
	}
	return noon.Rehearsal{}, false, err
}

// judged says what a rehearsal is worth now.
func judged(r noon.Rehearsal, s noon.Store, now time.Time) planner.Rehearsed {
	age := now.Sub(r.Ended)
	j := planner.Rehearsed{
		Failed: r.Status == noon.RehearsalFailed, Old: age > cmp.Or(s.Rehearsal.MaxAge, freshFor),
		Because: fmt.Sprintf("rehearsed %s on %s", ago(age), rowsText(r.Report.Copy.Rows)),
	}
	if j.Failed {
		j.Because = fmt.Sprintf("its rehearsal %s on %s failed", ago(age), rowsText(r.Report.Copy.Rows))
		if r.Problem != nil {
			j.Because += ": " + r.Problem.Error()
		}
	}
	return j
}

// rehearsedGood reports whether a revision may change a store that asks for a
// rehearsal.
func (d *desk) rehearsedGood(ctx context.Context, site noon.Site, r noon.Revision, store string) (bool, error) {
	all, err := d.rehearsed(ctx, site, r.Release)
	j, ok := all[store]
	return err == nil && ok && !j.Failed && !j.Old, err
}

// ago writes how long something is past: "14m ago".
func ago(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "just now"
	case d < time.Hour:
		return fmt.Sprintf("%dm ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh ago", int(d.Hours()))
	}
	return fmt.Sprintf("%dd ago", int(d.Hours())/24)
}

// rowsText writes a number of rows with its thousands apart: "1,000,000 rows".
func rowsText(n int64) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text + " rows"
}
