package soak_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/noon-deploy/noon/internal/proxy"
)

// drains end releases that nobody is sent to any more.
type drains struct {
	r    *rig
	done sync.WaitGroup
	mu   sync.Mutex
	errs []error
}

// end drains an instance and kills it as soon as that is said to be done: if
// anything was still on its way it would fail.
func (d *drains) end(i *running, limit time.Duration) {
	d.done.Go(func() {
		err := d.r.Drain(context.Background(), site(), []string{i.id()}, limit)
		i.kill()
		if err != nil {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.errs = append(d.errs, err)
		}
	})
}

func (d *drains) wait(t *testing.T) {
	t.Helper()
	d.done.Wait()
	wantNone(t, "drains failed", d.errs)
}

// TestSwitches: releases follow one another, each with an instance of its own,
// and those that went are really gone.
func TestSwitches(t *testing.T) {
	s := size(t)
	parallel(t, s)
	r := newRig(t, proxy.Limits{})
	current := r.run(1)
	r.route(r.routing(1, current))
	before := r.baseline()
	load, held := startLoad(r.config.Listen, r.book, kinds(s), s.rate), startHolders(r.config.Listen, r.book, s.streams)
	pause(t.Context(), s.pause)
	old := &drains{r: r}
	for n := range s.events {
		next := r.run(n + 2)
		r.route(r.routing(n+2, next))
		old.end(current, s.drain)
		current = next
		pause(t.Context(), s.pause)
	}
	old.wait(t)
	load.end(t)
	held.end(t)
	after := r.settle(before)
	row{fmt.Sprintf("%d switches", s.events), r.book, before, after, ""}.tell(t)
	wantNone(t, "failed", r.book.failed(every))
	r.book.wantClean(t)
	r.book.wantStreams(t)
	r.wantOnce()
}

// TestUpgrades: the proxy replaces itself again and again.
func TestUpgrades(t *testing.T) {
	s := size(t)
	parallel(t, s)
	r := newRig(t, proxy.Limits{Linger: s.linger})
	r.route(r.routing(1, r.run(1), r.run(1)))
	before := r.baseline()
	load, held := startLoad(r.config.Listen, r.book, kinds(s), s.rate), startHolders(r.config.Listen, r.book, s.streams)
	pause(t.Context(), s.pause)
	for range s.events {
		if err := r.Upgrade(t.Context(), []string{self(t)}); err != nil {
			t.Fatal(err)
		}
		pause(t.Context(), s.pause)
	}
	load.end(t)
	held.end(t)
	after := r.settle(before)
	row{fmt.Sprintf("%d upgrades of the proxy", s.events), r.book, before, after, ""}.tell(t)
	wantNone(t, "failed", r.book.failed(every))
	r.book.wantClean(t)
	r.book.wantStreams(t)
	r.wantOnce()
}
