// Package fault has named points at which a test can make a noon process die.
//
// NOON_FAULT in the environment holds one of
//
//	NAME        kill this process with SIGKILL the first time NAME is passed
//	NAME:3      … the third time
//	*:17        … at the seventeenth point passed, whatever its name
//
// Without it, Point costs one comparison. NOON_FAULT_LOG names a file to which
// the name of the point is appended just before the process dies, so that a
// test knows what it has covered.
//
// A point is named by who passes it, what is done and the side of it:
// "ledger.record.before", "ledger.record.commit", "ledger.record.after". A
// test that runs a scenario with *:1, *:2, … until the process ends by itself
// has died once at every point of it, whatever points there are.
package fault

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// Environment variables that are read by FromEnv.
const (
	Env    = "NOON_FAULT"
	EnvLog = "NOON_FAULT_LOG"
)

// Points kills the process at one of its points. The nil value never does.
type Points struct {
	name string // "*" is any
	left atomic.Int64
	log  string
	die  func(name string)
}

// At returns points of which the one that is passed as the count-th, whatever
// its name, calls die, which must not return. It lets a simulated process die
// inside a test's process.
func At(count int64, die func(name string)) *Points {
	p := &Points{name: "*", die: die}
	p.left.Store(count)
	return p
}

// FromEnv returns the points that the environment asks for, nil if none.
func FromEnv() (*Points, error) { return parse(os.Getenv(Env), os.Getenv(EnvLog)) }

func parse(spec, log string) (*Points, error) {
	if spec == "" {
		return nil, nil
	}
	name, count, counted := strings.Cut(spec, ":")
	n := int64(1)
	var err error
	if counted {
		n, err = strconv.ParseInt(count, 10, 64)
	}
	if name == "" || err != nil || n < 1 {
		return nil, fmt.Errorf("%s=%q: want NAME, NAME:COUNT or *:COUNT", Env, spec)
	}
	p := &Points{name: name, log: log}
	p.left.Store(n)
	return p, nil
}

// Point is passed on both sides of every effect and journal write. It kills
// the process if this is the time and place that was asked for.
func (p *Points) Point(name string) {
	if p == nil || (p.name != "*" && p.name != name) || p.left.Add(-1) != 0 {
		return
	}
	if p.die != nil {
		p.die(name)
	}
	if p.log != "" {
		if f, err := os.OpenFile(p.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err == nil {
			fmt.Fprintln(f, name)
			f.Close()
		}
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // the kernel has not got round to it yet
}
