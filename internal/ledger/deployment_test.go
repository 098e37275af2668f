package ledger_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/ledger"
)

// sameError compares errors by what their reader sees: a stored cause is text.
func sameError() cmp.Option {
	return cmp.Comparer(func(a, b *noon.Error) bool {
		return fmt.Sprint(a) == fmt.Sprint(b) && (a == nil) == (b == nil) && (a == nil || a.Kind == b.Kind && a.Hint == b.Hint)
	})
}

func TestDeploymentRoundTrip(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	ctx := t.Context()
	d := walking(production())
	d.Created = d.Created.In(time.FixedZone("elsewhere", 3600))
	d.Waiting = "something of this process"
	made := create(t, l, d)
	want := walking(production())
	want.ID = 1
	if diff := cmp.Diff(want, made, sameError()); diff != "" {
		t.Errorf("what was created differs: %s", diff)
	}
	if diff := cmp.Diff(made, must(l.Deployment(ctx, 1))(t), sameError()); diff != "" {
		t.Errorf("what was stored differs: %s", diff)
	}
	epoch := acquire(t, l, production())
	made.At, made.Status, made.Waiting = 1, noon.Held, "a person"
	made.Error = &noon.Error{Kind: noon.Failure, Op: "enter", Subject: "S4", Err: errors.New("not ready"), Hint: "look"}
	made.Plan = noon.Plan{} // the walk's copy of it does not matter
	noErr(t, l.Record(ctx, made, epoch))
	made.Plan, made.Waiting = want.Plan, ""
	if diff := cmp.Diff(made, must(l.Deployment(ctx, 1))(t), sameError()); diff != "" {
		t.Errorf("what was recorded differs: %s", diff)
	}
	_, err := l.Deployment(ctx, 2)
	wantHint(t, err, noon.NotFound, "noon history")
}

func TestQueuedDeploymentGetsItsPlanWhenItStarts(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	ctx := t.Context()
	queued := walking(production())
	queued.Status, queued.Plan = noon.Queued, noon.Plan{}
	d := create(t, l, queued)
	epoch := acquire(t, l, production())
	noErr(t, l.Request(ctx, d.ID, func(d *noon.Deployment) error { d.WantAbort = "eve"; return nil }))
	d.Plan = walking(production()).Plan
	d.Move(noon.Walking)
	wantKind(t, l.Start(ctx, d, epoch-1), noon.Stale)
	noErr(t, l.Start(ctx, d, epoch, noon.Event{Kind: noon.Moved}))
	got := must(l.Deployment(ctx, d.ID))(t)
	if diff := cmp.Diff(d.Plan, got.Plan); diff != "" || got.Status != noon.Walking || got.WantAbort != "eve" {
		t.Errorf("started as %+v, plan differs: %s", got, diff)
	}
	d.Plan = noon.Plan{}
	wantKind(t, l.Start(ctx, d, epoch, noon.Event{Kind: noon.Moved}), noon.Conflict)
	if got := must(l.Deployment(ctx, d.ID))(t); len(got.Plan.States) == 0 {
		t.Error("a plan was replaced on the way")
	}
	if events := must(l.Events(ctx, d.ID, 0))(t); len(events) != 1 {
		t.Errorf("the journal holds %v", events)
	}
}

func TestRequestsAreNeverLost(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	ctx := t.Context()
	d := create(t, l, walking(production()))
	epoch := acquire(t, l, production())
	noErr(t, l.Request(ctx, d.ID, func(d *noon.Deployment) error {
		d.WantAbort, d.Approved, d.Reason = "eve", "bob", "too slow"
		d.Resolved = map[string]noon.Resolution{"t1": noon.RunAgain}
		return nil
	}))
	d.At = 1
	d.Resolved = map[string]noon.Resolution{"t0": noon.TakeAsDone}
	noErr(t, l.Record(ctx, d, epoch)) // by a walk that has not seen the request
	got := must(l.Deployment(ctx, d.ID))(t)
	if got.WantAbort != "eve" || got.Approved != "bob" || got.Reason != "too slow" || got.At != 1 {
		t.Errorf("the request was lost: %+v", got)
	}
	if want := map[string]noon.Resolution{"t0": noon.TakeAsDone, "t1": noon.RunAgain}; !cmp.Equal(got.Resolved, want) || len(d.Resolved) != 1 {
		t.Errorf("resolutions are %v, want %v; the caller's are %v", got.Resolved, want, d.Resolved)
	}
}

func TestRequestChangesNothingElse(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	ctx := t.Context()
	d := create(t, l, walking(production()))
	before := must(l.Deployment(ctx, d.ID))(t)
	for name, change := range map[string]func(*noon.Deployment){
		"status": func(d *noon.Deployment) { d.Status = noon.Succeeded },
		"state":  func(d *noon.Deployment) { d.At++ },
		"id":     func(d *noon.Deployment) { d.ID++ },
		"site":   func(d *noon.Deployment) { d.Site = staging() },
		"error":  func(d *noon.Deployment) { d.Error = nil },
		"facts":  func(d *noon.Deployment) { d.Facts = []string{"migrate db"} },
	} {
		err := l.Request(ctx, d.ID, func(d *noon.Deployment) error { d.Approved = "bob"; change(d); return nil })
		if err == nil {
			t.Errorf("%s: could be changed", name)
		}
	}
	refusal := &noon.Error{Kind: noon.Conflict, Err: errors.New("it is over")}
	err := l.Request(ctx, d.ID, func(d *noon.Deployment) error { d.Approved = "bob"; return refusal })
	wantKind(t, err, noon.Conflict)
	if !errors.Is(err, refusal) {
		t.Errorf("error is %v, want the refusal in it", err)
	}
	if diff := cmp.Diff(before, must(l.Deployment(ctx, d.ID))(t), sameError()); diff != "" {
		t.Errorf("a refused request changed: %s", diff)
	}
	wantKind(t, l.Request(ctx, 9, func(*noon.Deployment) error { return nil }), noon.NotFound)
}

func TestDeploymentsListed(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	ctx := t.Context()
	here, there := production(), staging()
	for i, s := range noon.Statuses() { // 1 … 11, all there are
		d := walking([]noon.Site{here, there}[i%2])
		d.Status = s
		create(t, l, d)
	}
	var open, unfinished []int64
	for i, s := range noon.Statuses() {
		if !s.Ended() {
			open = append(open, int64(i+1))
		}
		if i%2 == 0 && (!s.Ended() || s == noon.Warm) {
			unfinished = append(unfinished, int64(i+1))
		}
	}
	ids := func(ds []noon.Deployment, err error) []int64 {
		t.Helper()
		noErr(t, err)
		var all []int64
		for _, d := range ds {
			all = append(all, d.ID)
			if len(d.Plan.States) != 2 {
				t.Errorf("%s came without its plan", d.Name())
			}
		}
		return all
	}
	if got := ids(l.Open(ctx)); !cmp.Equal(got, open) {
		t.Errorf("open are %v, want %v", got, open)
	}
	if got := ids(l.Unfinished(ctx, here)); !cmp.Equal(got, unfinished) {
		t.Errorf("unfinished are %v, want %v", got, unfinished)
	}
	if got := ids(l.Deployments(ctx, ledger.Query{Limit: 3})); !cmp.Equal(got, []int64{11, 10, 9}) {
		t.Errorf("the newest three are %v", got)
	}
	if got := ids(l.Deployments(ctx, ledger.Query{Site: &there, Limit: 2})); !cmp.Equal(got, []int64{10, 8}) {
		t.Errorf("the newest two of staging are %v", got)
	}
	if got := ids(l.Deployments(ctx, ledger.Query{Site: &noon.Site{App: "blog", Environment: "x"}})); got != nil {
		t.Errorf("another app has %v", got)
	}
	if sites := must(l.Sites(ctx))(t); !cmp.Equal(sites, []noon.Site{here, there}) {
		t.Errorf("sites are %v", sites)
	}
}

func TestRecordRefused(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	l := open(t, path)
	ctx := t.Context()
	d := create(t, l, walking(production()))
	epoch := acquire(t, l, production())
	other := create(t, l, walking(staging()))
	over := walking(production())
	over.Status = noon.Returned
	over = create(t, l, over)
	before := dump(t, path)
	event := noon.Event{Kind: noon.Intent}
	with := func(d noon.Deployment, change func(*noon.Deployment)) noon.Deployment { change(&d); return d }
	for name, c := range map[string]struct {
		err  error
		kind noon.ErrorKind
	}{
		"old epoch":       {l.Record(ctx, d, epoch-1, event), noon.Stale},
		"future epoch":    {l.Record(ctx, d, epoch+1, event), noon.Stale},
		"no lease at all": {l.Record(ctx, other, epoch, event), noon.Stale},
		"unknown":         {l.Record(ctx, with(d, func(d *noon.Deployment) { d.ID = 99 }), epoch, event), noon.NotFound},
		"no status":       {l.Record(ctx, with(d, func(d *noon.Deployment) { d.Status = "" }), epoch, event), noon.Invalid},
		"another site":    {l.Record(ctx, with(d, func(d *noon.Deployment) { d.Site = staging() }), epoch, event), noon.Internal},
		"it is over":      {l.Record(ctx, with(over, func(d *noon.Deployment) { d.Status = noon.Walking }), epoch, event), noon.Conflict},
		"foreign event":   {l.Record(ctx, d, epoch, event, noon.Event{Deployment: other.ID}), noon.Internal},
		"append, stale":   {l.Append(ctx, epoch-1, noon.Event{Deployment: d.ID}), noon.Stale},
		"append to none":  {l.Append(ctx, epoch, noon.Event{Deployment: 99}), noon.NotFound},
		"append to two":   {l.Append(ctx, epoch, noon.Event{Deployment: d.ID}, noon.Event{Deployment: other.ID}), noon.Stale},
	} {
		if c.err == nil {
			t.Errorf("%s: taken", name)
			continue
		}
		if k := noon.KindOf(c.err); k != c.kind {
			t.Errorf("%s: kind is %s, want %s: %v", name, k, c.kind, c.err)
		}
	}
	if after := dump(t, path); after != before {
		t.Errorf("something of what was refused stayed:\n%s\nbefore:\n%s", after, before)
	}
}

func TestEventsGoOnFromTheLastSeen(t *testing.T) {
	t.Parallel()
	l := fresh(t, fixedClock())
	ctx := t.Context()
	a, b := create(t, l, walking(production())), create(t, l, walking(production()))
	epoch := acquire(t, l, production())
	noErr(t, l.Append(ctx, epoch))
	changed := l.Changed()
	noErr(t, l.Append(ctx, epoch, noon.Event{Deployment: a.ID, Subject: "1"}, noon.Event{Deployment: b.ID, Subject: "2"}, noon.Event{Deployment: a.ID, Subject: "3", Detail: "\xff\x00'"}))
	<-changed
	select {
	case <-l.Changed():
		t.Error("a write was announced twice")
	default:
	}
	got := must(l.Events(ctx, a.ID, 0))(t)
	want := []noon.Event{
		{Seq: 1, Deployment: a.ID, Epoch: epoch, At: noon2026(), Subject: "1"},
		{Seq: 3, Deployment: a.ID, Epoch: epoch, At: noon2026(), Subject: "3", Detail: "\uFFFD\x00'"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("journal differs: %s", diff)
	}
	if rest := must(l.Events(ctx, a.ID, 1))(t); len(rest) != 1 || rest[0].Seq != 3 {
		t.Errorf("after the first there are %+v", rest)
	}
}

// TestReadersFollowWriters has readers that wait for writes and go on from the
// last event they saw: none may miss one or see one early.
func TestReadersFollowWriters(t *testing.T) {
	t.Parallel()
	const writers, each = 3, 20
	l := fresh(t)
	ctx := t.Context()
	d := create(t, l, walking(production()))
	epoch := acquire(t, l, production())
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range each {
				if err := l.Append(ctx, epoch, noon.Event{Deployment: d.ID}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 2 {
		wg.Go(func() {
			for seen := int64(0); seen < writers*each; {
				changed := l.Changed()
				events, err := l.Events(ctx, d.ID, seen)
				if err != nil {
					t.Error(err)
					return
				}
				for _, e := range events {
					if seen++; e.Seq != seen {
						t.Errorf("after event %d came %d", seen-1, e.Seq)
					}
				}
				if len(events) == 0 {
					<-changed
				}
			}
		})
	}
	wg.Wait()
}

// TestOnlyTheNewestEpochWrites has two controllers that take sites from one
// another and go on writing, whether they know of it or not.
func TestOnlyTheNewestEpochWrites(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	ctx := t.Context()
	apps := 0
	rapid.Check(t, func(r *rapid.T) {
		apps++
		site := noon.Site{App: fmt.Sprintf("a%d", apps), Environment: "production"}
		d := must(l.Create(ctx, walking(site)))(r)
		var newest, generation int64
		holds := map[string]int64{}
		var want []string
		for i := range rapid.IntRange(1, 12).Draw(r, "steps") {
			who := rapid.SampledFrom([]string{"a", "b"}).Draw(r, "who")
			valid := newest != 0 && holds[who] == newest
			var err error
			what := rapid.SampledFrom([]string{"acquire", "record", "record", "append", "generation"}).Draw(r, "what")
			switch what {
			case "acquire":
				epoch := must(l.Acquire(ctx, site, who))(r)
				if newest++; epoch != newest {
					r.Fatalf("epoch is %d, want %d", epoch, newest)
				}
				holds[who] = epoch
				continue
			case "record":
				d.At = i
				err = l.Record(ctx, d, holds[who], noon.Event{Subject: fmt.Sprint(who, i)})
			case "append":
				err = l.Append(ctx, holds[who], noon.Event{Deployment: d.ID, Subject: fmt.Sprint(who, i)})
			case "generation":
				var g int64
				if g, err = l.NextGeneration(ctx, site, holds[who]); valid {
					if generation++; g != generation {
						r.Fatalf("generation is %d, want %d", g, generation)
					}
				}
			}
			if !valid {
				wantHint(r, err, noon.Stale, "Another controller")
				continue
			}
			noErr(r, err)
			if what != "generation" {
				want = append(want, fmt.Sprint(who, i))
			}
		}
		var got []string
		for _, e := range must(l.Events(ctx, d.ID, 0))(r) {
			got = append(got, e.Subject)
		}
		if !slices.Equal(got, want) {
			r.Fatalf("the journal holds %v, want %v", got, want)
		}
		lease := must(l.Lease(ctx, site))(r)
		if lease.Fence != (noon.Fence{Epoch: newest, Generation: generation}) || newest > 0 && holds[lease.Holder] != newest {
			r.Fatalf("lease is %+v, want epoch %d and generation %d", lease, newest, generation)
		}
	})
}
