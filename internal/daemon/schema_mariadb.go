package daemon

import (
	"context"
	"fmt"

	"github.com/noon-deploy/noon/internal/database/change"
	"github.com/noon-deploy/noon/internal/database/mariadb"
)

// mariadbSchema is the engine of MariaDB and MySQL as a versioned store needs it.
type mariadbSchema struct{ *mariadb.Engine }

func (e mariadbSchema) Status(ctx context.Context) (schemaStatus, error) {
	is, err := e.Engine.Status(ctx)
	var s schemaStatus
	for _, v := range is.Versions {
		s.versions = append(s.versions, schemaVersion{
			number: v.Number, expanded: v.State != mariadb.StateExpanding && v.State != mariadb.StateWithdrawing, complete: v.State == mariadb.StateContracted, files: v.Plan.Set.Files,
		})
	}
	for _, r := range is.Roles {
		s.releases = append(s.releases, r.Release)
	}
	return s, err
}

func (e mariadbSchema) Expand(ctx context.Context, set change.Set, tell func(string)) (int, error) {
	plan, err := e.Plan(ctx, set)
	if err != nil {
		return 0, err
	}
	return plan.To, e.Engine.Reach(ctx, mariadb.Order{Plan: &plan, Phase: mariadb.Expanded}, func(p mariadb.Progress) { tell(mariadbProgress(p)) })
}

func (e mariadbSchema) Reach(ctx context.Context, o schemaOrder, tell func(string)) error {
	order := mariadb.Order{Version: o.version, Phase: mariadb.Phase(o.phase), AcceptLoss: o.acceptLoss, Unchecked: o.unchecked}
	return e.Engine.Reach(ctx, order, func(p mariadb.Progress) { tell(mariadbProgress(p)) })
}

func mariadbProgress(p mariadb.Progress) string {
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
		text += ", waits for " + p.Blockers[0].String()
	}
	return text
}
