package daemon

import (
	"context"
	"fmt"

	"github.com/noon-deploy/noon/internal/database/change"
	"github.com/noon-deploy/noon/internal/database/postgres"
)

// postgresSchema is the engine of PostgreSQL as a versioned store needs it.
type postgresSchema struct{ *postgres.Engine }

func (e postgresSchema) Status(ctx context.Context) (schemaStatus, error) {
	is, err := e.Engine.Status(ctx)
	var s schemaStatus
	for _, v := range is.Versions {
		s.versions = append(s.versions, schemaVersion{number: v.Number, complete: v.State == postgres.StateContracted, files: v.Plan.Set.Files})
	}
	for _, r := range is.Roles {
		s.releases = append(s.releases, r.Release)
	}
	return s, err
}

func (e postgresSchema) Expand(ctx context.Context, set change.Set, tell func(string)) (int, error) {
	plan, err := e.Plan(ctx, set)
	if err != nil {
		return 0, err
	}
	return plan.To, e.Engine.Reach(ctx, postgres.Order{Plan: &plan, Phase: postgres.Expanded}, func(p postgres.Progress) { tell(schemaProgress(p)) })
}

func (e postgresSchema) Reach(ctx context.Context, o schemaOrder, tell func(string)) error {
	order := postgres.Order{Version: o.version, Phase: postgres.Phase(o.phase), AcceptLoss: o.acceptLoss, Unchecked: o.unchecked}
	return e.Engine.Reach(ctx, order, func(p postgres.Progress) { tell(schemaProgress(p)) })
}

func schemaProgress(p postgres.Progress) string {
	text := p.Stage
	switch {
	case p.Paused != "":
		text += ", pauses: " + p.Paused
	case p.Rows > 0:
		text += fmt.Sprintf(", %d of about %d rows", p.Filled, p.Rows)
	case p.Filled > 0:
		text += fmt.Sprintf(", %d rows", p.Filled)
	}
	if p.Try > 1 {
		text += fmt.Sprintf(", try %d", p.Try)
	}
	if len(p.Blockers) > 0 {
		b := p.Blockers[0]
		text += fmt.Sprintf(", waits for process %d of %s (%s)", b.PID, b.User, b.State)
	}
	return text
}
