package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Product is something the shop sells.
type Product struct {
	ID      int64
	Slug    string
	Name    string
	Blurb   string
	Text    string
	Price   int64 // cents
	Stock   int64
	Picture string // name of a static asset
}

const productColumns = "id, slug, name, blurb, text, price, stock, picture"

func scanProduct(scan func(...any) error) (Product, error) {
	var p Product
	err := scan(&p.ID, &p.Slug, &p.Name, &p.Blurb, &p.Text, &p.Price, &p.Stock, &p.Picture)
	return p, err
}

// Products returns the catalogue.
func (s *Store) Products(ctx context.Context) ([]Product, error) {
	var all []Product
	err := rows(ctx, s.read, func(r *sql.Rows) error {
		p, err := scanProduct(r.Scan)
		all = append(all, p)
		return err
	}, "SELECT "+productColumns+" FROM products ORDER BY id")
	if err != nil {
		return nil, fmt.Errorf("read catalogue: %w", err)
	}
	return all, nil
}

// Product returns one product, ErrNotFound if there is none of that slug.
func (s *Store) Product(ctx context.Context, slug string) (Product, error) {
	p, err := scanProduct(s.read.QueryRowContext(ctx, "SELECT "+productColumns+" FROM products WHERE slug = $1", slug).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return p, fmt.Errorf("product %s: %w", slug, ErrNotFound)
	}
	if err != nil {
		return p, fmt.Errorf("read product %s: %w", slug, err)
	}
	return p, nil
}

// Image is a picture that a customer sent in.
type Image struct {
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
	Type   string `json:"type"`
}

// AddImage remembers a stored file as a picture of a product.
func (s *Store) AddImage(ctx context.Context, product int64, i Image) error {
	err := s.change(ctx, s.durable, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO images (product, sha256, size, type, at) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT DO NOTHING`, product, i.SHA256, i.Size, i.Type, stamp(time.Now()))
		return err
	})
	if err != nil {
		return fmt.Errorf("add image: %w", err)
	}
	return nil
}

// Images returns the newest pictures of a product.
func (s *Store) Images(ctx context.Context, product int64, limit int) ([]Image, error) {
	var all []Image
	err := rows(ctx, s.read, func(r *sql.Rows) error {
		var i Image
		err := r.Scan(&i.SHA256, &i.Size, &i.Type)
		all = append(all, i)
		return err
	}, `SELECT sha256, size, type FROM images WHERE product = $1 ORDER BY at DESC, sha256 LIMIT $2`, product, limit)
	if err != nil {
		return nil, fmt.Errorf("read images: %w", err)
	}
	return all, nil
}

// ImageType returns the content type of a stored file, ErrNotFound if no
// product has it.
func (s *Store) ImageType(ctx context.Context, sha string) (string, error) {
	var kind string
	err := s.read.QueryRowContext(ctx, `SELECT type FROM images WHERE sha256 = $1 LIMIT 1`, sha).Scan(&kind)
	if errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("image %s: %w", sha, ErrNotFound)
	}
	if err != nil {
		return "", fmt.Errorf("read image: %w", err)
	}
	return kind, nil
}
