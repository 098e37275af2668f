package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// ready has every new incarnation asked whether it is ready, and stops those
// whose time for that is up.
func (l *look) ready() {
	for _, i := range l.s.instances {
		if i.ready || i.draining || i.status.Step != Running || i.status.Stopping {
			continue
		}
		if limit := i.Service.Ready.Timeout; limit > 0 {
			if end := i.status.Started.Add(limit); l.now.After(end) {
				l.tooLate(i)
				continue
			} else {
				l.at(end)
			}
		}
		if !i.probing && (i.status.Port != 0 || !needsPort(i.Service.Ready)) {
			i.probing = true
			l.do = append(l.do, func(ctx context.Context) { l.s.probe(ctx, i.id) })
		}
	}
}

// tooLate stops an instance that did not get ready; the next incarnation
// follows as after an exit.
func (l *look) tooLate(i *instance) {
	if i.late != "" || i.leaving {
		return
	}
	i.late = fmt.Sprintf("not ready within %s", i.Service.Ready.Timeout)
	if answer := i.answer(l.now); answer != "" {
		i.late += " (" + answer + ")"
	}
	l.do = append(l.do, func(ctx context.Context) {
		if err := l.s.host.cfg.Runner.Stop(ctx, i.id, i.Service.Stop); err != nil && ctx.Err() == nil {
			l.s.failed("stop "+i.id, err, 10*time.Second)
			l.s.mu.Lock()
			i.late = ""
			l.s.mu.Unlock()
		}
	})
}

// hanging is how long a question is pending before that is the news.
const hanging = time.Second

// answer is what the instance last answered, or that it does not: an answer to
// the question before would tell of another trouble.
func (i *instance) answer(now time.Time) string {
	if age := now.Sub(i.asked); !i.asked.IsZero() && age >= hanging {
		return fmt.Sprintf("no answer within %s", age.Round(100*time.Millisecond))
	}
	return i.probe
}

// firstTry is the time between the first tries: an app that is up in a moment
// need not wait for a whole interval.
const firstTry = 5 * time.Millisecond

// probe asks one incarnation until it is ready or there is nothing more to
// ask.
func (s *site) probe(ctx context.Context, id string) {
	defer s.poke()
	wait := firstTry
	for {
		s.mu.Lock()
		i := s.instances[id]
		asking := i != nil && i.status.Step == Running && !i.status.Stopping && !i.draining && i.late == ""
		if !asking {
			if i != nil {
				i.probing = false
			}
			s.mu.Unlock()
			return
		}
		q := question{service: i.Service, port: i.status.Port, started: i.status.Started, root: s.host.releases.dir(i.Digest), id: id, env: s.probeEnv(i)}
		i.asked = time.Now()
		s.mu.Unlock()
		answer := q.ask(ctx)
		if s.answered(ctx, id, answer) {
			return
		}
		interval := max(firstTry, i.Service.Ready.Interval)
		if again, ok := errors.AsType[*againError](answer); ok {
			wait = again.after
		}
		select {
		case <-time.After(min(wait, interval)):
		case <-ctx.Done():
			return
		}
		wait = min(2*wait, interval)
	}
}

// probeEnv is the environment of a command that asks: the instance's own.
// s.mu is held.
func (s *site) probeEnv(i *instance) map[string]string {
	if s.desired == nil || len(i.Service.Ready.Command) == 0 {
		return nil
	}
	for _, r := range s.desired.Desired.Revisions {
		if r.Revision == i.Revision {
			if spec, err := s.spec(i.slot(), r, i.Service, i.Incarnation); err == nil {
				return spec.Env
			}
		}
	}
	return nil
}

// answered takes an answer in and reports whether the asking is over.
func (s *site) answered(ctx context.Context, id string, answer error) bool {
	if ctx.Err() != nil {
		return true
	}
	if answer == nil {
		s.host.cfg.Faults.Point("host.ready.before")
		// Not synced: after a power loss the instance is gone as well.
		if err := os.WriteFile(s.readyFile(id), nil, 0o600); err != nil {
			s.host.cfg.Log.Error("remember that an instance was ready", "instance", id, "err", err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.instances[id]
	if i == nil {
		return true
	}
	i.asked = time.Time{}
	if answer != nil {
		i.probe = answer.Error()
		return false
	}
	i.probing, i.probe = false, ""
	i.ready = true
	s.worked("start " + i.slot().String())
	s.enter(i, time.Now())
	return true
}

// againError is an answer that tells when to ask again.
type againError struct{ after time.Duration }

func (e *againError) Error() string { return fmt.Sprintf("has to run for another %s", e.after) }
