package daemon

import (
	"context"

	"github.com/noon-deploy/noon/internal/database/change"
)

// schemaEngine is what a versioned store needs of the engine of its server. It
// has five methods because a schema is looked at, begun to be changed and taken
// on, and releases come and go.
type schemaEngine interface {
	// Status looks; it changes nothing.
	Status(ctx context.Context) (schemaStatus, error)
	// Expand plans a version and has both it and the one before served.
	Expand(ctx context.Context, set change.Set, tell func(string)) (int, error)
	// Reach takes a version to a phase.
	Reach(ctx context.Context, o schemaOrder, tell func(string)) error
	// Role gives a release its way in, to a version.
	Role(ctx context.Context, release string, version int, password string) (string, error)
	// DropRole takes it away again.
	DropRole(ctx context.Context, release string) error
}

// schemaStatus is what the database's own journal says.
type schemaStatus struct {
	versions []schemaVersion // oldest first
	releases []string        // that have a way in
}

// schemaVersion is one version of a schema.
type schemaVersion struct {
	number   int
	complete bool // the form before is gone
	files    []change.Source
}

// schemaPhase is where a version can be taken to.
type schemaPhase string

// The phases, called as the engines call them.
const (
	schemaExpanded   schemaPhase = "expanded"
	schemaContracted schemaPhase = "contracted"
	schemaWithdrawn  schemaPhase = "withdrawn"
)

// schemaOrder is what an engine is told to reach.
type schemaOrder struct {
	version    int
	phase      schemaPhase
	acceptLoss bool // a person has accepted what a withdrawal loses
	unchecked  bool // nobody uses the store yet
}
