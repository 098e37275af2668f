package cert_test

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/noon-deploy/noon/internal/proxy/cert"
	"github.com/noon-deploy/noon/internal/proxy/cert/storetest"
)

func TestDirIsAPlace(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) (storetest.Place, func(time.Duration)) {
		t.Helper()
		d, err := cert.NewDir(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		var passed atomic.Int64
		d.SetClock(func() time.Time { return time.Unix(1_800_000_000, 0).Add(time.Duration(passed.Load())) })
		return d, func(by time.Duration) { passed.Add(int64(by)) }
	})
}

// TestPairsAreStoredWhole: whatever a process was killed between, there is the
// old certificate with its key or the new one with its own.
func TestPairsAreStoredWhole(t *testing.T) {
	t.Parallel()
	d, err := cert.NewDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ctx, c := t.Context(), newCA(t)
	const base = "certificates/ca/shop.example.com/shop.example.com"
	steps := []string{".key", ".crt", ".json"}
	put := func(serial int64, upTo int) (want [2]string) {
		k := cert.Kept(d) // a process of its own
		certPEM, keyPEM := c.issue(t, serial, nil, domain)
		for i, value := range [][]byte{keyPEM, certPEM, []byte("{}")} {
			if i < upTo {
				if err := k.Store(ctx, base+steps[i], value); err != nil {
					t.Fatal(err)
				}
			}
		}
		return [2]string{string(certPEM), string(keyPEM)}
	}
	got := func() [2]string {
		k := cert.Kept(d)
		certPEM, cerr := k.Load(ctx, base+".crt")
		keyPEM, kerr := k.Load(ctx, base+".key")
		if cerr != nil || kerr != nil {
			t.Fatal(cerr, kerr)
		}
		return [2]string{string(certPEM), string(keyPEM)}
	}
	whole := put(1, 3)
	for upTo := range 3 {
		put(2, upTo)
		if got() != whole {
			t.Errorf("killed after %d steps: the pair is not the one before", upTo)
		}
	}
	if want := put(3, 3); got() != want {
		t.Error("the new pair is not there")
	}
	k := cert.Kept(d)
	keys, err := k.List(ctx, "certificates/ca", false)
	if err != nil || !slices.Equal(keys, []string{"certificates/ca/shop.example.com"}) {
		t.Errorf("list: %v, %v", keys, err)
	}
	keys, err = k.List(ctx, "certificates", true)
	slices.Sort(keys)
	if err != nil || strings.Join(keys, " ") != base+".crt "+base+".json "+base+".key" {
		t.Errorf("list: %v, %v", keys, err)
	}
	if info, err := k.Stat(ctx, base+".crt"); err != nil || !info.IsTerminal || info.Size == 0 || info.Modified.IsZero() {
		t.Errorf("stat: %+v, %v", info, err)
	}
	if info, err := k.Stat(ctx, "certificates"); err != nil || info.IsTerminal || !k.Exists(ctx, "certificates") {
		t.Errorf("stat of a folder: %+v, %v", info, err)
	}
	if err := k.Delete(ctx, base+".crt"); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Load(ctx, base+".key"); !errors.Is(err, fs.ErrNotExist) || k.Exists(ctx, base+".crt") {
		t.Errorf("deleted: %v", err)
	}
}

// TestLocksAreHeld: a lock is waited for, and ends with its holder's word.
func TestLocksAreHeld(t *testing.T) {
	t.Parallel()
	d, err := cert.NewDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	one, two := cert.Kept(d), cert.Kept(d)
	if err := one.Lock(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	got := make(chan error, 1)
	go func() { got <- two.Lock(t.Context(), "x") }()
	select {
	case err := <-got:
		t.Fatalf("a lock was given twice: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	if err := one.Unlock(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	if err := two.Unlock(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	if err := two.Unlock(t.Context(), "x"); err == nil {
		t.Error("a lock was given back twice")
	}
}
