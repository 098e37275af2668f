package walk

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/noon-deploy/noon"
)

// maxAttempts bounds how often an idempotent fact is run when crash after
// crash makes its outcome unknown.
const maxAttempts = 5

// fact makes sure that a command has run once. The host starts a task ID at
// most once, so that looking first and starting then can not run it twice,
// whoever crashes in between. What remains is a machine that went down while
// the command ran: then its outcome is unknown, and it is run again only if it
// is declared idempotent; otherwise a person has to look.
func (r *run) fact(ctx context.Context, f noon.Fact) error {
	if r.known(f) {
		return nil
	}
	for attempt := 1; attempt <= maxAttempts; attempt++ {
		id := r.taskID(f, attempt)
		if r.d.Resolved[id] == noon.TakeAsDone {
			return r.holds(ctx, f, "taken as done by a person")
		}
		if r.d.Resolved[id] == noon.RunAgain {
			continue
		}
		before := r.schema(ctx, f)
		exit, output, err := r.task(ctx, id, f)
		if err != nil {
			return err
		}
		if err := r.seeSchema(ctx, f, before); err != nil {
			return err
		}
		if exit.OK() {
			return r.holds(ctx, f, tail(output))
		}
		if exit.Known {
			return r.failed(ctx, f, exit, output)
		}
		if f.Idempotent {
			continue
		}
		if again, err := r.ask(ctx, id, f, exit); err != nil {
			return err
		} else if !again {
			return r.holds(ctx, f, "taken as done by a person")
		}
	}
	return errBack("run", f.Name, "See what ends the machine or noon in the middle of it.",
		fmt.Errorf("its outcome was unknown %d times", maxAttempts))
}

// taskID names the attempt to establish a fact. The time of the request makes
// it unique even when a ledger is begun anew and counts from d1 again.
func (r *run) taskID(f noon.Fact, attempt int) string {
	return fmt.Sprintf("%s_%s_%s_%s_%d", r.d.Site.Key(), r.d.Name(), strconv.FormatInt(r.d.Created.UnixMilli(), 36), f.Slug(), attempt)
}

// task starts the task if the host does not know it, and waits for its end.
func (r *run) task(ctx context.Context, id string, f noon.Fact) (*noon.Exit, []string, error) {
	var status noon.TaskStatus
	// A command that was started is not left running behind the walk's back:
	// whoever aborts gets the way back once it has ended.
	r.finishing = true
	defer func() { r.finishing = false }()
	err := r.until(ctx, f.Name, 0, func(ctx context.Context) (bool, error) {
		host, err := r.Host(f.Host)
		if err != nil {
			return false, err
		}
		status, err = host.TaskStatus(ctx, id)
		if noon.KindOf(err) == noon.NotFound && err != nil {
			return false, r.start(ctx, host, id, f)
		}
		return err == nil && !status.Running && status.Exit != nil, err
	})
	return status.Exit, status.Output, err
}

func (r *run) start(ctx context.Context, host Host, id string, f noon.Fact) error {
	res, err := r.Catalog.Resolve(ctx, r.d.Site, f.Revision)
	if err != nil {
		return fmt.Errorf("resolve %s: %w", f.Revision, err)
	}
	if err := r.record(ctx, noon.Intent, f.Name, id); err != nil {
		return err
	}
	generation, err := r.Journal.NextGeneration(ctx, r.d.Site, r.epoch)
	if err != nil {
		return fmt.Errorf("take a generation: %w", err)
	}
	env := maps.Clone(res.Env)
	if env == nil {
		env = map[string]string{}
	}
	env["NOON_MOMENT"], env["NOON_DEPLOYMENT"] = string(f.Moment), r.d.Name()
	r.Faults.Point("walk.task.before")
	err = host.StartTask(ctx, noon.Task{
		ID: id, Site: r.d.Site, Fence: noon.Fence{Epoch: r.epoch, Generation: generation}, Revision: f.Revision,
		Digest: res.Digest, Command: f.Command.Command, Env: env, Timeout: f.Timeout,
	})
	r.Faults.Point("walk.task.after")
	if err != nil && noon.KindOf(err) != noon.Unavailable && noon.KindOf(err) != noon.Stale {
		return turnBackError{noon.AsError(fmt.Errorf("start %s: %w", f.Name, err))}
	}
	return err
}

func (r *run) holds(ctx context.Context, f noon.Fact, detail string) error {
	r.d.Facts = append(r.d.Facts, f.Name)
	return r.record(ctx, noon.Done, f.Name, detail)
}

func (r *run) failed(ctx context.Context, f noon.Fact, exit *noon.Exit, output []string) error {
	reason := exit.Reason
	if len(output) > 0 {
		reason += "; its last lines:\n  " + strings.Join(output, "\n  ")
	}
	if err := r.record(ctx, noon.Failed, f.Name, reason); err != nil {
		return err
	}
	return errBack("run", f.Name, "Users are on the release before, or are back on it. Mend the command and deploy again.", errors.New(reason))
}

// ask pauses the walk until a person has looked. It returns whether the fact
// shall be run again.
func (r *run) ask(ctx context.Context, id string, f noon.Fact, exit *noon.Exit) (bool, error) {
	if r.back {
		return false, r.record(ctx, noon.Seen, f.Name, "its outcome is unknown: "+exit.Reason)
	}
	what := fmt.Sprintf("a person: %s was running when it was lost (%s). See what `%s` has done, then `noon approve %s --resolve %s=done` or `=retry`",
		f.Name, exit.Reason, strings.Join(f.Command.Command, " "), r.d.Name(), id)
	if err := r.move(ctx, noon.Paused, what); err != nil {
		return false, err
	}
	err := r.until(ctx, what, 0, func(context.Context) (bool, error) { return r.d.Resolved[id] != "", nil })
	if err != nil {
		return false, err
	}
	again := r.d.Resolved[id] == noon.RunAgain
	return again, r.move(ctx, noon.Walking, f.Name+" resolved as "+string(r.d.Resolved[id]))
}

func tail(lines []string) string {
	if len(lines) > 5 {
		lines = lines[len(lines)-5:]
	}
	return strings.Join(lines, "\n")
}

// schema looks what the store of a migration is made of. That it can not be
// looked into keeps nobody from migrating it.
func (r *run) schema(ctx context.Context, f noon.Fact) noon.Schema {
	if r.Schema == nil || f.Store == "" {
		return nil
	}
	s, err := r.Schema(ctx, r.d.Site, f.Revision, f.Store)
	if err != nil {
		r.Log.Warn("the schema can not be looked at", "deployment", r.d.ID, "store", f.Store, "err", err)
	}
	return s
}

// seeSchema records what a migration has changed, as far as it was seen from
// its beginning.
func (r *run) seeSchema(ctx context.Context, f noon.Fact, before noon.Schema) error {
	if before == nil {
		return nil
	}
	after := r.schema(ctx, f)
	if after == nil {
		return nil
	}
	changes := before.Difference(after)
	if len(changes) == 0 {
		changes = []string{"nothing has changed"}
	}
	return r.record(ctx, noon.Seen, "schema "+f.Store, strings.Join(changes, "\n"))
}
