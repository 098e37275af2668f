package ledger_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/ledger"
)

func production() noon.Site { return noon.Site{App: "shop", Environment: "production"} }

func testKey() ledger.Key {
	var k ledger.Key
	for i := range k {
		k[i] = byte(i + 1)
	}
	return k
}

func open(t *testing.T, path string, opts ...ledger.Option) *ledger.Ledger {
	t.Helper()
	l, err := ledger.Open(t.Context(), path, testKey(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func fresh(t *testing.T, opts ...ledger.Option) *ledger.Ledger {
	t.Helper()
	return open(t, filepath.Join(t.TempDir(), "ledger.db"), opts...)
}

func noErr(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// must returns v, or ends the test.
func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		noErr(t, err)
		return v
	}
}

// walking is a deployment of r1 to r2 with every part of it filled.
func walking(site noon.Site) noon.Deployment {
	at := time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)
	return noon.Deployment{
		Site: site, Status: noon.Walking, At: 1, By: "ada", Created: at, Started: at.Add(time.Second),
		Plan: noon.Plan{
			Kind: noon.PlanDeploy, Site: site, From: noon.Revision{Release: 1}, To: noon.Revision{Release: 2, Config: 3},
			States: []noon.State{{Kind: noon.Settled}, {Kind: noon.Prepared, Changes: []string{"r2 is unpacked"}}},
		},
	}
}

func create(t *testing.T, l *ledger.Ledger, d noon.Deployment) noon.Deployment {
	t.Helper()
	return must(l.Create(t.Context(), d))(t)
}

func acquire(t *testing.T, l *ledger.Ledger, site noon.Site) int64 {
	t.Helper()
	return must(l.Acquire(t.Context(), site, t.Name()))(t)
}

func wantKind(t *testing.T, err error, kind noon.ErrorKind) {
	t.Helper()
	if err == nil || noon.KindOf(err) != kind {
		t.Fatalf("error is %v of kind %q, want kind %q", err, noon.KindOf(err), kind)
	}
}

func TestReopenKeepsEverything(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger.db")
	ctx := context.Background()
	l := must(ledger.Open(ctx, path, testKey()))(t)
	d := create(t, l, walking(production()))
	epoch := acquire(t, l, production())
	noErr(t, l.Record(ctx, d, epoch, noon.Event{Kind: noon.Intent, Subject: "enter"}))
	noErr(t, l.Close())
	events := must(open(t, path).Events(ctx, d.ID, 0))(t)
	if len(events) != 1 || events[0].Seq != 1 || events[0].Epoch != epoch || events[0].Deployment != d.ID {
		t.Fatalf("journal holds %+v", events)
	}
}
