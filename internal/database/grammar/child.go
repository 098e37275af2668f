package grammar

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/lint"
	"github.com/noon-deploy/noon/internal/database/postgres"
)

const (
	defaultLimit  = 2 * time.Minute // a machine may be busy: the grammar alone takes 3 s on a free one
	defaultMemory = "512MiB"        // that the child's heap is kept under, as GOMEMLIMIT has it
	maxAnswer     = 64 << 20        // bytes
	maxComplaint  = 4 << 10         // bytes of what a child says about its end
)

// Child has SQL read by child processes, one after the other: two at once would
// need the memory twice. It may be used by several goroutines. A nil one reads
// in this process.
type Child struct {
	command []string
	limit   time.Duration
	turn    chan struct{} // holds a token while a child runs
	known   answers
}

// NewChild tells by which command [Main] is reached. Limit is how long one
// reading may take, 0 for two minutes.
func NewChild(limit time.Duration, command ...string) *Child {
	if limit == 0 {
		limit = defaultLimit
	}
	return &Child{command: command, limit: limit, turn: make(chan struct{}, 1)}
}

// Lint finds the hazards of each part. Who asks again is told what was found
// before. What it returns must not be changed.
func (c *Child) Lint(ctx context.Context, l Lint) ([][]lint.Finding, error) {
	if c == nil {
		return l.findings()
	}
	key, err := keyOf(l)
	if err != nil {
		return nil, c.trouble(err)
	}
	if found, ok := c.known.find(key); ok {
		return found, nil
	}
	a, err := c.ask(ctx, order{Lint: &l})
	if err == nil && len(a.Findings) != len(l.Parts) {
		err = c.trouble(fmt.Errorf("it gave %d answers to %d questions", len(a.Findings), len(l.Parts)))
	}
	if err != nil {
		return nil, err
	}
	c.known.keep(key, a.Findings)
	return a.Findings, nil
}

// Plan is [postgres.Make].
func (c *Child) Plan(ctx context.Context, ch Change) (postgres.Plan, error) {
	a, err := c.ask(ctx, order{Change: &ch})
	if err == nil && a.Plan == nil {
		err = c.trouble(errors.New("it gave no plan"))
	}
	if err != nil {
		return postgres.Plan{}, err
	}
	return *a.Plan, nil
}

func (c *Child) ask(ctx context.Context, o order) (answer, error) {
	if c == nil {
		return o.carryOut()
	}
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return answer{}, c.trouble(ctx.Err())
	}
	ctx, cancel := context.WithTimeout(ctx, c.limit)
	defer cancel()
	said, err := c.run(ctx, o)
	if err != nil {
		if late := ctx.Err(); late != nil {
			err = fmt.Errorf("it was not done within %s: %w", c.limit, late)
		}
		return answer{}, c.trouble(err)
	}
	var a answer
	if err := json.Unmarshal(said, &a); err != nil {
		return answer{}, c.trouble(fmt.Errorf("read its answer: %w", err))
	}
	return a, nil
}

// run starts a child, gives it the order, and waits for its end.
func (c *Child) run(ctx context.Context, o order) ([]byte, error) {
	text, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("write the order: %w", err)
	}
	out, complaint := &bounded{most: maxAnswer}, &bounded{most: maxComplaint}
	cmd := exec.CommandContext(ctx, c.command[0], c.command[1:]...)
	cmd.Env = []string{"GOMEMLIMIT=" + defaultMemory}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(text), out, complaint
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		if said := strings.TrimSpace(complaint.String()); said != "" {
			err = fmt.Errorf("%w: %s", err, said)
		}
		return nil, err
	}
	if out.over {
		return nil, fmt.Errorf("its answer has more than %d bytes", maxAnswer)
	}
	return out.Bytes(), nil
}

func (*Child) trouble(err error) error {
	return &noon.Error{
		Kind: noon.Failure, Op: "have the SQL of migrations read", Subject: "by a process of its own", Err: err,
		Hint: "Nothing was changed. It needs about 300 MB of memory for some seconds; try again when there is room.",
	}
}

// bounded keeps the beginning of what is written.
type bounded struct {
	bytes.Buffer
	most int
	over bool
}

// Write takes everything, so that nobody who writes waits or fails.
func (b *bounded) Write(p []byte) (int, error) {
	keep := p[:min(len(p), b.most-b.Len())]
	b.over = b.over || len(keep) < len(p)
	b.Buffer.Write(keep)
	return len(p), nil
}

// Main is the child: it answers the order on in, and returns its exit code.
func Main(in io.Reader, out, complaint io.Writer) int {
	var o order
	err := json.NewDecoder(in).Decode(&o)
	if err == nil {
		var a answer
		if a, err = o.carryOut(); err == nil {
			err = json.NewEncoder(out).Encode(a)
		}
	}
	if err != nil {
		fmt.Fprintln(complaint, err)
		return 1
	}
	return 0
}
