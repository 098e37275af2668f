package mariadb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/noon-deploy/noon"
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
	Unchecked  bool // contract although no release has a user of its own, so that sessions of the old one can not be told from others
}

// Progress is told while a phase is under way.
type Progress struct {
	Phase    Phase     `json:"phase"`
	Stage    string    `json:"stage"`
	Filled   int64     `json:"filled,omitempty"` // rows of a backfill
	Rows     int64     `json:"rows,omitempty"`   // estimate of all, -1 if nobody knows
	Paused   string    `json:"paused,omitempty"` // why a backfill waits
	Try      int       `json:"try,omitempty"`    // of a statement that did not get its locks
	Blockers []Blocker `json:"blockers,omitempty"`
}

// run is one call of Reach.
type run struct {
	e     *Engine
	db    *sql.DB
	conn  *sql.Conn // holds the engine's lock, and defines
	id    int64     // of conn
	plan  Plan
	order Order
	tell  func(Progress)
}

// Reach takes a version to a phase. Called again, after whatever happened, it
// goes on from where it was; when the version is there already it does nothing.
// Tell is called from several goroutines, one at a time; it may be nil.
func (e *Engine) Reach(ctx context.Context, o Order, tell func(Progress)) error {
	db, conn, err := e.locked(ctx)
	if err != nil {
		return err
	}
	defer hangUp(db, conn)
	r := &run{e: e, db: db, conn: conn, order: o, tell: telling(tell)}
	if err := conn.QueryRowContext(ctx, "SELECT CONNECTION_ID()").Scan(&r.id); err != nil {
		return explain("look at the session", e.c.App, err)
	}
	state, err := r.find(ctx)
	if err != nil {
		return err
	}
	return explain("change schema", r.plan.name(), r.reach(ctx, state))
}

// locked opens a session that holds the engine's lock, with all that a change
// needs.
func (e *Engine) locked(ctx context.Context) (*sql.DB, *sql.Conn, error) {
	db, conn, err := e.connect(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, need := range []func(context.Context, *sql.Conn) error{e.lock, e.writable, e.allowed, e.ensureJournal, e.fence} {
		if err := need(ctx, conn); err != nil {
			hangUp(db, conn)
			return nil, nil, err
		}
	}
	return db, conn, nil
}

// writable refuses servers that take no changes.
func (e *Engine) writable(ctx context.Context, conn *sql.Conn) error {
	var only bool
	if err := conn.QueryRowContext(ctx, "SELECT @@read_only").Scan(&only); err != nil {
		return explain("look at the server", e.c.App, err)
	}
	if only {
		return &noon.Error{Kind: noon.Invalid, Op: "change schema", Subject: e.c.App, Err: errors.New("the server is read only"), Hint: "Give noon the address of the primary. Nothing was changed."}
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
	list, err := r.e.versions(ctx, r.conn)
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
			return "", r.conflict(versionName(r.e.c.App, v.Number), fmt.Errorf("it is %s", v.State), "Contract or withdraw it first.")
		}
		newest = v.Number
	}
	if r.order.Phase == Withdrawn {
		r.plan.App, r.plan.To = r.e.c.App, number
		return "", nil
	}
	if r.order.Plan == nil {
		return "", &noon.Error{Kind: noon.NotFound, Op: "change schema", Subject: versionName(r.e.c.App, number), Err: errors.New("the journal has no such version"), Hint: "Plan it first."}
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

func (r *run) reach(ctx context.Context, state string) error {
	gone := state == StateContracting || state == StateContracted
	switch r.order.Phase {
	case Expanded:
		if gone {
			return r.tooLate()
		}
		return r.expand(ctx, state)
	case Contracted:
		if !gone && state != StateExpanded {
			return r.conflict(r.plan.name(), errors.New("it is not expanded"), "Take it to the phase expanded first.")
		}
		return r.contract(ctx, state)
	case Withdrawn:
		if gone {
			return r.tooLate()
		}
		return r.withdraw(ctx, state)
	}
	return &noon.Error{Kind: noon.Invalid, Op: "change schema", Subject: r.plan.name(), Err: fmt.Errorf("there is no phase %q", r.order.Phase), Hint: "The phases are expanded, contracted and withdrawn."}
}

func (r *run) tooLate() error {
	hint := "Make a change that goes back to the old form, and deploy it."
	if len(r.plan.Lost) > 0 {
		hint += " It can not bring back: " + strings.Join(r.plan.Lost, "; ") + "."
	}
	return r.conflict(r.plan.name(), errors.New("it is contracted: the old form is gone"), hint)
}

func (r *run) expand(ctx context.Context, state string) error {
	switch state {
	case StateExpanded:
		return nil
	case StateWithdrawing: // somebody has changed their mind; what was left of it is built anew
		if err := r.stages(ctx, Withdrawn, r.plan.Withdraw); err != nil {
			return err
		}
		if err := forget(ctx, r.conn, r.plan); err != nil {
			return err
		}
		fallthrough
	case "":
		r.e.c.Fault.Point("mariadb.begin.before")
		if err := begin(ctx, r.conn, r.plan); err != nil {
			return err
		}
		r.e.c.Fault.Point("mariadb.begin.after")
	}
	if err := r.e.tellAll(ctx, r.conn); err != nil {
		return err
	}
	if err := r.stages(ctx, Expanded, r.plan.Expand); err != nil {
		return err
	}
	return setState(ctx, r.conn, r.plan, StateExpanded)
}

// contract proves before it changes: when somebody still uses the old version,
// or something else the old columns, nothing is changed.
func (r *run) contract(ctx context.Context, state string) error {
	rest := r.plan.Contract
	if state == StateContracted {
		return nil
	}
	first := slices.IndexFunc(rest, func(s Stage) bool { return s.Kind != Proving })
	if first < 0 {
		first = len(rest)
	}
	if state == StateExpanded {
		if err := r.unused(ctx); err != nil {
			return err
		}
		if err := r.alone(ctx, false); err != nil {
			return err
		}
		if err := r.stages(ctx, Contracted, rest[:first]); err != nil {
			return err
		}
		if err := setState(ctx, r.conn, r.plan, StateContracting); err != nil {
			return err
		}
		r.e.c.Fault.Point("mariadb.contracting.after")
	}
	if err := r.stages(ctx, Contracted, rest[first:]); err != nil {
		return err
	}
	return setState(ctx, r.conn, r.plan, StateContracted)
}

// unused makes sure that nothing which the plan did not know of uses what the
// contraction drops.
func (r *run) unused(ctx context.Context) error {
	c, err := readCatalog(ctx, r.conn, r.plan.Database, r.e.maria)
	if err != nil {
		return err
	}
	for _, one := range r.plan.Relies {
		if sure, _ := c.users(one); len(sure) > 0 {
			return r.conflict(one.Table+"."+one.Column, fmt.Errorf("%s uses what would go away", strings.Join(sure, ", ")), "Undo that, or withdraw the version and plan it anew. Nothing was changed.")
		}
	}
	return nil
}

func (r *run) withdraw(ctx context.Context, state string) error {
	if state == "" {
		return nil
	}
	if state != StateWithdrawing {
		if err := r.alone(ctx, true); err != nil {
			return err
		}
		lost, err := r.e.losses(ctx, r.conn, r.plan)
		if err != nil {
			return err
		}
		if len(lost) > 0 && !r.order.AcceptLoss {
			return r.conflict(r.plan.name(), fmt.Errorf("withdrawing it loses %s", strings.Join(lost, "; ")), "Accept the loss, or keep the new release. Nothing was changed.")
		}
		if err := setState(ctx, r.conn, r.plan, StateWithdrawing); err != nil {
			return err
		}
		r.e.c.Fault.Point("mariadb.withdrawing.after")
	}
	if err := r.stages(ctx, Withdrawn, r.plan.Withdraw); err != nil {
		return err
	}
	return forget(ctx, r.conn, r.plan)
}

// losses are what a withdrawal would lose now.
func (e *Engine) losses(ctx context.Context, s session, p Plan) ([]string, error) {
	var list []string
	for _, l := range p.Losses {
		object, name := Table, l.Table
		if l.Column != "" {
			object, name = Column, l.Column
		}
		there, err := e.exists(ctx, s, object, name, l.Table)
		if err != nil {
			return nil, explain("count what would be lost", l.What, err)
		}
		if !there {
			continue
		}
		var n int64
		if err := s.QueryRowContext(ctx, l.SQL).Scan(&n); err != nil {
			return nil, explain("count what would be lost", l.What, err)
		}
		if n > 0 {
			list = append(list, fmt.Sprintf("%d %s", n, l.What))
		}
	}
	return list, nil
}

// stages carries out those that are not done.
func (r *run) stages(ctx context.Context, phase Phase, list []Stage) error {
	for _, s := range list {
		is, err := recorded(ctx, r.conn, r.plan, phase, s.Name)
		if err != nil {
			return explain("read the journal", r.plan.name(), err)
		}
		if is.state == "done" && s.Kind != Proving { // a proof is about now
			continue
		}
		r.tell(Progress{Phase: phase, Stage: s.Name, Rows: -1})
		r.point(s, "before")
		is.state = "begun"
		if err := record(ctx, r.conn, r.plan, phase, s.Name, is); err != nil {
			return explain("write the journal", s.Name, err)
		}
		r.point(s, "begun")
		if err := r.stage(ctx, phase, s, &is); err != nil {
			return explain(s.Name, r.plan.name(), err)
		}
		r.point(s, "done")
		is.state = "done"
		if err := record(ctx, r.conn, r.plan, phase, s.Name, is); err != nil {
			return explain("write the journal", s.Name, err)
		}
		r.point(s, "after")
	}
	return nil
}

func (r *run) point(s Stage, side string) {
	r.e.c.Fault.Point("mariadb." + string(s.Kind) + "." + side)
}

func (r *run) stage(ctx context.Context, phase Phase, s Stage, is *progress) error {
	switch s.Kind {
	case Filling:
		return r.fill(ctx, s, is)
	case Proving:
		return r.prove(ctx, s)
	default:
		return r.define(ctx, phase, s)
	}
}

// telling makes a callback that may be nil callable from several goroutines.
func telling(tell func(Progress)) func(Progress) {
	var mu sync.Mutex
	return func(p Progress) {
		mu.Lock()
		defer mu.Unlock()
		if tell != nil {
			tell(p)
		}
	}
}
