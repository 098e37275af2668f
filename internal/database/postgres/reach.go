package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/pgcatalog"
)

// Phase is where a version can be taken to.
type Phase string

// The phases.
const (
	Expanded   Phase = "expanded"   // both releases are served
	Contracted Phase = "contracted" // only the new one is; there is no way back
	Withdrawn  Phase = "withdrawn"  // only the old one is; the version's number is free again
)

// Order is what Reach is told.
type Order struct {
	Plan       *Plan // of a version that is not in the journal yet; else it may be nil
	Version    int   // of one that is
	Phase      Phase
	AcceptLoss bool // withdraw although values that only the new release can hold are lost
	Unchecked  bool // contract although sessions of the old release can not be told from others, because there are no roles
}

// Progress is told while a phase is under way.
type Progress struct {
	Phase    Phase               `json:"phase"`
	Stage    string              `json:"stage"`
	Filled   int64               `json:"filled,omitempty"` // rows of a backfill
	Rows     int64               `json:"rows,omitempty"`   // estimate of all, -1 if nobody knows
	Try      int                 `json:"try,omitempty"`    // of a transaction that did not get its locks
	Blockers []pgcatalog.Session `json:"blockers,omitempty"`
	Paused   string              `json:"paused,omitempty"` // why a backfill waits
}

// run is one call of Reach.
type run struct {
	e     *Engine
	conn  *pgx.Conn // holds the engine's lock
	plan  Plan
	order Order
	tell  func(Progress)
}

// Reach takes a version to a phase. Called again, after whatever happened, it
// goes on from where it was; when the version is there already it does nothing.
// Tell is called from several goroutines, one at a time; it may be nil.
func (e *Engine) Reach(ctx context.Context, o Order, tell func(Progress)) error {
	conn, err := e.connect(ctx)
	if err != nil {
		return err
	}
	defer hangUp(ctx, conn)
	if err := e.hold(ctx, conn); err != nil {
		return err
	}
	r := &run{e: e, conn: conn, order: o, tell: telling(tell)}
	state, err := r.find(ctx)
	if err != nil || r.there(state) {
		return err
	}
	return r.reach(ctx, state)
}

// Writable refuses a server that takes no changes: a read replica.
func (e *Engine) Writable(ctx context.Context) error {
	conn, err := e.connect(ctx)
	if err != nil {
		return err
	}
	defer hangUp(ctx, conn)
	return e.writable(ctx, conn)
}

func (e *Engine) writable(ctx context.Context, conn *pgx.Conn) error {
	var recovery bool
	if err := conn.QueryRow(ctx, "select pg_is_in_recovery()").Scan(&recovery); err != nil {
		return explain("look at the server", e.c.App, err)
	}
	if recovery {
		return &noon.Error{Kind: noon.Invalid, Op: "change schema", Subject: e.c.App, Err: errors.New("the server is a read replica"), Hint: "Give noon the address of the primary. Nothing was changed."}
	}
	return nil
}

// find finds the version that is asked for, and its state: "" if the journal
// does not have it.
func (r *run) find(ctx context.Context) (string, error) {
	number := r.order.Version
	if r.order.Plan != nil {
		number = r.order.Plan.To
	}
	list, err := versions(ctx, r.conn, r.e.c.App)
	if err != nil {
		return "", err
	}
	newest := 0
	for _, v := range list {
		if v.Number == number {
			r.plan = v.Plan
			return v.State, nil
		}
		if v.State != StateContracted && r.order.Phase != Withdrawn {
			return "", r.conflict(versionSchema(r.e.c.App, v.Number), fmt.Errorf("it is %s", v.State), "Contract or withdraw it first.")
		}
		newest = v.Number
	}
	if r.order.Phase == Withdrawn {
		r.plan.App, r.plan.To = r.e.c.App, number
		return "", nil
	}
	if r.order.Plan == nil {
		return "", &noon.Error{Kind: noon.NotFound, Op: "change schema", Subject: versionSchema(r.e.c.App, number), Err: errors.New("the journal has no such version"), Hint: "Plan it first."}
	}
	if r.order.Plan.From != newest {
		return "", r.conflict(r.order.Plan.name(), fmt.Errorf("it was planned from version %d, and version %d is in force", r.order.Plan.From, newest), "Plan it anew.")
	}
	r.plan = *r.order.Plan
	return "", r.plan.Refusal()
}

func (r *run) conflict(subject string, err error, hint string) error {
	return &noon.Error{Kind: noon.Conflict, Op: "change schema", Subject: subject, Err: err, Hint: hint}
}

// there reports whether nothing is left to do.
func (r *run) there(state string) bool {
	return r.order.Phase == Withdrawn && state == "" || r.order.Phase == Expanded && state == StateExpanded
}

func (r *run) reach(ctx context.Context, state string) error {
	switch {
	case r.order.Phase == Expanded && state == StateContracted, r.order.Phase == Withdrawn && state == StateContracted:
		return &noon.Error{Kind: noon.Conflict, Op: "change schema", Subject: r.plan.name(), Err: errors.New("it is contracted: the old form is gone"), Hint: r.lost()}
	case r.order.Phase == Contracted && state != StateExpanded && state != StateContracted:
		return r.conflict(r.plan.name(), errors.New("it is not expanded"), "Take it to the phase expanded first.")
	case r.order.Phase == Expanded:
		return r.expand(ctx)
	case r.order.Phase == Contracted:
		return r.contract(ctx, state)
	case r.order.Phase == Withdrawn:
		return r.withdraw(ctx)
	}
	return &noon.Error{Kind: noon.Invalid, Op: "change schema", Subject: r.plan.name(), Err: fmt.Errorf("there is no phase %q", r.order.Phase), Hint: "The phases are expanded, contracted and withdrawn."}
}

func (r *run) lost() string {
	if len(r.plan.Lost) == 0 {
		return "Make a change that goes back to the old form, and deploy it."
	}
	return "Make a change that goes back to the old form, and deploy it. It can not bring back: " + strings.Join(r.plan.Lost, "; ") + "."
}

func (r *run) expand(ctx context.Context) error {
	if err := r.stages(ctx, Expanded, r.plan.Expand); err != nil {
		return err
	}
	return explain("finish the expansion", r.plan.name(), setState(ctx, r.conn, r.plan, StateExpanded))
}

// contract proves before it changes: when somebody still uses the old version,
// or what the plan relies on has changed, nothing is.
func (r *run) contract(ctx context.Context, state string) error {
	if state == StateExpanded {
		if err := r.unchanged(ctx); err != nil {
			return err
		}
		if err := r.alone(ctx, r.conn, false); err != nil {
			return err
		}
	}
	rest := r.plan.Contract
	if state == StateContracted { // there is nothing to prove any more
		rest = slices.DeleteFunc(slices.Clone(rest), func(s Stage) bool { return s.Kind == Proof })
	}
	return r.stages(ctx, Contracted, rest)
}

func (r *run) withdraw(ctx context.Context) error {
	if err := r.alone(ctx, r.conn, true); err != nil {
		return err
	}
	lost, err := losses(ctx, r.conn, r.plan)
	if err != nil {
		return err
	}
	if len(lost) > 0 && !r.order.AcceptLoss {
		return r.conflict(r.plan.name(), fmt.Errorf("withdrawing it loses %s", strings.Join(lost, "; ")), "Accept the loss, or keep the new release. Nothing was changed.")
	}
	return r.stages(ctx, Withdrawn, r.plan.Withdraw)
}

// stages carries out those that are not done.
func (r *run) stages(ctx context.Context, phase Phase, list []Stage) error {
	for _, s := range list {
		state, err := stageState(ctx, r.conn, r.plan, phase, s.Name)
		if err != nil {
			return explain("read the journal", r.plan.name(), err)
		}
		if state == "done" {
			continue
		}
		r.tell(Progress{Phase: phase, Stage: s.Name, Rows: -1})
		r.point(s, "before")
		if err := r.stage(ctx, phase, s, state); err != nil {
			return err
		}
		r.point(s, "after")
	}
	return nil
}

func (r *run) point(s Stage, side string) {
	r.e.c.Fault.Point("postgres." + string(s.Kind) + "." + side)
}

func (r *run) stage(ctx context.Context, phase Phase, s Stage, state string) error {
	switch s.Kind {
	case Together:
		return r.together(ctx, phase, s)
	case Alone:
		return r.index(ctx, phase, s, state)
	case Filling:
		if err := r.fill(ctx, s); err != nil {
			return err
		}
		return explain("write the journal", s.Name, record(ctx, r.conn, r.plan, phase, s.Name, "done"))
	default:
		return r.prove(ctx, s) // leaves no record: it is about now
	}
}

// unchanged compares what the plan relies on with what is there.
func (r *run) unchanged(ctx context.Context) error {
	c, err := pgcatalog.Read(ctx, r.conn, []string{r.plan.Schema})
	if err != nil {
		return explain("read the schema", r.plan.Schema, err)
	}
	now := shape(c, r.plan.Schema, r.plan.App, r.plan.Relies)
	var differ []string
	for _, line := range now {
		if !slices.Contains(r.plan.Shape, line) {
			differ = append(differ, "new: "+line)
		}
	}
	for _, line := range r.plan.Shape {
		if !slices.Contains(now, line) {
			differ = append(differ, "gone: "+line)
		}
	}
	if len(differ) == 0 {
		return nil
	}
	return r.conflict(r.plan.name(), fmt.Errorf("the schema is not what the plan relies on:\n%s", strings.Join(differ, "\n")), "Undo these changes, or withdraw the version and plan it anew. Nothing was changed.")
}
