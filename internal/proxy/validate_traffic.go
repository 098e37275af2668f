package proxy

import (
	"fmt"
	"strings"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/proxy/rules"
)

// checkPathsOf: a prefix is of all revisions, or of some, once each.
func checkPathsOf(r noon.Routing) []error {
	type owner struct {
		prefix   string
		revision noon.Revision // zero: all
	}
	var errs []error
	seen, special := map[owner]bool{}, map[string]bool{}
	for _, p := range r.Paths {
		at := owner{prefix: normalPrefix(p.Prefix)}
		if p.Revision != nil {
			if err := checkRevision(*p.Revision); err != nil {
				errs = append(errs, fmt.Errorf("path %q: %w", p.Prefix, err))
			}
			at.revision = *p.Revision
			special[at.prefix] = true
		}
		if seen[at] {
			errs = append(errs, fmt.Errorf("path %q is named twice", p.Prefix))
		}
		seen[at] = true
	}
	for _, p := range r.Paths {
		if p.Revision == nil && special[normalPrefix(p.Prefix)] {
			errs = append(errs, fmt.Errorf("path %q is of all revisions and of one", p.Prefix))
		}
	}
	return errs
}

func checkTraffic(r noon.Routing) []error {
	var errs []error
	if _, err := rules.Compile(r.Traffic); err != nil {
		errs = append(errs, err)
	}
	l, rep := r.Traffic.Limits, r.Traffic.Replay
	if l.Body < 0 || l.InFlight < 0 || l.Queue < 0 || l.PerAddress < 0 || min(l.QueueTime, l.FirstByte, l.Idle, l.Total, l.Goodbye) < 0 {
		errs = append(errs, fmt.Errorf("limits must not be negative: %+v", l))
	}
	for _, prefix := range rep.Paths {
		if !strings.HasPrefix(prefix, "/") {
			errs = append(errs, fmt.Errorf("replay: path %q does not begin with /", prefix))
		}
	}
	if rep.Memory < 0 || rep.Spool < 0 || rep.Budget < 0 || rep.Budget > 100 || rep.After < 0 {
		errs = append(errs, fmt.Errorf("replay: memory %d, spool %d, budget %d %% and after %s are not possible", rep.Memory, rep.Spool, rep.Budget, rep.After))
	}
	if o := r.Traffic.Outliers; min(o.Row, o.Above, o.Answers, o.Most) < 0 || max(o.Above, o.Most) > 100 || o.Time < 0 {
		errs = append(errs, fmt.Errorf("outliers: row %d, above %d %%, answers %d, most %d %% and time %s are not possible", o.Row, o.Above, o.Answers, o.Most, o.Time))
	}
	return append(errs, checkHealth(r.Traffic.Health)...)
}

func checkHealth(h *noon.HealthCheck) []error {
	if h == nil {
		return nil
	}
	var errs []error
	if !strings.HasPrefix(h.Path, "/") || strings.ContainsFunc(h.Path, func(c rune) bool { return c <= ' ' || c == '#' || c > '~' }) {
		errs = append(errs, fmt.Errorf("health check: %q is not a path", h.Path))
	}
	// More often than this, the questions are the load.
	if h.Interval < 10*time.Millisecond || h.Timeout <= 0 || h.Failures < 0 {
		errs = append(errs, fmt.Errorf("health check: interval %s, timeout %s and %d failures are not possible", h.Interval, h.Timeout, h.Failures))
	}
	return errs
}

func checkSegments(r noon.Routing) []error {
	var errs []error
	seen := map[string]bool{}
	for _, s := range r.Segments {
		if err := noon.ValidName(s.Name); err != nil {
			errs = append(errs, fmt.Errorf("segment: %w", err))
		}
		if err := checkRevision(s.Revision); err != nil {
			errs = append(errs, fmt.Errorf("segment %s: %w", s.Name, err))
		}
		if seen[s.Name] {
			errs = append(errs, fmt.Errorf("segment %s is named twice", s.Name))
		}
		seen[s.Name] = true
	}
	if _, err := rules.CompileSegments(r.Segments); err != nil {
		errs = append(errs, err)
	}
	return errs
}

func checkHalt(r noon.Routing) []error {
	var errs []error
	if h := r.Hold; h != nil && (h.Limit < 0 || h.Limit > noon.LongestHold+time.Minute || h.Most < 0) {
		errs = append(errs, fmt.Errorf("hold of %s for %d requests: a request waits at most %s", h.Limit, h.Most, noon.LongestHold))
	}
	if c := r.Closed; c != nil && len(c.Text) > noon.MaxClosedText {
		errs = append(errs, fmt.Errorf("the text of a closed site has %d bytes, the limit is %d", len(c.Text), noon.MaxClosedText))
	}
	return errs
}
