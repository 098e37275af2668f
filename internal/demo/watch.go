package demo

import (
	"context"
	"strings"
	"sync"

	"github.com/noon-deploy/noon"
)

// watch sees one deployment pass and does what is to be done at a moment of
// it.
type watch struct {
	demo *demo
	move move

	hitting sync.WaitGroup
	once    sync.Once
	done    string // what was done to it
	err     error
}

// see looks at one event. From the moment at which the switch is in the
// journal no other release may answer a customer; on the way back both may
// until the first state is reached again.
func (w *watch) see(ctx context.Context, d noon.Deployment, e noon.Event) {
	if w.move.when.is(d, e) {
		w.once.Do(func() { w.hitting.Go(func() { w.done, w.err = w.hit(ctx) }) })
	}
	kind := noon.StateKind("")
	if e.State < len(d.Plan.States) {
		kind = d.Plan.States[e.State].Kind
	}
	switch {
	case w.move.want != good:
	case e.Kind == noon.Done && e.Subject == "enter" && kind == noon.Switched:
		w.demo.allow(w.move.to)
		w.demo.book.live(w.move.to)
	case e.Kind == noon.Moved && strings.HasPrefix(e.Detail, string(noon.Returning)):
		w.demo.allow(w.move.from, w.move.to)
	}
}

func (w *watch) hit(ctx context.Context) (string, error) {
	said, err := w.move.hit(ctx)
	if err == nil {
		w.demo.say.line("%s", said)
	}
	return said, err
}

// wait waits until what was begun is done.
func (w *watch) wait() error {
	w.hitting.Wait()
	return w.err
}
