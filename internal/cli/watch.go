package cli

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/api"
	"github.com/noon-deploy/noon/internal/tui"
)

// board shows a deployment while it is watched. It has four methods because a
// view has a begin, a clock, remarks and an end.
type board interface {
	Show(v api.DeploymentView)
	Tick()
	Note(text string)
	Close()
}

// unseen is the board of --json and --quiet.
type unseen struct{}

func (unseen) Show(api.DeploymentView) {}
func (unseen) Tick()                   {}
func (unseen) Note(string)             {}
func (unseen) Close()                  {}

func (f *face) board() board {
	switch {
	case f.flags.json || f.flags.quiet:
		return unseen{}
	case tui.IsTerminal(f.Stdout) && f.Getenv("TERM") != "dumb":
		return tui.NewLive(f.Stdout, f.wantsColor(), func() int { return tui.Width(f.Stdout) }, f.Now)
	default:
		return tui.NewLines(f.Stdout, f.Now)
	}
}

// seeThrough watches a deployment to its end and tells how it ended.
func (f *face) seeThrough(ctx context.Context, d noon.Deployment) error {
	if err := f.watch(ctx, d); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx) // somebody who interrupted and stayed wants to see the end
	c, err := f.api()
	if err != nil {
		return err
	}
	var v api.DeploymentView
	err = retry(ctx, func() error {
		v, err = c.Deployment(ctx, d.ID)
		return err
	})
	if err != nil {
		return err
	}
	if err := f.emit(v, func(p tui.Page) string { return p.Outcome(v.Deployment) }); err != nil {
		return err
	}
	return outcome(v.Deployment)
}

// outcome is the error of a deployment that did not bring its release live.
func outcome(d noon.Deployment) error {
	switch d.Status {
	case noon.Warm, noon.Succeeded:
		return nil
	case noon.Returned:
		err := &noon.Error{Kind: noon.Failure, Op: string(d.Plan.Kind), Subject: d.Name(), Err: errors.New("it went back")}
		if d.Error != nil {
			*err = *d.Error
			err.Kind = noon.Failure
		}
		return err
	default:
		return &noon.Error{
			Kind: noon.Conflict, Op: string(d.Plan.Kind), Subject: d.Name(), Err: fmt.Errorf("it is %s", d.Status),
			Hint: "`noon status` tells what is live, `noon history` what came instead.",
		}
	}
}

// frames is how often a second a board is redrawn at most.
const frames = 10

// watch shows a deployment until it has ended. The first interrupt on a
// terminal tells that the deployment goes on, and so does the watching; the
// second ends the process by its signal. Without a terminal the first one
// ends the watching.
func (f *face) watch(ctx context.Context, d noon.Deployment) error {
	c, err := f.api()
	if err != nil {
		return err
	}
	var following sync.WaitGroup
	defer following.Wait()
	streaming, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	views, away, ended := make(chan api.DeploymentView), make(chan error), make(chan error, 1)
	following.Go(func() { ended <- follow(streaming, c, d.ID, views, away) })

	b := f.board()
	defer b.Close()
	tick := time.NewTicker(time.Second / frames)
	defer tick.Stop()
	interrupt := ctx.Done()
	for {
		select {
		case v := <-views:
			b.Show(v)
		case err := <-away:
			b.Note(fmt.Sprintf("the controller has gone away (%s); waiting for it, %s goes on when it is back\n", tui.Clean(err.Error()), d.Name()))
		case <-tick.C:
			b.Tick()
		case err := <-ended:
			return err
		case <-interrupt:
			if !tui.IsTerminal(f.Stdout) {
				return coded{code: exitInterrupted, err: goesOn(d)}
			}
			interrupt = nil
			b.Note(errorText(goesOn(d)) + "  Once more to leave.\n")
		}
	}
}

func goesOn(d noon.Deployment) error {
	return &noon.Error{
		Kind: noon.Failure, Op: "watch", Subject: d.Name(), Err: errors.New("interrupted; the deployment goes on"),
		Hint: fmt.Sprintf("`noon status` shows it, `noon history %s` its journal; `noon abort %s` takes it back.", d.Name(), d.Name()),
	}
}

// tell is how many tries of retry pass, about 3 s, before somebody who watches
// is told that the controller has gone away.
const tell = 10

// follow hands on what the controller tells of a deployment until it has
// ended. A controller that goes away is waited for, each time anew; away is told
// if that takes longer than a restart does.
func follow(ctx context.Context, c *api.Client, id int64, views chan<- api.DeploymentView, away chan<- error) error {
	seen, done := false, false
	see := func(v api.DeploymentView) error {
		seen, done = true, v.Status.Ended()
		select {
		case views <- v:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	for {
		seen = false
		tries := 0
		err := retry(ctx, func() error {
			err := c.Watch(ctx, id, see)
			if err == nil && !done {
				err = &noon.Error{Kind: noon.Unavailable, Op: "watch", Subject: fmt.Sprintf("d%d", id), Err: errors.New("the controller has ended the answer")}
			}
			if tries++; tries == tell && noon.KindOf(err) == noon.Unavailable {
				select {
				case away <- err:
				case <-ctx.Done():
				}
			}
			return err
		})
		if done || !seen || noon.KindOf(err) != noon.Unavailable {
			return err
		}
	}
}
