package ledger

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/noon-deploy/noon"
)

// Create stores a new deployment and assigns its ID. Its plan is stored
// here, or by Start if it waits in the queue first, and never changes after.
func (l *Ledger) Create(ctx context.Context, d noon.Deployment) (noon.Deployment, error) {
	const op = "create deployment of"
	if err := validDeployment(d); err != nil {
		return noon.Deployment{}, explain(op, d.Site.String(), err)
	}
	d = inUTC(d)
	d.Waiting = ""
	plan, err := json.Marshal(d.Plan)
	if err != nil {
		return noon.Deployment{}, explain(op, d.Site.String(), err)
	}
	err = l.write(ctx, "create", func(tx *sql.Tx) error {
		id, err := next(ctx, tx, "deployment")
		if err != nil {
			return err
		}
		d.ID = id
		value, err := withoutPlan(d)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO deployment (id, app, environment, status, created, plan, value) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			id, d.Site.App, d.Site.Environment, string(d.Status), nanos(d.Created), string(plan), value)
		return err
	})
	if err != nil {
		return noon.Deployment{}, explain(op, d.Site.String(), err)
	}
	return d, nil
}

func validDeployment(d noon.Deployment) error {
	if err := validSite(d.Site); err != nil {
		return err
	}
	if !slices.Contains(noon.Statuses(), d.Status) {
		return &noon.Error{Kind: noon.Invalid, Err: fmt.Errorf("%q is not a status", d.Status)}
	}
	return nil
}

// inUTC drops what JSON would not keep of times, so that what is returned is
// what will be read.
func inUTC(d noon.Deployment) noon.Deployment {
	d.Created, d.Started, d.Ended, d.WarmUntil = d.Created.UTC(), d.Started.UTC(), d.Ended.UTC(), d.WarmUntil.UTC()
	return d
}

func withoutPlan(d noon.Deployment) (string, error) {
	d.Plan, d.Waiting = noon.Plan{}, "" // what is waited for is true of a process, not of a row
	value, err := json.Marshal(inUTC(d))
	return string(value), err
}

// Record writes how far a deployment is and appends to its journal, both or
// neither, if epoch is still the newest of its site. The plan is not written
// again. What people asked for stays as the ledger has it: a WantAbort,
// Approved, Reason or resolution that is set there is not overwritten, so that
// a request which came in after d was read is never lost. d itself is not
// changed; read it again to see requests.
func (l *Ledger) Record(ctx context.Context, d noon.Deployment, epoch int64, events ...noon.Event) error {
	return explain("record", d.Name(), l.record(ctx, "record", d, epoch, events, nil))
}

// Start is Record for a deployment that leaves the queue: its plan, made when
// its turn came, replaces the one it was created with.
func (l *Ledger) Start(ctx context.Context, d noon.Deployment, epoch int64, events ...noon.Event) error {
	plan, err := json.Marshal(d.Plan)
	if err != nil {
		return explain("start", d.Name(), err)
	}
	return explain("start", d.Name(), l.record(ctx, "start", d, epoch, events, func(tx *sql.Tx, stored noon.Deployment) error {
		if stored.Status != noon.Queued {
			return &noon.Error{Kind: noon.Conflict, Err: fmt.Errorf("it is %s, no longer queued: its plan stays", stored.Status)}
		}
		_, err := tx.ExecContext(ctx, `UPDATE deployment SET plan = $1 WHERE id = $2`, string(plan), d.ID)
		return err
	}))
}

func (l *Ledger) record(ctx context.Context, op string, d noon.Deployment, epoch int64, events []noon.Event, also func(*sql.Tx, noon.Deployment) error) error {
	if err := validDeployment(d); err != nil {
		return err
	}
	return l.write(ctx, op, func(tx *sql.Tx) error {
		stored, err := lockDeployment(ctx, tx, d.ID)
		if err != nil {
			return err
		}
		if err := fence(ctx, tx, stored.Site, epoch); err != nil {
			return err
		}
		if err := sameWalk(stored, d); err != nil {
			return err
		}
		if also != nil {
			if err := also(tx, stored); err != nil {
				return err
			}
		}
		if err := updateDeployment(ctx, tx, withRequests(d, stored)); err != nil {
			return err
		}
		return l.appendEvents(ctx, tx, d.ID, epoch, events)
	})
}

// withRequests returns d with what people have asked for in stored.
func withRequests(d, stored noon.Deployment) noon.Deployment {
	d.WantAbort = cmp.Or(stored.WantAbort, d.WantAbort)
	d.AbortKey = cmp.Or(stored.AbortKey, d.AbortKey)
	d.Approved = cmp.Or(stored.Approved, d.Approved)
	d.Reason = cmp.Or(stored.Reason, d.Reason)
	if len(stored.Resolved) > 0 {
		d.Resolved = maps.Clone(d.Resolved) // the caller's map is the caller's
		if d.Resolved == nil {
			d.Resolved = map[string]noon.Resolution{}
		}
		maps.Copy(d.Resolved, stored.Resolved)
	}
	return d
}

// sameWalk refuses what can only be a bug of the caller: another deployment's
// row, or a deployment that ended and goes on.
func sameWalk(stored, d noon.Deployment) error {
	if stored.Site != d.Site {
		return &noon.Error{Kind: noon.Internal, Err: fmt.Errorf("it belongs to %s, not to %s", stored.Site, d.Site)}
	}
	if stored.Status.Ended() && stored.Status != d.Status && !noon.CanMove(stored.Status, d.Status) {
		return &noon.Error{Kind: noon.Conflict, Err: fmt.Errorf("it is %s and can not become %s", stored.Status, d.Status)}
	}
	return nil
}

// lockDeployment reads a row, without its plan, to write it back.
func lockDeployment(ctx context.Context, tx *sql.Tx, id int64) (noon.Deployment, error) {
	var value string
	err := tx.QueryRowContext(ctx, `UPDATE deployment SET status = status WHERE id = $1 RETURNING value`, id).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return noon.Deployment{}, noDeployment()
	}
	if err != nil {
		return noon.Deployment{}, fmt.Errorf("lock row: %w", err)
	}
	var d noon.Deployment
	return d, json.Unmarshal([]byte(value), &d)
}

func updateDeployment(ctx context.Context, tx *sql.Tx, d noon.Deployment) error {
	value, err := withoutPlan(d)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `UPDATE deployment SET status = $1, value = $2 WHERE id = $3`, string(d.Status), value, d.ID); err != nil {
		return fmt.Errorf("update row: %w", err)
	}
	return nil
}

func noDeployment() *noon.Error {
	return &noon.Error{Kind: noon.NotFound, Err: errors.New("there is no such deployment"), Hint: "noon history lists the deployments there are."}
}

// Request lets a person change what is asked of a deployment. change gets the
// deployment without its plan as it is now and may set WantAbort with its key,
// Approved, Reason and Resolved; whatever else it sets is refused. An error of
// change is returned and nothing is written. No epoch is needed: the walk decides what it does with
// the request.
func (l *Ledger) Request(ctx context.Context, id int64, change func(*noon.Deployment) error) error {
	err := l.write(ctx, "request", func(tx *sql.Tx) error {
		stored, err := lockDeployment(ctx, tx, id)
		if err != nil {
			return err
		}
		before, err := withoutPlan(stored)
		if err != nil {
			return err
		}
		wanted := stored
		wanted.Resolved = maps.Clone(stored.Resolved)
		if err := change(&wanted); err != nil {
			return err
		}
		allowed := wanted
		allowed.WantAbort, allowed.AbortKey = stored.WantAbort, stored.AbortKey
		allowed.Approved, allowed.Reason, allowed.Resolved = stored.Approved, stored.Reason, stored.Resolved
		if after, err := withoutPlan(allowed); err != nil || after != before {
			return &noon.Error{Kind: noon.Internal, Err: errors.Join(err, errors.New("a request may only set who aborts, who approves, why, and what a task's outcome was"))}
		}
		return updateDeployment(ctx, tx, wanted)
	})
	return explain("change deployment", noon.Deployment{ID: id}.Name(), err)
}

const deploymentColumns = `SELECT plan, value FROM deployment `

// Deployment returns one deployment.
func (l *Ledger) Deployment(ctx context.Context, id int64) (noon.Deployment, error) {
	const op = "find deployment"
	name := noon.Deployment{ID: id}.Name()
	found, err := collect(ctx, l.reader, scanDeployment, deploymentColumns+`WHERE id = $1`, id)
	if err == nil && len(found) == 0 {
		err = noDeployment()
	}
	if err != nil {
		return noon.Deployment{}, explain(op, name, err)
	}
	return found[0], nil
}

// Query chooses deployments.
type Query struct {
	Site     *noon.Site // nil: of all sites
	Limit    int        // 0: all
	OnlyOpen bool       // only those that have not ended

	warm bool // with OnlyOpen: warm ones too
}

// Deployments returns deployments, newest first.
func (l *Ledger) Deployments(ctx context.Context, q Query) ([]noon.Deployment, error) {
	where, args := q.where()
	text := deploymentColumns + where + ` ORDER BY id DESC`
	if q.Limit > 0 {
		args = append(args, q.Limit)
		text += fmt.Sprintf(` LIMIT $%d`, len(args))
	}
	found, err := collect(ctx, l.reader, scanDeployment, text, args...)
	return found, explain("list deployments", "", err)
}

// Open returns all deployments that have not ended, oldest first: what a
// controller that starts goes on with.
func (l *Ledger) Open(ctx context.Context) ([]noon.Deployment, error) {
	found, err := l.Deployments(ctx, Query{OnlyOpen: true})
	slices.Reverse(found)
	return found, err
}

// Unfinished returns the deployments of a site that are queued, under way or
// warm, oldest first.
func (l *Ledger) Unfinished(ctx context.Context, site noon.Site) ([]noon.Deployment, error) {
	found, err := l.Deployments(ctx, Query{Site: &site, OnlyOpen: true, warm: true})
	slices.Reverse(found)
	return found, err
}

func (q Query) where() (string, []any) {
	var conditions []string
	var args []any
	arg := func(v any) string {
		args = append(args, v)
		return fmt.Sprintf("$%d", len(args))
	}
	if q.Site != nil {
		conditions = append(conditions, "app = "+arg(q.Site.App), "environment = "+arg(q.Site.Environment))
	}
	if q.OnlyOpen {
		var open []string
		for _, s := range noon.Statuses() {
			if !s.Ended() || q.warm && s == noon.Warm {
				open = append(open, arg(string(s)))
			}
		}
		conditions = append(conditions, "status IN ("+strings.Join(open, ", ")+")")
	}
	if len(conditions) == 0 {
		return "", nil
	}
	return "WHERE " + strings.Join(conditions, " AND "), args
}

func scanDeployment(rows *sql.Rows) (noon.Deployment, error) {
	var plan, value string
	if err := rows.Scan(&plan, &value); err != nil {
		return noon.Deployment{}, err
	}
	var d noon.Deployment
	if err := json.Unmarshal([]byte(value), &d); err != nil {
		return noon.Deployment{}, fmt.Errorf("decode deployment: %w", err)
	}
	d.Plan = noon.Plan{}
	if err := json.Unmarshal([]byte(plan), &d.Plan); err != nil {
		return noon.Deployment{}, fmt.Errorf("decode plan of %s: %w", d.Name(), err)
	}
	return d, nil
}
