package ledger_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noon-deploy/noon"
)

func TestHalt(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	l := open(t, path, fixedClock())
	ctx := t.Context()
	if halt := must(l.Halt(ctx, production()))(t); !halt.Equal(noon.Halt{}) {
		t.Fatalf("a site that nobody has halted: %+v", halt)
	}
	d := must(l.Create(ctx, noon.Deployment{Site: production(), Status: noon.Queued}))(t)
	event := noon.Event{Deployment: d.ID, Kind: noon.Intent, Subject: "close", Detail: "by ana"}
	closed := noon.Halt{
		Hold:   &noon.Hold{Limit: time.Second, Most: 3, Until: noon2026().Add(time.Minute), By: "ana"},
		Closed: &noon.Closed{Text: "back soon", By: "ana"},
	}
	must(l.SetHalt(ctx, production(), event, func(noon.Halt) (noon.Halt, error) { return closed, nil }))(t)

	refused := errors.New("no")
	if _, err := l.SetHalt(ctx, production(), event, func(h noon.Halt) (noon.Halt, error) {
		if !h.Equal(closed) {
			t.Errorf("now it is %+v", h)
		}
		return noon.Halt{}, refused
	}); !errors.Is(err, refused) {
		t.Errorf("refused with %v", err)
	}
	if _, err := l.SetHalt(ctx, staging(), event, func(h noon.Halt) (noon.Halt, error) { return h, nil }); err == nil {
		t.Error("a deployment of another site takes the event")
	}
	if _, err := l.SetHalt(ctx, production(), noon.Event{Deployment: 99}, func(h noon.Halt) (noon.Halt, error) { return h, nil }); noon.KindOf(err) != noon.NotFound {
		t.Errorf("an event of no deployment: %v", err)
	}
	if err := l.Note(ctx, production(), noon.Event{Deployment: d.ID, Kind: noon.Done, Subject: "close"}); err != nil {
		t.Error(err)
	}
	if halt := must(l.Halt(ctx, staging()))(t); !halt.Equal(noon.Halt{}) {
		t.Errorf("the other site has %+v", halt)
	}
	var got []string
	for _, e := range must(l.Events(ctx, d.ID, 0))(t) {
		got = append(got, string(e.Kind)+" "+e.Subject)
	}
	if diff := cmp.Diff([]string{"intent close", "done close"}, got); diff != "" {
		t.Error(diff)
	}
	again := open(t, path)
	if halt := must(again.Halt(ctx, production()))(t); !halt.Equal(closed) {
		t.Errorf("read again it is %+v", halt)
	}
}
