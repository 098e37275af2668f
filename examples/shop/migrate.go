package main

import (
	"context"
	"errors"
	"log/slog"
	"os"

	"github.com/noon-deploy/noon/examples/shop/store"
)

func migrate(ctx context.Context, log *slog.Logger, s *store.Store) error {
	if os.Getenv("DATABASE_URL") != "" {
		return errors.New("noon migrates the PostgreSQL database: migrations/pg declares to what")
	}
	taken, err := s.Migrate(ctx)
	if err != nil {
		return err
	}
	log.InfoContext(ctx, "schema is up to date", "applied", taken)
	return nil
}
