package mariadb_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/dbtest"
	"github.com/noon-deploy/noon/internal/database/mariadb"
	"github.com/noon-deploy/noon/internal/fault"
)

// childArg makes the test's binary a process that reaches one phase, or makes a
// release's user.
const childArg = "-reach"

// errand is what such a process is told.
type errand struct {
	Config  mariadb.Config
	Order   mariadb.Order
	Release string // to make a user for, instead
}

func child() int {
	var e errand
	if err := json.NewDecoder(os.Stdin).Decode(&e); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	points, err := fault.FromEnv()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	e.Config.Fault = points
	ctx := context.Background()
	engine, err := mariadb.Open(ctx, e.Config)
	if err == nil && e.Release != "" {
		_, err = engine.Role(ctx, e.Release, e.Order.Version, password)
	} else if err == nil {
		err = engine.Reach(ctx, e.Order, nil)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// send lets another process run an errand, and reports at which point it was
// killed: "" if it came to its end.
func (s *shop) send(t *testing.T, e errand, point int) string {
	t.Helper()
	name, err := s.sent(t, e, point)
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// sent is send for an errand that may fail.
func (s *shop) sent(t *testing.T, e errand, point int) (string, error) {
	t.Helper()
	e.Config = mariadb.Config{URL: s.noon(), App: s.app, User: s.app + "_app", Batch: 100, Workers: 2, Wait: true}
	in, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(t.TempDir(), "died")
	cmd := exec.CommandContext(t.Context(), os.Args[0], childArg)
	cmd.Stdin = bytes.NewReader(in)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=*:%d", fault.Env, point), fault.EnvLog+"="+log)
	err = cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			name, err := os.ReadFile(log)
			if err != nil {
				t.Fatal(err)
			}
			return strings.TrimSpace(string(name)), nil
		}
	}
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out.String())
	}
	return "", nil
}

const crowded = people + "; INSERT INTO users (mail, age, first, last) SELECT CONCAT('u', seq), seq % 90, CONCAT('f', seq), CONCAT('l', seq) FROM seq_1_to_450"

// The process of the engine dies at each point of the way to a phase while both
// releases write: the next one goes on from there, dies at its next point, and
// so on. No statement fails, and no row is lost.
func TestKilledAtEveryPoint(t *testing.T) {
	t.Parallel()
	s := newShop(t, crowded)
	one := s.release(t, "r1", 0)
	c := newCrowd(t)
	c.come(2, one, oldWords())
	p := s.plan(t, renewal)
	s.dies(t, errand{Order: mariadb.Order{Plan: &p, Phase: mariadb.Expanded}})
	s.dies(t, errand{Order: mariadb.Order{Version: p.To}, Release: "r2"})
	two := s.release(t, "r2", p.To)
	c.come(2, two, newWords())
	c.enough(t, 200)
	c.stop(t)
	c.compare(t, one, oldWords())
	c.compare(t, two, newWords())
	if err := s.engine.DropRole(t.Context(), "r2"); err != nil {
		t.Fatal(err)
	}
	c.come(2, one, oldWords())
	if name := s.send(t, errand{Order: mariadb.Order{Version: p.To, Phase: mariadb.Withdrawn}}, 5); name == "" {
		t.Error("the withdrawal did not die")
	}
	s.reach(t, p, mariadb.Expanded) // somebody has changed their mind half way
	s.dies(t, errand{Order: mariadb.Order{Version: p.To, Phase: mariadb.Withdrawn}})
	c.enough(t, 20)
	s.reach(t, p, mariadb.Expanded)
	two = s.release(t, "r2", p.To)
	c.come(2, two, newWords())
	c.enough(t, 100)
	c.stop(t)
	c.compare(t, one, oldWords())
	if err := s.engine.DropRole(t.Context(), "r1"); err != nil {
		t.Fatal(err)
	}
	c.come(2, two, newWords())
	s.dies(t, errand{Order: mariadb.Order{Version: p.To, Phase: mariadb.Contracted}})
	c.enough(t, 20)
	c.stop(t)
	c.compare(t, two, newWords())
}

// dies runs an errand again and again, each process dying one point later than
// the one before, from the first one on when a stage is done.
func (s *shop) dies(t *testing.T, e errand) {
	t.Helper()
	died := 0
	defer s.watch.During(s.app, cmp.Or(string(e.Order.Phase), "role"))()
	for point := 1; ; point++ {
		name := s.send(t, e, point)
		if name == "" {
			t.Logf("%s%s: died %d times", e.Order.Phase, e.Release, died)
			return
		}
		died++
		for _, end := range []string{"begin", "alter", "execute", "backfill", "contracting", "withdrawing"} {
			if name == "mariadb."+end+".after" {
				point = 0
			}
		}
		if died > 150 {
			t.Fatal("the points have no end")
		}
	}
}

// The server dies in each phase, with writers on it.
func TestServerKilled(t *testing.T) {
	t.Parallel()
	server := dbtest.ForTest(t, dbtest.MariaDB)
	w := newWatch(t.Context(), server.MariaDBURL("mysql"))
	t.Cleanup(w.Close)
	s := newShopOn(t, server, w, crowded)
	one := s.release(t, "r1", 0)
	c := newCrowd(t)
	c.patient = true
	c.come(1, one, oldWords())
	p := s.plan(t, renewal)
	s.survive(t, mariadb.Order{Plan: &p, Version: p.To, Phase: mariadb.Expanded}, "add columns to users", "add triggers to users", "fill users", "index users users_name")
	two := s.release(t, "r2", p.To)
	c.come(1, two, newWords())
	c.enough(t, 50)
	c.stop(t)
	c.compare(t, one, oldWords())
	c.compare(t, two, newWords())
	if err := s.engine.DropRole(t.Context(), "r1"); err != nil {
		t.Fatal(err)
	}
	c.come(1, two, newWords())
	s.survive(t, mariadb.Order{Version: p.To, Phase: mariadb.Contracted}, "prove users", "settle users", "drop triggers of users", "drop columns of users")
	c.enough(t, 20)
	c.stop(t)
	c.compare(t, two, newWords())
}

// survive takes a version to a phase on a server that dies in each of some
// stages.
func (s *shop) survive(t *testing.T, o mariadb.Order, stages ...string) {
	t.Helper()
	defer s.watch.During(s.app, string(o.Phase))()
	for _, stage := range stages {
		reached := make(chan struct{}, 1)
		ended := make(chan error, 1)
		go func() {
			ended <- s.engine.Reach(t.Context(), o, func(p mariadb.Progress) {
				if p.Stage == stage {
					select {
					case reached <- struct{}{}:
					default:
					}
				}
			})
		}()
		select {
		case <-reached:
			s.server.Kill()
			if err := <-ended; err != nil && noon.HintOf(err) == "" {
				t.Errorf("the server died in %s: %v without a hint", stage, err)
			}
			if err := s.server.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
		case err := <-ended:
			if err != nil {
				t.Fatalf("%s: %v", stage, err)
			}
		case <-time.After(time.Minute):
			t.Fatalf("stage %s is not reached", stage)
		}
	}
	if err := s.engine.Reach(t.Context(), o, nil); err != nil {
		t.Fatal(err)
	}
}
