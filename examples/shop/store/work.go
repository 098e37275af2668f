package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Stock is filled up by a delivery when it falls below the threshold.
const (
	restockBelow = 300
	delivery     = 600
)

// HandleNext handles the oldest order that is only placed and returns its id,
// or ErrNotFound. Claim and work are one transaction: a worker that dies at
// any moment has either done all of it or nothing, and two workers never get
// the same order.
func (s *Store) HandleNext(ctx context.Context, worker string) (int64, error) {
	var id int64
	err := s.change(ctx, s.quick, func(tx *sql.Tx) error {
		now := stamp(time.Now())
		err := tx.QueryRowContext(ctx, `UPDATE orders SET state = 'handled', handled_at = $1
			WHERE id = (SELECT id FROM orders WHERE state = 'placed' ORDER BY id LIMIT 1`+s.dialect.take+`) RETURNING id`, now).Scan(&id)
		if errors.Is(err, sql.ErrNoRows) {
			return ErrNotFound
		}
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO handlings (order_id, worker, at) VALUES ($1, $2, $3)`, id, worker, now); err != nil {
			return err
		}
		return s.restock(ctx, tx, id)
	})
	if err != nil {
		return 0, fmt.Errorf("handle next order: %w", err)
	}
	return id, nil
}

// Waiting reports whether an order waits to be handled. It takes no lock, so
// that an idle worker is in nobody's way.
func (s *Store) Waiting(ctx context.Context) (bool, error) {
	var waiting bool
	if err := s.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM orders WHERE state = 'placed')`).Scan(&waiting); err != nil {
		return false, fmt.Errorf("look for orders: %w", err)
	}
	return waiting, nil
}

// restock takes in a delivery of what the order has made scarce.
func (s *Store) restock(ctx context.Context, tx *sql.Tx, order int64) error {
	var scarce []int64
	err := rows(ctx, tx, func(r *sql.Rows) error {
		var id int64
		err := r.Scan(&id)
		scarce = append(scarce, id)
		return err
	}, `SELECT p.id FROM products p JOIN order_items i ON i.product = p.id WHERE i.order_id = $1 AND p.stock < $2`, order, restockBelow)
	if err != nil || len(scarce) == 0 {
		return err
	}
	if err := s.countMoves(ctx, tx); err != nil {
		return err
	}
	for _, id := range scarce {
		if err := moveStock(ctx, tx, id, delivery, "delivery"); err != nil {
			return err
		}
	}
	return nil
}

// Report is the account of one day.
type Report struct {
	Day     string `json:"day"`
	Orders  int64  `json:"orders"`
	Pieces  int64  `json:"pieces"`
	Revenue int64  `json:"revenue"` // cents
	Open    int64  `json:"open"`    // not handled when the report was made
}

// MakeReport makes the report of a day (2026-11-22, UTC), or makes it again.
// Test orders are left out.
func (s *Store) MakeReport(ctx context.Context, day string) (Report, error) {
	r := Report{Day: day}
	err := s.change(ctx, s.durable, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `
		INSERT INTO reports (day, orders, pieces, revenue, open, release, made_at)
		SELECT $1, count(*), coalesce(sum(pieces), 0), coalesce(sum(total), 0), count(*) FILTER (WHERE state = 'placed'), $2, $3
		FROM orders WHERE NOT test AND substr(placed_at, 1, 10) = $1
		ON CONFLICT (day) DO UPDATE SET orders = excluded.orders, pieces = excluded.pieces, revenue = excluded.revenue,
			open = excluded.open, release = excluded.release, made_at = excluded.made_at
		RETURNING orders, pieces, revenue, open`, day, s.release, stamp(time.Now())).Scan(&r.Orders, &r.Pieces, &r.Revenue, &r.Open)
	})
	if err != nil {
		return r, fmt.Errorf("make report of %s: %w", day, err)
	}
	return r, nil
}
