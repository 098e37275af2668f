package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Move is a change of a product's stock.
type Move struct {
	ID      int64  `json:"-"`
	Product string `json:"product"` // slug
	Delta   int64  `json:"delta"`
	Stock   int64  `json:"stock"` // what was left
}

// moveStock changes a product's stock and writes the move down. Moves are
// numbered without a gap, in the order in which they can be seen: countMoves
// comes before the first one of a transaction.
func moveStock(ctx context.Context, tx *sql.Tx, product, delta int64, reason string) error {
	var left int64
	err := tx.QueryRowContext(ctx, `UPDATE products SET stock = stock + $1 WHERE id = $2 AND stock + $1 >= 0 RETURNING stock`,
		delta, product).Scan(&left)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrSoldOut
	}
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO stock_moves (id, product, delta, stock, reason, at)
		VALUES ((SELECT coalesce(max(id), 0) + 1 FROM stock_moves), $1, $2, $3, $4, $5)`,
		product, delta, left, reason, stamp(time.Now()))
	return err
}

// countMoves lets this transaction alone move stock until it ends.
func (s *Store) countMoves(ctx context.Context, tx *sql.Tx) error {
	if s.dialect.moves == "" {
		return nil
	}
	_, err := tx.ExecContext(ctx, s.dialect.moves)
	return err
}

// LastMove returns the id of the newest move, 0 if there is none.
func (s *Store) LastMove(ctx context.Context) (int64, error) {
	var id int64
	if err := s.read.QueryRowContext(ctx, `SELECT coalesce(max(id), 0) FROM stock_moves`).Scan(&id); err != nil {
		return 0, fmt.Errorf("read last stock move: %w", err)
	}
	return id, nil
}

// Moves returns up to limit moves with an id above after.
func (s *Store) Moves(ctx context.Context, after int64, limit int) ([]Move, error) {
	var all []Move
	err := rows(ctx, s.read, func(r *sql.Rows) error {
		var m Move
		err := r.Scan(&m.ID, &m.Product, &m.Delta, &m.Stock)
		all = append(all, m)
		return err
	}, `SELECT m.id, p.slug, m.delta, m.stock FROM stock_moves m JOIN products p ON p.id = m.product
		WHERE m.id > $1 ORDER BY m.id LIMIT $2`, after, limit)
	if err != nil {
		return nil, fmt.Errorf("read stock moves: %w", err)
	}
	return all, nil
}
