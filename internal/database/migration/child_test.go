package migration_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/migration"
	"github.com/noon-deploy/noon/internal/fault"
)

// What the process that is killed is told by its environment.
const (
	childAddress = "NOON_MIGRATION_TEST_ADDRESS"
	childDir     = "NOON_MIGRATION_TEST_DIR"
	childPhase   = "NOON_MIGRATION_TEST_PHASE" // or "to N" to go back
	childBatch   = "NOON_MIGRATION_TEST_BATCH" // milliseconds that a batch shall take
)

// child reaches a phase, as noon would.
func child(ctx context.Context, address string) int {
	if err := childWork(ctx, address); err != nil {
		fmt.Fprintln(os.Stderr, err, noon.HintOf(err))
		return 1
	}
	return 0
}

func childWork(ctx context.Context, address string) error {
	points, err := fault.FromEnv()
	if err != nil {
		return err
	}
	dialect, _ := migration.DialectOf(address)
	set, err := migration.Read(os.DirFS(os.Getenv(childDir)), dialect)
	if err != nil {
		return err
	}
	opts := migration.Options{Who: "child", Faults: points, Patience: 30 * time.Second, Pause: -1}
	if ms, err := strconv.Atoi(os.Getenv(childBatch)); err == nil {
		opts.BatchTime = time.Duration(ms) * time.Millisecond
	}
	db, err := migration.Open(ctx, address, opts)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	phase := os.Getenv(childPhase)
	var to int64
	if n, _ := fmt.Sscanf(phase, "to %d", &to); n == 1 {
		return db.Rollback(ctx, set, to, migration.Allow{Loss: true}, nil)
	}
	return db.Reach(ctx, set, migration.Phase(phase), nil)
}
