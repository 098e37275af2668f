package cert

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/atomicfile"
)

// Dir is a Shared in a directory of this machine: a file for each key, which
// only its owner can read. Processes of the machine share it.
type Dir struct {
	path string
	mu   sync.Mutex // locks.json, in this process; a file lock keeps others out
	now  func() time.Time
}

// NewDir gives the place at path and creates it if it is not there.
func NewDir(path string) (*Dir, error) {
	d := &Dir{path: path, now: time.Now}
	if err := os.MkdirAll(d.items(), 0o700); err != nil {
		return nil, &noon.Error{Kind: noon.Failure, Op: "make the directory of certificates", Subject: path, Err: err, Hint: "Check that the directory above exists and may be written to."}
	}
	return d, nil
}

func (d *Dir) items() string { return filepath.Join(d.path, "items") }

// file is where a key is kept. Keys are checked: they are made of names that
// clients send.
func (d *Dir) file(key string) (string, error) {
	name := filepath.FromSlash(key)
	if key == "" || !filepath.IsLocal(name) || filepath.Clean(name) != name || strings.ContainsAny(key, "\x00\\") || hidden(key) {
		return "", fmt.Errorf("%q is not a key", key)
	}
	return filepath.Join(d.items(), name), nil
}

// hidden reports whether a part of a key looks like a temporary file.
func hidden(key string) bool { return strings.HasPrefix(key, ".") || strings.Contains(key, "/.") }

// Load gives what is at key.
func (d *Dir) Load(ctx context.Context, key string) ([]byte, time.Time, error) {
	path, err := d.file(key)
	if err != nil {
		return nil, time.Time{}, err
	}
	if err := ctx.Err(); err != nil {
		return nil, time.Time{}, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, time.Time{}, absent(err)
	}
	if info.IsDir() {
		return nil, time.Time{}, fmt.Errorf("load %s: %w", key, fs.ErrNotExist)
	}
	data, err := os.ReadFile(path)
	return data, info.ModTime(), absent(err)
}

// absent makes "a part of the path is a file" the same as "not there".
func absent(err error) error {
	if errors.Is(err, unix.ENOTDIR) {
		return fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	return err
}

// Store puts a value at key.
func (d *Dir) Store(ctx context.Context, key string, value []byte) error {
	path, err := d.file(key)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("store %s: %w", key, err)
	}
	return atomicfile.Write(path, value, 0o600)
}

// Delete removes key and everything below it.
func (d *Dir) Delete(_ context.Context, key string) error {
	path, err := d.file(key)
	if err != nil {
		return err
	}
	if err := absent(os.RemoveAll(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete %s: %w", key, err)
	}
	return nil
}

// List gives all keys below prefix.
func (d *Dir) List(ctx context.Context, prefix string) ([]string, error) {
	root := d.items()
	if prefix != "" {
		var err error
		if root, err = d.file(prefix); err != nil {
			return nil, err
		}
	}
	var keys []string
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err = errors.Join(absent(err), ctx.Err()); err != nil || e.IsDir() || path == root {
			return err
		}
		name, err := filepath.Rel(d.items(), path)
		if key := filepath.ToSlash(name); err == nil && !hidden(key) {
			keys = append(keys, key)
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return keys, err
}

// lease is one lock in locks.json.
type lease struct {
	Holder string    `json:"holder"`
	Until  time.Time `json:"until"`
}

// Lock takes, extends or gives back a lock.
func (d *Dir) Lock(ctx context.Context, name, holder string, ttl time.Duration) (bool, error) {
	if err := ctx.Err(); err != nil && ttl > 0 {
		return false, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	f, err := os.OpenFile(filepath.Join(d.path, "locks.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return false, fmt.Errorf("lock %s: %w", name, err)
	}
	defer func() { _ = f.Close() }() // and with it the lock
	// It is held for as long as a small file is written.
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil { //nolint:gosec // a file descriptor fits
		return false, fmt.Errorf("lock %s: %w", name, err)
	}
	leases := d.leases()
	now := d.now()
	if l, ok := leases[name]; ok && l.Holder != holder && l.Until.After(now) {
		return false, nil
	}
	delete(leases, name)
	for other, l := range leases {
		if !l.Until.After(now) {
			delete(leases, other)
		}
	}
	if ttl > 0 {
		leases[name] = lease{holder, now.Add(ttl)}
	}
	data, err := json.Marshal(leases)
	if err != nil {
		return false, err
	}
	return true, atomicfile.Write(filepath.Join(d.path, "locks.json"), data, 0o600)
}

// leases reads the locks. What can not be read locks nothing: locks are for a
// minute, and what they protect is checked again by whoever gets one.
func (d *Dir) leases() map[string]lease {
	leases := map[string]lease{}
	if data, err := os.ReadFile(filepath.Join(d.path, "locks.json")); err == nil {
		if json.Unmarshal(data, &leases) != nil || leases == nil {
			return map[string]lease{}
		}
	}
	return leases
}
