package cert

import (
	"context"
	"time"
)

// Shared is a place where several proxies keep accounts and certificates
// together. Keys are slash-separated paths of letters, digits and "._-@+".
//
// It has five methods because they are one contract: what is stored under a
// lock is found by the next who gets the lock. Package storetest checks it.
type Shared interface {
	// Load gives what is at key, and when it was stored; fs.ErrNotExist if
	// nothing is.
	Load(ctx context.Context, key string) (value []byte, modified time.Time, err error)
	// Store puts a value at key, durably and whole.
	Store(ctx context.Context, key string, value []byte) error
	// Delete removes key and everything below it. Nothing there is no error.
	Delete(ctx context.Context, key string) error
	// List gives all keys below prefix, sorted; "" is all keys.
	List(ctx context.Context, prefix string) ([]string, error)
	// Lock takes a lock for holder or, if it has it, extends it; it ends by
	// itself after ttl. It is false if somebody else has it. A ttl of zero
	// gives it back.
	Lock(ctx context.Context, name, holder string, ttl time.Duration) (bool, error)
}
