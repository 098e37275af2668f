package demo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/api"
	"github.com/noon-deploy/noon/internal/load"
)

// Options is what a demo is started with.
type Options struct {
	Binary   string        // noon itself, an absolute path
	For      time.Duration // how long customers come, at least; the script is always played to its end
	Rate     float64       // journeys of customers a second; 0: what the machine takes with ease
	Keep     bool          // keep the directory
	Database string        // address of an empty PostgreSQL database, for the shop whose releases change it; "": the other one
	Version  string
	Environ  []string
	Progress io.Writer // a line for everything that is done
	Started  time.Time // when the demo was asked for
}

// tidyLimit bounds the cleaning up after a demo that was interrupted or has
// failed.
const tidyLimit = 90 * time.Second

// Run plays the demo and gives its report. The error says why it could not be
// played to its end; a report whose OK is false was played, and something was
// lost or was not as expected. Everything the demo started has ended when Run
// returns.
func Run(ctx context.Context, o Options) (r *Report, err error) {
	o.Started = cmp.Or(o.Started, time.Now())
	d := &demo{opts: o, say: &teller{w: o.Progress, start: o.Started}}
	if err := d.prepare(ctx); err != nil {
		return nil, err
	}
	r, err = d.play(ctx)
	keep := o.Keep || err != nil || !r.OK()
	if ctx.Err() != nil {
		err, keep = context.Cause(ctx), o.Keep
	}
	err = errors.Join(err, d.tidy(ctx, keep))
	if r != nil && (keep || err != nil) {
		r.Kept = d.place.dir
	}
	if err != nil && ctx.Err() == nil {
		err = &noon.Error{Kind: noon.Failure, Op: "play the demo", Err: err, Hint: kept(d.place.dir)}
	}
	return r, err
}

// kept tells where to look.
func kept(dir string) string {
	return "See " + dir + ": commands.log has what was run, serve.log and data/log what the parts of noon said. Remove it when you have seen enough."
}

// demo is one run.
type demo struct {
	opts   Options
	say    *teller
	place  place
	noon   *command
	serve  *server
	client *api.Client
	site   noon.Site
	plot   plot
	live   string // release
	owner  string // token of the shop's owner

	customers *load.Load
	book      ledger
	crowd     sync.WaitGroup // the customers while they come
	leave     context.CancelFunc
}

// prepare makes the directory and starts noon in it.
func (d *demo) prepare(ctx context.Context) (err error) {
	d.site = noon.Site{App: "shop", Environment: "production"}
	d.plot, d.owner = plotOf(d.opts.Database), token()
	if err := needed(); err != nil {
		return err
	}
	if d.place, err = newPlace(); err != nil {
		return err
	}
	env, err := d.place.environ(ctx, d.opts.Environ)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return errors.Join(err, d.place.remove())
	}
	d.noon = &command{binary: d.opts.Binary, dir: d.place.source(), env: env, log: d.place.file("commands.log")}
	d.serve = &server{binary: d.opts.Binary, args: d.place.serveArgs(), env: env, log: d.place.file("serve.log")}
	d.client = api.NewClient(d.place.socket("api"))
	return nil
}

// play is the whole demo.
func (d *demo) play(ctx context.Context) (*Report, error) {
	for _, step := range []func(context.Context) error{d.open, d.build, d.configure, d.first, d.welcome, d.script, d.close} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return d.report(ctx)
}

// tidy ends what is left and removes the directory.
func (d *demo) tidy(ctx context.Context, keep bool) error {
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyLimit)
	defer cancel()
	if d.leave != nil {
		d.leave()
		d.crowd.Wait()
	}
	err := d.takeDown(limited)
	d.client.Close()
	if keep || err != nil {
		d.say.line("kept     %s", d.place.dir)
		return err
	}
	return errors.Join(err, d.place.remove())
}

// teller tells what is being done.
type teller struct {
	mu    sync.Mutex
	w     io.Writer
	start time.Time
}

func (t *teller) line(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.w, "%6.1fs  %s\n", time.Since(t.start).Seconds(), fmt.Sprintf(format, args...))
}
