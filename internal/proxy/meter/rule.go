package meter

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math"
	"strconv"
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

// ParseRule reads a rule as people write it: "share=0.1 class=2 prefix=/static/
// slower=1s app=shop environment=production", in any order. The share is 1
// unless it is named.
func ParseRule(text string) (Rule, error) {
	r := Rule{Share: 1}
	for part := range strings.FieldsSeq(text) {
		name, value, ok := strings.Cut(part, "=")
		var err error
		switch name {
		case "share":
			r.Share, err = strconv.ParseFloat(value, 64)
		case "class":
			r.Class, err = strconv.Atoi(strings.TrimSuffix(value, "xx"))
		case "slower":
			r.Slower, err = time.ParseDuration(value)
		case "prefix":
			r.Prefix = value
		case "app":
			r.App = value
		case "environment":
			r.Environment = value
		default:
			err = errors.New("it begins with none of share, class, prefix, slower, app, environment")
		}
		if err != nil || !ok || value == "" {
			return Rule{}, fmt.Errorf("rule %q: %q is not NAME=VALUE that fits: %w", text, part, cmp.Or(err, errors.New("the value is missing")))
		}
	}
	if err := (Rules{r}).Check(); err != nil {
		return Rule{}, fmt.Errorf("rule %q: %w", text, err)
	}
	return r, nil
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
