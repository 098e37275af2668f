package postgres_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/dbtest"
	"github.com/noon-deploy/noon/internal/database/postgres"
)

// pooled is a shop whose releases come through PgBouncer in transaction mode.
// The engine goes to the server itself.
type pooled struct {
	*shop
	pooler   *dbtest.Server
	old, new *crowd
}

func newPooled(t *testing.T) *pooled {
	t.Helper()
	pooler, err := dbtest.PgBouncer(t.Context(), shared.server)
	if err != nil {
		t.Fatal(err)
	}
	p := &pooled{shop: newShop(t, small), pooler: pooler}
	closing(t, pooler)
	p.old, p.new = p.people(t, "r1", 0), p.people(t, "r2", 1)
	return p
}

// people use one release. A pooler in transaction mode keeps no prepared
// statements for them.
func (p *pooled) people(t *testing.T, release string, version int) *crowd {
	t.Helper()
	url := p.through(p.release(t, release, version)) + "&default_query_exec_mode=exec"
	return newCrowd(t, p.shop, url, url)
}

// through is an address by way of the pooler.
func (p *pooled) through(url string) string {
	return strings.Replace(url, port(p.server), port(p.pooler), 1)
}

func port(s *dbtest.Server) string { return fmt.Sprintf(":%d/", s.Port()) }

// reconnect has the pooler log in to the server anew for each next transaction.
func (p *pooled) reconnect(t *testing.T) {
	t.Helper()
	if _, err := p.pooler.Console(t.Context(), "reconnect"); err != nil {
		t.Fatal(err)
	}
}

// expand serves both releases while people use the old one, and lets people use
// both. The roles are made sure of again meanwhile, as a controller does that has
// died and come back, and the pooler logs in anew for clients that it let in
// before.
func (p *pooled) expand(t *testing.T) postgres.Plan {
	t.Helper()
	plan := p.firstPlan(t, smallChange)
	p.old.old(3)
	p.old.enough(t, 20)
	p.reach(t, plan, postgres.Expanded)
	p.new.new(3)
	p.new.enough(t, 20)
	p.release(t, "r1", 0)
	p.release(t, "r2", 1)
	p.reconnect(t)
	p.old.enough(t, 50)
	p.new.enough(t, 50)
	return plan
}

// leave takes the version of a crowd that has stopped away. As long as the
// pooler keeps connections of its release, it is refused and nothing is changed.
func (p *pooled) leave(t *testing.T, plan postgres.Plan, phase postgres.Phase) {
	t.Helper()
	defer p.watch.During(p.app, string(phase))()
	reach := func() error {
		return p.engine.Reach(t.Context(), postgres.Order{Plan: &plan, Phase: phase, AcceptLoss: true}, nil)
	}
	if err := reach(); noon.KindOf(err) != noon.Conflict || !strings.Contains(err.Error(), "use the version that would go away") {
		t.Fatalf("with connections that the pooler has kept: %v", err)
	}
	p.reconnect(t)
	for until := time.Now().Add(time.Minute); ; {
		err := reach()
		if err == nil {
			return
		}
		if noon.KindOf(err) != noon.Conflict || time.Now().After(until) {
			t.Fatal(err)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// Two releases write through PgBouncer in transaction mode while one becomes the
// other: no statement fails, and no row differs.
func TestThroughPgBouncer(t *testing.T) {
	t.Parallel()
	t.Run("forward", func(t *testing.T) {
		t.Parallel()
		p := newPooled(t)
		plan := p.expand(t)
		p.old.stop(t)
		p.leave(t, plan, postgres.Contracted)
		p.new.enough(t, 50)
		p.new.stop(t)
		p.old.one, p.old.two = p.new.one, p.new.two // who sees what its people wrote
		p.old.compare(t, false, true)
		p.new.compare(t, false, true)
		p.settled(t)
	})
	t.Run("back", func(t *testing.T) {
		t.Parallel()
		p := newPooled(t)
		plan := p.expand(t)
		p.new.stop(t)
		p.leave(t, plan, postgres.Withdrawn)
		p.old.enough(t, 50)
		p.old.stop(t)
		p.new.one, p.new.two = p.old.one, p.old.two
		p.old.compare(t, true, false)
		p.new.compare(t, true, false)
		p.empty(t)
	})
	t.Run("both", func(t *testing.T) {
		t.Parallel()
		p := newPooled(t)
		p.expand(t)
		p.old.stop(t)
		p.new.stop(t)
		p.old.two, p.new.one = p.new.two, p.old.one
		p.old.compare(t, true, true)
		p.new.compare(t, true, true)
	})
}

// Noon's own sessions keep a lock and settings: an address that leads to a
// pooler which shares them is refused before anything is done.
func TestPooledAddress(t *testing.T) {
	t.Parallel()
	p := newPooled(t)
	_, err := postgres.Open(t.Context(), postgres.Config{URL: p.through(p.noon), App: p.app, Role: p.owner})
	if noon.KindOf(err) != noon.Invalid || !strings.Contains(err.Error(), "pooler") {
		t.Errorf("noon by way of the pooler: %v", err)
	}
}
