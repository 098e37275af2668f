package meter

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// Rule is one line of what is sampled: requests that fit all it says are
// written by its share. What is zero fits every request.
type Rule struct {
	App         string        `json:"app,omitempty"`
	Environment string        `json:"environment,omitempty"`
	Class       int           `json:"class,omitempty"`  // 1 … 5: the status class
	Prefix      string        `json:"prefix,omitempty"` // of the path, byte by byte
	Slower      time.Duration `json:"slower,omitempty"` // took at least
	Share       float64       `json:"share"`            // 0 none … 1 all
}

// Rules decide which requests are written. The first that fits does; where
// none fits the request is. Requests that failed, or were answered 5xx, always
// are.
type Rules []Rule

// Check finds mistakes.
func (rs Rules) Check() error {
	var errs []error
	for i, r := range rs {
		switch {
		case math.IsNaN(r.Share) || r.Share < 0 || r.Share > 1:
			errs = append(errs, fmt.Errorf("rule %d of the access log: share %v is not between 0 and 1", i+1, r.Share))
		case r.Class < 0 || r.Class > 5:
			errs = append(errs, fmt.Errorf("rule %d of the access log: class %d is not one of 1 to 5", i+1, r.Class))
		case r.Prefix != "" && !strings.HasPrefix(r.Prefix, "/"):
			errs = append(errs, fmt.Errorf("rule %d of the access log: path prefix %q does not begin with /", i+1, r.Prefix))
		case r.Slower < 0:
			errs = append(errs, fmt.Errorf("rule %d of the access log: slower than %v", i+1, r.Slower))
		}
	}
	return errors.Join(errs...)
}

// Share gives the share of requests like e that are written.
func (rs Rules) Share(e *Entry) float64 {
	if e.Status >= 500 || e.Failed && !e.Why.Client() {
		return 1
	}
	for i := range rs {
		if rs[i].fits(e) {
			return rs[i].Share
		}
	}
	return 1
}

func (r *Rule) fits(e *Entry) bool {
	return (r.App == "" || r.App == e.Key.Site.App) &&
		(r.Environment == "" || r.Environment == e.Key.Site.Environment) &&
		(r.Class == 0 || r.Class == e.Status/100) &&
		(r.Prefix == "" || hasPrefix(e.Path, r.Prefix)) &&
		e.Took >= r.Slower
}

func hasPrefix(path []byte, prefix string) bool {
	return len(path) >= len(prefix) && bytes.Equal(path[:len(prefix)], []byte(prefix))
}
