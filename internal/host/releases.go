package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// releases are the unpacked releases of a host.
type releases struct {
	base  string
	store Releases
	log   *slog.Logger

	mu    sync.Mutex
	ready map[string]bool // by digest; those of an earlier process are looked at again
	busy  map[string]chan struct{}
	held  map[string]int // by tasks that are about to start
}

func newReleases(cfg Config) *releases {
	return &releases{
		base: filepath.Join(cfg.Dir, releasesDir), store: cfg.Releases, log: cfg.Log,
		ready: map[string]bool{}, busy: map[string]chan struct{}{}, held: map[string]int{},
	}
}

// dir is where a release is unpacked.
func (r *releases) dir(digest string) string {
	return filepath.Join(r.base, strings.TrimPrefix(digest, "sha256:"))
}

func (r *releases) state(digest string) (ready, busy bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ready[digest], r.busy[digest] != nil
}

// unpack makes the release be there; several who ask wait for one.
func (r *releases) unpack(ctx context.Context, digest string) error {
	for {
		r.mu.Lock()
		if r.ready[digest] {
			r.mu.Unlock()
			return nil
		}
		wait := r.busy[digest]
		if wait == nil {
			break
		}
		r.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	done := make(chan struct{})
	r.busy[digest] = done
	r.mu.Unlock()
	err := r.whole(ctx, digest)
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.busy, digest)
	close(done)
	r.ready[digest] = err == nil
	return err
}

// whole unpacks a release and makes sure that its files are what was released.
// A directory that was altered is put aside, for a person to look at, and the
// release is unpacked anew: what is started from now on is what was tested.
// Instances that run go on with the files they have.
func (r *releases) whole(ctx context.Context, digest string) error {
	dir := r.dir(digest)
	if err := r.store.Unpack(ctx, digest, dir); err != nil {
		return err
	}
	err := r.store.Verify(ctx, digest, dir)
	if err == nil || ctx.Err() != nil {
		return err
	}
	aside := filepath.Join(r.base, fmt.Sprintf("altered-%d-%s", time.Now().UnixMilli(), filepath.Base(dir)))
	if rerr := os.Rename(dir, aside); rerr != nil {
		return fmt.Errorf("put aside what was altered: %w", errors.Join(rerr, err))
	}
	r.log.Error("an unpacked release was altered; it is unpacked anew", "digest", digest, "aside", aside, "err", err)
	return r.store.Unpack(ctx, digest, dir)
}

// doubt has a release looked at again before something is started from it.
func (r *releases) doubt(digest string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.busy[digest] == nil {
		delete(r.ready, digest)
	}
}

// hold keeps a release until the returned function is called.
func (r *releases) hold(digest string) func() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held[digest]++
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.held[digest]--; r.held[digest] <= 0 {
			delete(r.held, digest)
		}
	}
}

// sweep removes the releases that nobody uses. used is asked again when nobody
// can begin to use one unnoticed.
func (r *releases) sweep(used func(digest string) bool) error {
	entries, err := os.ReadDir(r.base)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path, digest := filepath.Join(r.base, e.Name()), "sha256:"+e.Name()
		if !strings.HasPrefix(e.Name(), trash) {
			if !validDigest(digest) || used(digest) {
				continue // in use, or the store's own, such as one that is being unpacked
			}
			if path, err = r.take(digest, used); err != nil || path == "" {
				continue
			}
		}
		if err := removeReadOnly(path); err != nil {
			return fmt.Errorf("remove release %s: %w", e.Name(), err)
		}
	}
	return nil
}

const trash = ".old-"

// take moves a release out of the way and gives where to, "" if it is in use.
func (r *releases) take(digest string, used func(string) bool) (string, error) {
	r.mu.Lock()
	if r.busy[digest] != nil || r.held[digest] > 0 {
		r.mu.Unlock()
		return "", nil
	}
	done, ready := make(chan struct{}), r.ready[digest]
	r.busy[digest] = done // who wants it now waits, and unpacks it anew
	delete(r.ready, digest)
	r.mu.Unlock()
	var gone string
	var err error
	if !used(digest) {
		gone = filepath.Join(r.base, trash+filepath.Base(r.dir(digest)))
		err, ready = os.Rename(r.dir(digest), gone), false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.busy, digest)
	close(done)
	if ready {
		r.ready[digest] = true
	}
	return gone, err
}

// removeReadOnly removes a directory whose directories may not be written to.
func removeReadOnly(path string) error {
	err := filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = os.Chmod(p, 0o700) //nolint:gosec // on its way out
		}
		return err
	})
	if err != nil {
		return err
	}
	return os.RemoveAll(path)
}

// there lists the digests that are unpacked.
func (r *releases) there() map[string]bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := map[string]bool{}
	for digest, ready := range r.ready {
		if ready {
			list[digest] = true
		}
	}
	return list
}
