package pgcatalog

import (
	"context"
	"time"
)

// Session is a client's connection to the database that was asked. State,
// query and application are empty where the asking role may not see them.
type Session struct {
	PID         int32         `json:"pid"`
	User        string        `json:"user"` // who logged in
	Application string        `json:"application,omitempty"`
	Address     string        `json:"address,omitempty"`
	State       string        `json:"state,omitempty"` // active, idle, idle in transaction ..
	Since       time.Duration `json:"since,omitempty"` // age of its transaction
	Query       string        `json:"query,omitempty"` // the last one, at most 200 characters
	BlockedBy   []int32       `json:"blocked_by,omitempty"`
}

type sessionRow struct {
	PID                               int32
	User, Application, Address, State string
	Seconds                           float64
	Query                             string
	BlockedBy                         []int32
}

// Sessions lists the other clients of the database, by process ID.
func Sessions(ctx context.Context, q Querier) ([]Session, error) {
	list, err := rows[sessionRow](ctx, q, "the sessions", sessionsQuery)
	if err != nil {
		return nil, err
	}
	all := make([]Session, len(list))
	for i, r := range list {
		all[i] = Session{r.PID, r.User, r.Application, r.Address, r.State, time.Duration(r.Seconds * float64(time.Second)), r.Query, r.BlockedBy}
	}
	return all, nil
}
