package daemon

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/api"
)

// haltLimit is how long the proxies may take to do what was asked for.
const haltLimit = 15 * time.Second

// Halt keeps users from a site, or lets them in again, and returns when the
// proxies do so. What was asked for is stored first: it holds over restarts
// and deployments, a hold until its time is over.
func (c *Controller) Halt(ctx context.Context, req api.HaltRequest) (noon.Halt, error) {
	if err := checkHalt(req); err != nil {
		return noon.Halt{}, err
	}
	last, err := c.lastStarted(ctx, req.Site)
	if err != nil {
		return noon.Halt{}, err
	}
	if last == nil {
		return noon.Halt{}, &noon.Error{
			Kind: noon.Conflict, Op: string(req.Action), Subject: req.Site.String(), Err: errors.New("nothing has been deployed to it"),
			Hint: "There are no users to keep away. `noon status` lists the environments.",
		}
	}
	event := noon.Event{Deployment: last.ID, Kind: noon.Intent, At: time.Now(), State: last.At, Subject: string(req.Action), Detail: haltDetail(req)}
	until := time.Now().Add(req.For).UTC()
	halt, err := c.ledger.SetHalt(ctx, req.Site, event, func(h noon.Halt) (noon.Halt, error) { return rewrite(h, req, until), nil })
	if err != nil {
		return halt, err
	}
	c.wake(req.Site)
	if err := c.halted(ctx, req, halt); err != nil {
		return halt, err
	}
	event.Kind, event.At, event.Detail = noon.Done, time.Now(), ""
	return halt.At(time.Now()), c.ledger.Note(ctx, req.Site, event)
}

func checkHalt(req api.HaltRequest) error {
	invalid := func(err error, hint string) error {
		return &noon.Error{Kind: noon.Invalid, Op: string(req.Action), Subject: req.Site.String(), Err: err, Hint: hint}
	}
	if err := errors.Join(noon.ValidName(req.Site.App), noon.ValidName(req.Site.Environment)); err != nil {
		return invalid(err, "Name the app and the environment as in noon.yaml.")
	}
	switch req.Action {
	case api.HoldSite:
		if req.For < time.Millisecond || req.For > noon.LongestHold {
			return invalid(fmt.Errorf("%s is no time to hold users for", req.For), fmt.Sprintf("It is at most %s: who waits longer has mostly left. `noon close` shows a page.", noon.LongestHold))
		}
		if req.Most < 0 {
			return invalid(fmt.Errorf("%d requests can not wait", req.Most), "Leave it out for the default.")
		}
	case api.CloseSite:
		if len(req.Text) > noon.MaxClosedText {
			return invalid(fmt.Errorf("the text has %d bytes, the limit is %d", len(req.Text), noon.MaxClosedText), "Say it in a sentence or two.")
		}
	case api.ResumeSite, api.OpenSite:
	default:
		return invalid(fmt.Errorf("%q is not an action", req.Action), "It is hold, resume, close or open.")
	}
	return nil
}

func rewrite(h noon.Halt, req api.HaltRequest, until time.Time) noon.Halt {
	switch req.Action {
	case api.HoldSite:
		// Who came first waits for the whole of it, and a moment for its end.
		h.Hold = &noon.Hold{Limit: req.For + 5*time.Second, Most: req.Most, Until: until, By: req.By}
		if req.Most == 0 {
			h.Hold.Most = noon.HoldMost
		}
	case api.ResumeSite:
		h.Hold = nil
	case api.CloseSite:
		h.Closed = &noon.Closed{Text: req.Text, By: req.By}
	case api.OpenSite:
		h.Closed = nil
	}
	return h
}

func haltDetail(req api.HaltRequest) string {
	var parts []string
	if req.Action == api.HoldSite {
		parts = append(parts, "for "+req.For.String())
	}
	if req.By != "" {
		parts = append(parts, "by "+req.By)
	}
	text := strings.Join(parts, " ")
	if req.Reason != "" {
		text += ": " + req.Reason
	}
	return strings.TrimPrefix(text, ": ")
}

// halted waits until the proxies do what was asked for.
func (c *Controller) halted(ctx context.Context, req api.HaltRequest, want noon.Halt) error {
	limited, stop := context.WithTimeout(ctx, haltLimit)
	defer stop()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	last := errors.New("the proxy has not confirmed it")
	for {
		seen, err := c.host.Observe(limited, req.Site)
		now := time.Now()
		switch {
		case err == nil && seen.Halt.At(now).Equal(want.At(now)):
			return nil
		case err != nil && limited.Err() == nil:
			last = err
		}
		select {
		case <-limited.Done():
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return &noon.Error{
				Kind: noon.Unavailable, Op: string(req.Action), Subject: req.Site.String(), Err: fmt.Errorf("not done within %s: %w", haltLimit, last),
				Hint: "It is written down, and takes effect as soon as host and proxy answer; `noon status` tells, `noon doctor` looks why.",
			}
		case <-look.C:
		}
	}
}
