package cert

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
)

// keep is a Shared as certmagic needs it.
//
// certmagic stores a certificate and its key one after the other: a process
// that is killed in between would leave a pair that does not fit. keep holds
// both back until they are complete, and stores them as one item "NAME.pem",
// so that there is always the old pair or the new one.
type keep struct {
	Shared
	holder string
	wait   time.Duration // between tries to get a lock

	mu      sync.Mutex
	pending map[string]map[string][]byte // by item: ".crt" and ".key" that wait to be complete
	held    map[string]func()            // ends the extension of a lock
}

var _ certmagic.Storage = (*keep)(nil)

func newKeep(s Shared) *keep {
	return &keep{
		Shared: s, holder: rand.Text(), wait: time.Second,
		pending: map[string]map[string][]byte{}, held: map[string]func(){},
	}
}

// pairItem gives the item that a part of a pair is in.
func pairItem(key string) (item, part string, ok bool) {
	part = path.Ext(key)
	if !strings.HasPrefix(key, "certificates/") || part != ".crt" && part != ".key" {
		return "", "", false
	}
	return strings.TrimSuffix(key, part) + ".pem", part, true
}

// splitPair takes a pair apart. Blocks of other kinds belong to neither.
func splitPair(data []byte) map[string][]byte {
	parts := map[string][]byte{}
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			return parts
		}
		data = rest
		var part string
		switch {
		case block.Type == "CERTIFICATE":
			part = ".crt"
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			part = ".key"
		default:
			continue
		}
		parts[part] = append(parts[part], pem.EncodeToMemory(block)...)
	}
}

// Store puts a value at key. certmagic stores the key, the certificate, and
// then what is known of it, which is what a pair is completed by.
func (k *keep) Store(ctx context.Context, key string, value []byte) error {
	if item, part, ok := pairItem(key); ok {
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.pending[item] == nil {
			k.pending[item] = map[string][]byte{}
		}
		k.pending[item][part] = value
		return nil
	}
	if err := k.Shared.Store(ctx, key, value); err != nil {
		return err
	}
	item := strings.TrimSuffix(key, ".json") + ".pem"
	k.mu.Lock()
	parts := k.pending[item]
	k.mu.Unlock()
	if len(parts) < 2 {
		return nil
	}
	pair := bytes.Join([][]byte{bytes.TrimSpace(parts[".key"]), parts[".crt"]}, []byte("\n"))
	if err := k.Shared.Store(ctx, item, pair); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.pending, item)
	return nil
}

// Load gives what is at key.
func (k *keep) Load(ctx context.Context, key string) ([]byte, error) {
	value, _, err := k.load(ctx, key)
	return value, err
}

func (k *keep) load(ctx context.Context, key string) ([]byte, time.Time, error) {
	item, part, ok := pairItem(key)
	if !ok {
		return k.Shared.Load(ctx, key)
	}
	data, at, err := k.Shared.Load(ctx, item)
	if err != nil {
		return nil, at, err
	}
	value := splitPair(data)[part]
	if value == nil {
		return nil, at, fmt.Errorf("load %s: there is none in %s: %w", key, item, fs.ErrNotExist)
	}
	return value, at, nil
}

// Delete removes key and everything below it. What was held back is dropped:
// certmagic takes a store back that way.
func (k *keep) Delete(ctx context.Context, key string) error {
	item, part, ok := pairItem(key)
	if !ok {
		return k.Shared.Delete(ctx, key)
	}
	k.mu.Lock()
	_, held := k.pending[item][part]
	delete(k.pending, item)
	k.mu.Unlock()
	if held {
		return nil
	}
	return k.Shared.Delete(ctx, item)
}

// Exists reports whether there is something at or below key.
func (k *keep) Exists(ctx context.Context, key string) bool {
	if _, err := k.Load(ctx, key); err == nil {
		return true
	}
	keys, err := k.Shared.List(ctx, key)
	return err == nil && len(keys) > 0
}

// List gives the keys below prefix, or only the next level of them.
func (k *keep) List(ctx context.Context, prefix string, recursive bool) ([]string, error) {
	items, err := k.Shared.List(ctx, prefix)
	if err != nil {
		return nil, err
	}
	var keys []string
	for _, item := range items {
		if base, ok := strings.CutSuffix(item, ".pem"); ok && strings.HasPrefix(item, "certificates/") {
			keys = append(keys, base+".crt", base+".key")
			continue
		}
		keys = append(keys, item)
	}
	if recursive {
		return keys, nil
	}
	return level(keys, prefix), nil
}

// level cuts keys off after the first part below prefix.
func level(keys []string, prefix string) []string {
	var cut []string
	seen := map[string]bool{}
	for _, key := range keys {
		next, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(key, prefix), "/"), "/")
		if at := path.Join(prefix, next); !seen[at] {
			seen[at] = true
			cut = append(cut, at)
		}
	}
	return cut
}

// Stat describes what is at key.
func (k *keep) Stat(ctx context.Context, key string) (certmagic.KeyInfo, error) {
	value, at, err := k.load(ctx, key)
	if err == nil {
		return certmagic.KeyInfo{Key: key, Modified: at, Size: int64(len(value)), IsTerminal: true}, nil
	}
	if keys, lerr := k.Shared.List(ctx, key); lerr == nil && len(keys) > 0 {
		return certmagic.KeyInfo{Key: key}, nil
	}
	return certmagic.KeyInfo{}, err
}

// lockTTL is how long a lock outlives a process that was killed.
const lockTTL = 30 * time.Second

// Lock waits for a lock and extends it until Unlock.
func (k *keep) Lock(ctx context.Context, name string) error {
	tick := time.NewTicker(k.wait)
	defer tick.Stop()
	holder := k.holder + "/" + rand.Text() // two goroutines of one process are two holders
	for {
		ok, err := k.Shared.Lock(ctx, name, holder, lockTTL)
		if err != nil {
			return fmt.Errorf("lock %s: %w", name, err)
		}
		if ok {
			k.extend(ctx, name, holder)
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("lock %s: %w", name, context.Cause(ctx))
		case <-tick.C:
		}
	}
}

// extend keeps a lock until it is given back by the function in held.
func (k *keep) extend(ctx context.Context, name, holder string) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var loop sync.WaitGroup
	loop.Go(func() {
		tick := time.NewTicker(lockTTL / 3)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				// Tried again at the next tick; lost for good only after three.
				_, _ = k.Shared.Lock(ctx, name, holder, lockTTL)
			}
		}
	})
	k.mu.Lock()
	defer k.mu.Unlock()
	k.held[name] = func() {
		cancel()
		loop.Wait()
		last, done := context.WithTimeout(context.WithoutCancel(ctx), callLimit)
		defer done()
		_, _ = k.Shared.Lock(last, name, holder, 0) // it ends by itself otherwise
	}
}

// callLimit bounds a call to a Shared that nobody waits for.
const callLimit = 5 * time.Second

// Unlock gives a lock back, also when ctx has ended.
func (k *keep) Unlock(_ context.Context, name string) error {
	k.mu.Lock()
	giveBack := k.held[name]
	delete(k.held, name)
	k.mu.Unlock()
	if giveBack == nil {
		return fmt.Errorf("unlock %s: it is not locked", name)
	}
	giveBack()
	return nil
}
