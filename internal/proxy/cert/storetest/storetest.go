// Package storetest says what a place must do that proxies keep certificates
// in, as tests that every such place runs.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Place is what is tested: a cert.Shared. It has its five methods because it
// is the same contract, written again so that no adapter imports another.
type Place interface {
	Load(ctx context.Context, key string) (value []byte, modified time.Time, err error)
	Store(ctx context.Context, key string, value []byte) error
	Delete(ctx context.Context, key string) error
	List(ctx context.Context, prefix string) ([]string, error)
	Lock(ctx context.Context, name, holder string, ttl time.Duration) (bool, error)
}

// Run tests places that open makes. later moves the place's clock.
func Run(t *testing.T, open func(t *testing.T) (p Place, later func(time.Duration))) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, Place, func(time.Duration)){
		"items": items, "keys": keys, "tree": tree, "locks": locks, "one holder": oneHolder, "whole values": whole,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, later := open(t)
			test(t, p, later)
		})
	}
}

func items(t *testing.T, p Place, _ func(time.Duration)) {
	t.Helper()
	ctx := t.Context()
	if _, _, err := p.Load(ctx, "a/b"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing there: %v, want fs.ErrNotExist", err)
	}
	for _, value := range [][]byte{[]byte("one"), []byte("two, longer"), {}, {0, 255, '\n'}} {
		check(t, p.Store(ctx, "a/b", value))
		got, at, err := p.Load(ctx, "a/b")
		if err != nil || !bytes.Equal(got, value) || at.IsZero() {
			t.Errorf("loaded %q of %v, %v; want %q", got, at, err, value)
		}
	}
	check(t, p.Delete(ctx, "a/b"))
	check(t, p.Delete(ctx, "a/b")) // again
	if _, _, err := p.Load(ctx, "a/b"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("deleted: %v, want fs.ErrNotExist", err)
	}
	over, cancel := context.WithCancel(ctx)
	cancel()
	if err := p.Store(over, "a/b", []byte("x")); err == nil {
		t.Error("a call whose context has ended stored something")
	}
}

// keys: what would leave the place is refused.
func keys(t *testing.T, p Place, _ func(time.Duration)) {
	t.Helper()
	ctx := t.Context()
	for _, key := range []string{"", ".", "..", "../x", "a/../../x", "/etc/x", "a//b", "a/", "a/./b", "a\x00b", ".a", "a/.b", `a\b`} {
		if err := p.Store(ctx, key, []byte("x")); err == nil {
			t.Errorf("key %q was taken", key)
		}
		if _, _, err := p.Load(ctx, key); err == nil {
			t.Errorf("key %q was loaded", key)
		}
	}
	for _, key := range []string{"a", "certificates/ca-directory/wildcard_.example.com/wildcard_.example.com.pem", "a@b+c/d_e-f.json"} {
		check(t, p.Store(ctx, key, []byte(key)))
		if got, _, err := p.Load(ctx, key); err != nil || string(got) != key {
			t.Errorf("%q: %q, %v", key, got, err)
		}
	}
}

func tree(t *testing.T, p Place, _ func(time.Duration)) {
	t.Helper()
	ctx := t.Context()
	for _, key := range []string{"a/b/2", "a/b/1", "a/bc/3", "a-b/4", "d"} {
		check(t, p.Store(ctx, key, []byte(key)))
	}
	list(t, p, "", "a-b/4", "a/b/1", "a/b/2", "a/bc/3", "d")
	list(t, p, "a", "a/b/1", "a/b/2", "a/bc/3")
	list(t, p, "a/b", "a/b/1", "a/b/2")
	list(t, p, "nothing")
	list(t, p, "d")
	if _, _, err := p.Load(ctx, "a/b"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder was loaded: %v", err)
	}
	check(t, p.Delete(ctx, "a/b"))
	list(t, p, "", "a-b/4", "a/bc/3", "d")
}

func list(t *testing.T, p Place, prefix string, want ...string) {
	t.Helper()
	got, err := p.List(t.Context(), prefix)
	slices.Sort(got) // a file system has an order of its own
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("list %q: %q, %v; want %q", prefix, got, err, want)
	}
}

func locks(t *testing.T, p Place, later func(time.Duration)) {
	t.Helper()
	lock(t, p, "x", "ada", time.Minute, true)
	lock(t, p, "x", "bob", time.Minute, false)
	lock(t, p, "y", "bob", time.Minute, true) // another one
	lock(t, p, "x", "ada", time.Minute, true) // extended
	lock(t, p, "x", "bob", 0, false)          // not his to give back
	lock(t, p, "x", "bob", time.Minute, false)
	lock(t, p, "x", "ada", 0, true)
	lock(t, p, "x", "ada", 0, true) // again
	lock(t, p, "x", "bob", time.Minute, true)
	later(30 * time.Second)
	lock(t, p, "x", "bob", time.Minute, true)
	later(40 * time.Second)
	lock(t, p, "x", "ada", time.Minute, false) // bob has extended it
	later(30 * time.Second)
	lock(t, p, "x", "ada", time.Minute, true) // bob was killed
}

func lock(t *testing.T, p Place, name, holder string, ttl time.Duration, want bool) {
	t.Helper()
	got, err := p.Lock(t.Context(), name, holder, ttl)
	if err != nil || got != want {
		t.Errorf("lock %s for %s, %v: %v, %v; want %v", name, holder, ttl, got, err, want)
	}
}

// oneHolder: of many who want a lock one gets it.
func oneHolder(t *testing.T, p Place, _ func(time.Duration)) {
	t.Helper()
	for round := range 5 {
		var got atomic.Int64
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				ok, err := p.Lock(t.Context(), fmt.Sprint("round ", round), fmt.Sprint("holder ", i), time.Minute)
				if err != nil {
					t.Error(err)
				}
				if ok {
					got.Add(1)
				}
			})
		}
		all.Wait()
		if got.Load() != 1 {
			t.Errorf("%d holders have the lock, want 1", got.Load())
		}
	}
}

// whole: a reader finds the value of one writer, never parts of two.
func whole(t *testing.T, p Place, _ func(time.Duration)) {
	t.Helper()
	ctx := t.Context()
	check(t, p.Store(ctx, "k", bytes.Repeat([]byte{0}, 4096)))
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for range 10 {
				if err := p.Store(ctx, "k", bytes.Repeat([]byte{byte(i)}, 4096)); err != nil {
					t.Error(err)
				}
			}
		})
		all.Go(func() {
			for range 20 {
				value, _, err := p.Load(ctx, "k")
				if err != nil || len(value) != 4096 || len(bytes.Trim(value, string(value[:1]))) != 0 {
					t.Errorf("%d bytes that are not of one writer, %v", len(value), err)
					return
				}
			}
		})
	}
	all.Wait()
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}
