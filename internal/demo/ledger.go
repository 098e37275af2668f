package demo

import (
	"fmt"
	"sync"
	"time"

	"github.com/noon-deploy/noon/internal/api"
	"github.com/noon-deploy/noon/internal/load"
)

// ledger is what a demo writes down while it is played.
type ledger struct {
	rate           float64
	opened, closed time.Time // when the first customer came and the last was let in
	load           load.Result
	verified       load.Verification

	mu        sync.Mutex
	steps     []Step
	lives     []Live
	deploys   []api.DeploymentView // those that nothing disturbed, under load
	rollbacks []time.Duration      // from the command to the last answer of the release that was left
	counts    struct{ deploys, rollbacks, crashes, upgrades int }
	problems  []string
}

// step writes down something that was done.
func (l *ledger) step(s Step) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.steps = append(l.steps, s)
}

// live writes down that a release has all customers from now on.
func (l *ledger) live(release string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.opened.IsZero() {
		return
	}
	if n := len(l.lives); n > 0 && l.lives[n-1].Release == release {
		return
	}
	l.lives = append(l.lives, Live{AtMS: millis(time.Since(l.opened)), Release: release})
}

// unexpected writes down that the demo did not go as it should.
func (l *ledger) unexpected(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.problems = append(l.problems, fmt.Sprintf(format, args...))
}

func (l *ledger) count(n *int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	*n++
}

// at is a moment on the clock of the report.
func (l *ledger) at(t time.Time) int64 {
	if l.opened.IsZero() {
		return 0
	}
	return millis(t.Sub(l.opened))
}

func millis(d time.Duration) int64 { return d.Milliseconds() }

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
