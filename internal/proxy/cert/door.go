package cert

import (
	"context"
	"errors"
	"sync"
	"time"
)

// door is a Shared that can be closed: then nothing more is written. certmagic
// has work under way that nobody can wait for.
type door struct {
	Shared
	mu     sync.RWMutex // read: something is being written
	closed bool
}

var errClosed = errors.New("the certificates are closed")

// close returns when what is being written is written.
func (d *door) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
}

// through runs a write unless the door is closed.
func (d *door) through(write func() error) error {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.closed {
		return errClosed
	}
	return write()
}

// Store puts a value at key.
func (d *door) Store(ctx context.Context, key string, value []byte) error {
	return d.through(func() error { return d.Shared.Store(ctx, key, value) })
}

// Delete removes key and everything below it.
func (d *door) Delete(ctx context.Context, key string) error {
	return d.through(func() error { return d.Shared.Delete(ctx, key) })
}

// Lock takes, extends or gives back a lock.
func (d *door) Lock(ctx context.Context, name, holder string, ttl time.Duration) (mine bool, err error) {
	err = d.through(func() error {
		mine, err = d.Shared.Lock(ctx, name, holder, ttl)
		return err
	})
	return mine, err
}
