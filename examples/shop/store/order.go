package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Errors of placing an order.
var (
	ErrEmptyCart = errors.New("the cart is empty")
	ErrSoldOut   = errors.New("sold out")
	ErrKeyTaken  = errors.New("the key belongs to somebody else's order")
)

// Purchase is what a customer sends to buy.
type Purchase struct {
	Key     string // the same key is the same order, however often it is sent
	Session string
	Name    string
	Email   string
	Test    bool // a check of the shop: stored, but no stock moves and no report counts it
}

// Order is a stored purchase.
type Order struct {
	ID       int64  `json:"id"`
	Key      string `json:"key"`
	Session  string `json:"-"`
	Name     string `json:"name"`
	Email    string `json:"email"`
	Total    int64  `json:"total"` // cents
	Pieces   int64  `json:"pieces"`
	Test     bool   `json:"test"`
	Attempts int64  `json:"attempts"` // how often its key was presented
	State    string `json:"state"`    // placed, handled
	Release  string `json:"release"`  // which took it
	Placed   string `json:"placed"`
	Handled  int64  `json:"handled"` // how often a worker handled it; only Orders counts it
	Lines    []Line `json:"-"`
}

const orderColumns = "id, key, session, name, email, total, pieces, test, attempts, state, release, placed_at"

func scanOrder(scan func(...any) error) (Order, error) {
	var o Order
	err := scan(&o.ID, &o.Key, &o.Session, &o.Name, &o.Email, &o.Total, &o.Pieces, &o.Test, &o.Attempts, &o.State, &o.Release, &o.Placed)
	return o, err
}

// PlaceOrder buys what is in the cart of the session; for a test one piece of
// the first product, whatever the cart holds. It reports whether it made the
// order or found it made under the same key before.
func (s *Store) PlaceOrder(ctx context.Context, p Purchase) (order Order, made bool, err error) {
	err = s.change(ctx, s.durable, func(tx *sql.Tx) error {
		cart, err := s.toBuy(ctx, tx, p)
		if err != nil {
			return err
		}
		order, err = s.insertOrder(ctx, tx, p, cart)
		made = err == nil && order.Attempts == 1
		switch {
		case err != nil:
			return err
		case order.Session != p.Session:
			return ErrKeyTaken
		case !made:
			return nil
		case len(cart.Lines) == 0:
			return ErrEmptyCart
		}
		order.Lines = cart.Lines
		return s.takeOut(ctx, tx, order)
	})
	if err != nil {
		return Order{}, false, fmt.Errorf("place order: %w", err)
	}
	return order, made, nil
}

func (s *Store) toBuy(ctx context.Context, tx *sql.Tx, p Purchase) (Cart, error) {
	if p.Test {
		product, err := scanProduct(tx.QueryRowContext(ctx, "SELECT "+productColumns+" FROM products ORDER BY id LIMIT 1").Scan)
		return cartOf([]Line{{Product: product, Quantity: 1}}), err
	}
	return readCart(ctx, tx, p.Session, s.dialect.lock)
}

// insertOrder stores an order, or finds the one that was made under the same
// key before.
func (s *Store) insertOrder(ctx context.Context, tx *sql.Tx, p Purchase, cart Cart) (Order, error) {
	return scanOrder(tx.QueryRowContext(ctx, `
		INSERT INTO orders (key, session, name, email, total, pieces, test, release, placed_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT (key) DO UPDATE SET attempts = orders.attempts + 1 RETURNING `+orderColumns,
		p.Key, p.Session, p.Name, p.Email, cart.Total, cart.Pieces, p.Test, s.release, stamp(time.Now())).Scan)
}

// takeOut stores what a new order is made of, and takes it out of the stock and
// the cart.
func (s *Store) takeOut(ctx context.Context, tx *sql.Tx, o Order) error {
	for _, l := range o.Lines {
		if _, err := tx.ExecContext(ctx, `INSERT INTO order_items (order_id, product, quantity, price) VALUES ($1, $2, $3, $4)`,
			o.ID, l.Product.ID, l.Quantity, l.Product.Price); err != nil {
			return err
		}
	}
	if o.Test {
		return nil
	}
	if err := s.countMoves(ctx, tx); err != nil {
		return err
	}
	for _, l := range o.Lines {
		if err := moveStock(ctx, tx, l.Product.ID, -l.Quantity, fmt.Sprintf("order %d", o.ID)); err != nil {
			return fmt.Errorf("%s: %w", l.Product.Slug, err)
		}
	}
	_, err := tx.ExecContext(ctx, `DELETE FROM cart_items WHERE session = $1`, o.Session)
	return err
}

// Order returns one order of a session with its lines.
func (s *Store) Order(ctx context.Context, session string, id int64) (Order, error) {
	o, err := scanOrder(s.read.QueryRowContext(ctx, "SELECT "+orderColumns+" FROM orders WHERE id = $1 AND session = $2", id, session).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return o, fmt.Errorf("order %d: %w", id, ErrNotFound)
	}
	if err != nil {
		return o, fmt.Errorf("read order %d: %w", id, err)
	}
	err = rows(ctx, s.read, func(r *sql.Rows) error {
		var l Line
		err := r.Scan(&l.Product.Slug, &l.Product.Name, &l.Product.Picture, &l.Product.Price, &l.Quantity)
		o.Lines = append(o.Lines, l)
		return err
	}, `SELECT p.slug, p.name, p.picture, i.price, i.quantity
		FROM order_items i JOIN products p ON p.id = i.product WHERE i.order_id = $1 ORDER BY p.id`, id)
	if err != nil {
		return o, fmt.Errorf("read order %d: %w", id, err)
	}
	return o, nil
}

// Orders returns up to limit orders with an id above after, without lines.
func (s *Store) Orders(ctx context.Context, after int64, limit int) ([]Order, error) {
	var all []Order
	err := rows(ctx, s.read, func(r *sql.Rows) error {
		var handled int64
		o, err := scanOrder(func(columns ...any) error { return r.Scan(append(columns, &handled)...) })
		o.Handled = handled
		all = append(all, o)
		return err
	}, "SELECT "+orderColumns+`, (SELECT count(*) FROM handlings h WHERE h.order_id = orders.id)
		FROM orders WHERE id > $1 ORDER BY id LIMIT $2`, after, limit)
	if err != nil {
		return nil, fmt.Errorf("read orders: %w", err)
	}
	return all, nil
}
