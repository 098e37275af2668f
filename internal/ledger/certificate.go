package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/noon-deploy/noon"
)

// Certificates is where proxies keep accounts and certificates together. All
// values are sealed, since private keys are among them.
type Certificates struct{ l *Ledger }

// Certificates gives the ledger's part for proxies.
func (l *Ledger) Certificates() Certificates { return Certificates{l} }

// Load gives what is at key and when it was stored; fs.ErrNotExist if nothing
// is.
func (c Certificates) Load(ctx context.Context, key string) ([]byte, time.Time, error) {
	var modified int64
	var sealed string
	err := c.l.reader.QueryRowContext(ctx, `SELECT modified, value FROM certificate_item WHERE path = $1`, key).Scan(&modified, &sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, time.Time{}, &noon.Error{Kind: noon.NotFound, Op: "load certificate item", Subject: key, Err: fs.ErrNotExist}
	}
	if err != nil {
		return nil, time.Time{}, explain("load certificate item", key, err)
	}
	value, err := c.l.key.unseal(sealed, itemPlace(key))
	if err != nil {
		return nil, time.Time{}, explain("load certificate item", key, err)
	}
	return []byte(value), fromNanos(modified), nil
}

// itemPlace is what a sealed value is bound to: it can not be moved to another key.
func itemPlace(key string) string { return "certificate " + key }

// Store puts a value at key.
func (c Certificates) Store(ctx context.Context, key string, value []byte) error {
	if err := validPath(key); err != nil {
		return err
	}
	err := c.l.write(ctx, "certificate", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO certificate_item (path, modified, value) VALUES ($1, $2, $3)
			ON CONFLICT (path) DO UPDATE SET modified = excluded.modified, value = excluded.value`,
			key, nanos(c.l.clock()), c.l.key.seal(string(value), itemPlace(key)))
		return err
	})
	return explain("store certificate item", key, err)
}

func validPath(key string) error {
	if fs.ValidPath(key) && key != "." && !strings.ContainsAny(key, "\x00\\") && !strings.HasPrefix(key, ".") && !strings.Contains(key, "/.") {
		return nil
	}
	return &noon.Error{Kind: noon.Invalid, Op: "name a certificate item", Err: fmt.Errorf("%q is not a path such as a/b", key)}
}

// Delete removes key and everything below it.
func (c Certificates) Delete(ctx context.Context, key string) error {
	if err := validPath(key); err != nil {
		return err
	}
	err := c.l.write(ctx, "certificate", func(tx *sql.Tx) error {
		from, to := below(key)
		_, err := tx.ExecContext(ctx, `DELETE FROM certificate_item WHERE path = $1 OR (path >= $2 AND path < $3)`, key, from, to)
		return err
	})
	return explain("delete certificate item", key, err)
}

// below is the range of paths under a path: "0" is what follows "/".
func below(key string) (from, to string) { return key + "/", key + "0" }

// List gives all keys below prefix, sorted; "" is all keys.
func (c Certificates) List(ctx context.Context, prefix string) ([]string, error) {
	query, args := `SELECT path FROM certificate_item ORDER BY path`, []any(nil)
	if prefix != "" {
		from, to := below(prefix)
		query, args = `SELECT path FROM certificate_item WHERE path >= $1 AND path < $2 ORDER BY path`, []any{from, to}
	}
	keys, err := collect(ctx, c.l.reader, scanString, query, args...)
	return keys, explain("list certificate items", prefix, err)
}

// Lock takes a lock for holder or extends it; it ends by itself after ttl. It
// is false if somebody else has it. A ttl of zero gives it back.
func (c Certificates) Lock(ctx context.Context, name, holder string, ttl time.Duration) (bool, error) {
	var mine bool
	err := c.l.write(ctx, "certificate", func(tx *sql.Tx) error {
		now := c.l.clock()
		if ttl <= 0 {
			_, err := tx.ExecContext(ctx, `DELETE FROM certificate_lock WHERE name = $1 AND holder = $2`, name, holder)
			if err != nil {
				return err
			}
			var other string
			err = tx.QueryRowContext(ctx, `SELECT holder FROM certificate_lock WHERE name = $1 AND until > $2`, name, nanos(now)).Scan(&other)
			mine = errors.Is(err, sql.ErrNoRows)
			if mine {
				return nil
			}
			return err
		}
		var got string
		err := tx.QueryRowContext(ctx, `INSERT INTO certificate_lock (name, holder, until) VALUES ($1, $2, $3)
			ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
			WHERE certificate_lock.holder = excluded.holder OR certificate_lock.until <= $4 RETURNING holder`,
			name, holder, nanos(now.Add(ttl)), nanos(now)).Scan(&got)
		if errors.Is(err, sql.ErrNoRows) {
			return errUnchanged
		}
		mine = err == nil
		return err
	})
	if errors.Is(err, errUnchanged) {
		err = nil
	}
	return mine && err == nil, explain("lock certificate item", name, err)
}
