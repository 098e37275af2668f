package cli_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/cli"
)

// top --watch goes on while the controller is away for a moment, and until it
// is interrupted.
func TestTopGoesOn(t *testing.T) {
	t.Parallel()
	socket := shortDir(t) + "/api.sock"
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	var asked atomic.Int32
	c := answering(t)
	c.Traffic = func(_ context.Context, over time.Duration) (noon.TrafficSeen, error) {
		switch asked.Add(1) {
		case 2:
			return noon.TrafficSeen{}, &noon.Error{Kind: noon.Unavailable, Op: "call the proxy", Err: errors.New("one moment")}
		case 4:
			interrupt()
		}
		return noon.TrafficSeen{At: noonTime, Over: over}, nil
	}
	defer listen(t, socket, c)()
	r := run(ctx, socket, "top", "--watch", "--json")
	if r.code != 130 || strings.Count(r.stdout, "\n") < 2 || strings.Contains(r.stdout, "one moment") {
		t.Errorf("exit code %d, %q, %q", r.code, r.stdout, r.stderr)
	}
}

// What can not be waited for ends it.
func TestTopEndsWithAnError(t *testing.T) {
	t.Parallel()
	socket := shortDir(t) + "/api.sock"
	var asked atomic.Int32
	c := answering(t)
	c.Traffic = func(context.Context, time.Duration) (noon.TrafficSeen, error) {
		if asked.Add(1) == 2 {
			return noon.TrafficSeen{}, &noon.Error{Kind: noon.Internal, Op: "count", Err: errors.New("broken")}
		}
		return noon.TrafficSeen{At: noonTime}, nil
	}
	defer listen(t, socket, c)()
	if r := run(t.Context(), socket, "top", "--watch"); r.code != 7 || !strings.Contains(r.stderr, "noon: count: broken") || !strings.Contains(r.stdout, "nothing is routed yet") {
		t.Errorf("exit code %d, %q, %q", r.code, r.stdout, r.stderr)
	}
}

// On a terminal top draws in place and gives the cursor back.
func TestTopOnATerminal(t *testing.T) {
	t.Parallel()
	socket := shortDir(t) + "/api.sock"
	defer listen(t, socket, answering(t))()
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	tty, written := terminal(t, 100, func(all string) {
		if strings.Count(all, "\x1b[J") > 2 {
			interrupt()
		}
	})
	p, end := process(socket, "top")
	p.Stdout = tty
	r := end(cli.Run(ctx, p, cli.Parts{}))
	text := written()
	if r.code != 130 || strings.Count(text, "\x1b[?25l") != 1 || !strings.HasSuffix(text, "\x1b[?25h") || !strings.Contains(text, "shop/production") {
		t.Errorf("exit code %d, %q", r.code, text)
	}
}
