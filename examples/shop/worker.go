package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/noon-deploy/noon/examples/shop/store"
)

// lookEvery is how often an idle worker looks for orders.
const lookEvery = 200 * time.Millisecond

// work handles orders until ctx ends. An order that it has begun by then is
// finished.
func work(ctx context.Context, log *slog.Logger, s *store.Store) error {
	name := fallback(os.Getenv("NOON_INSTANCE"), fmt.Sprintf("worker-%d", os.Getpid()))
	log.InfoContext(ctx, "worker is at work", "worker", name)
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		if err := handleAll(ctx, log, s, name); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			log.InfoContext(ctx, "worker goes home", "worker", name)
			return nil
		case <-look.C:
		}
	}
}

// handleAll handles what waits. A database that cannot be read is an error:
// the host starts the worker again, later each time.
func handleAll(ctx context.Context, log *slog.Logger, s *store.Store, name string) error {
	finish := context.WithoutCancel(ctx)
	for ctx.Err() == nil {
		waiting, err := s.Waiting(finish)
		if err != nil || !waiting {
			return err
		}
		id, err := s.HandleNext(finish, name)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return nil // another worker was faster
		case err != nil:
			return err
		}
		log.InfoContext(ctx, "order handled", "order", id, "worker", name)
	}
	return nil
}
