package ledger_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/ledger"
)

func TestRehearsals(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	l := open(t, path, fixedClock())
	ctx := t.Context()
	begun := noon.Rehearsal{Site: production(), Store: "db", Release: 7, Digest: "sha256:7", By: "ana", Status: noon.RehearsalRunning, Begun: noon2026().UTC()}
	first := must(l.AddRehearsal(ctx, begun))(t)
	second := must(l.AddRehearsal(ctx, begun))(t)
	other := begun
	other.Site, other.Digest = staging(), "sha256:8"
	third := must(l.AddRehearsal(ctx, other))(t)

	first.Status, first.Ended = noon.RehearsalFailed, noon2026().Add(time.Minute).UTC()
	first.Problem = &noon.Error{Kind: noon.Failure, Op: "change schema", Err: errors.New("row 77")}
	first.Report.Copy.Rows = 1_000_000
	if err := l.EndRehearsal(ctx, first); err != nil {
		t.Fatal(err)
	}
	late := first
	late.Status = noon.RehearsalGood
	if err := l.EndRehearsal(ctx, late); noon.KindOf(err) != noon.Conflict {
		t.Errorf("one that has ended: %v", err)
	}
	got := must(l.Rehearsal(ctx, first.ID))(t)
	if got.Problem == nil || got.Problem.Error() != first.Problem.Error() {
		t.Errorf("the problem is %v", got.Problem)
	}
	got.Problem = first.Problem
	if diff := cmp.Diff(first, got, cmp.Comparer(func(a, b *noon.Error) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	if _, err := l.Rehearsal(ctx, 99); noon.KindOf(err) != noon.NotFound {
		t.Errorf("one that there is not: %v", err)
	}
	for want, q := range map[string]ledger.RehearsalQuery{
		"3 2 1 ": {}, "2 1 ": {Site: production()}, "3 ": {Digest: "sha256:8"}, "2 ": {Store: "db", Site: production(), Limit: 1}, "": {Store: "files"},
	} {
		text := ""
		for _, r := range must(l.Rehearsals(ctx, q))(t) {
			text += string(rune('0'+r.ID)) + " "
		}
		if text != want {
			t.Errorf("%+v lists %q, want %q", q, text, want)
		}
	}
	// What a controller that went away has left.
	if err := l.InterruptRehearsals(ctx); err != nil {
		t.Fatal(err)
	}
	if err := l.InterruptRehearsals(ctx); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[int64]noon.RehearsalStatus{first.ID: noon.RehearsalFailed, second.ID: noon.RehearsalInterrupted, third.ID: noon.RehearsalInterrupted} {
		if r := must(l.Rehearsal(ctx, id))(t); r.Status != want || r.Ended.IsZero() {
			t.Errorf("%d is %s, ended %s; want %s", id, r.Status, r.Ended, want)
		}
	}
}
