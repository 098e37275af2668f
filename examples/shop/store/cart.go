package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Line is a number of pieces of one product, in a cart or an order.
type Line struct {
	Product  Product
	Quantity int64
}

// Sum is the price of the line in cents.
func (l Line) Sum() int64 { return l.Product.Price * l.Quantity }

// Cart is what a customer wants to buy.
type Cart struct {
	Lines  []Line
	Total  int64 // cents
	Pieces int64
}

func cartOf(lines []Line) Cart {
	c := Cart{Lines: lines}
	for _, l := range lines {
		c.Total += l.Sum()
		c.Pieces += l.Quantity
	}
	return c
}

// Cart returns the cart of a session.
func (s *Store) Cart(ctx context.Context, session string) (Cart, error) {
	return readCart(ctx, s.read, session, "")
}

func readCart(ctx context.Context, db querier, session, lock string) (Cart, error) {
	var lines []Line
	err := rows(ctx, db, func(r *sql.Rows) error {
		var l Line
		p := &l.Product
		err := r.Scan(&p.ID, &p.Slug, &p.Name, &p.Price, &p.Stock, &p.Picture, &l.Quantity)
		lines = append(lines, l)
		return err
	}, `SELECT p.id, p.slug, p.name, p.price, p.stock, p.picture, c.quantity
		FROM cart_items c JOIN products p ON p.id = c.product WHERE c.session = $1 ORDER BY c.at, p.id`+lock, session)
	if err != nil {
		return Cart{}, fmt.Errorf("read cart: %w", err)
	}
	return cartOf(lines), nil
}

// MaxQuantity is the most pieces of one product that a cart holds.
const MaxQuantity = 99

// AddToCart puts pieces of a product into a cart, at most MaxQuantity.
func (s *Store) AddToCart(ctx context.Context, session, slug string, quantity int64) error {
	err := s.change(ctx, s.quick, func(tx *sql.Tx) error {
		var id int64
		return tx.QueryRowContext(ctx, `INSERT INTO cart_items (session, product, quantity, at)
			SELECT $1, id, $2, $3 FROM products WHERE slug = $4
			ON CONFLICT (session, product) DO UPDATE SET
				quantity = CASE WHEN cart_items.quantity + excluded.quantity < $5 THEN cart_items.quantity + excluded.quantity ELSE $5 END
			RETURNING product`, session, quantity, stamp(time.Now()), slug, MaxQuantity).Scan(&id)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("product %s: %w", slug, ErrNotFound)
	}
	if err != nil {
		return fmt.Errorf("add to cart: %w", err)
	}
	return nil
}

// RemoveFromCart takes a product out of a cart.
func (s *Store) RemoveFromCart(ctx context.Context, session, slug string) error {
	err := s.change(ctx, s.quick, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM cart_items WHERE session = $1
			AND product = (SELECT id FROM products WHERE slug = $2)`, session, slug)
		return err
	})
	if err != nil {
		return fmt.Errorf("remove from cart: %w", err)
	}
	return nil
}
