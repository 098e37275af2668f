package ledger_test

import (
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/noon-deploy/noon/internal/ledger"
	"github.com/noon-deploy/noon/internal/proxy/cert/sharing"
	"github.com/noon-deploy/noon/internal/proxy/cert/storetest"
)

func TestCertificatesAreAPlaceForProxies(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) (storetest.Place, func(time.Duration)) {
		t.Helper()
		var passed atomic.Int64
		l := fresh(t, ledger.WithClock(func() time.Time { return noon2026().Add(time.Duration(passed.Load())) }))
		return l.Certificates(), func(d time.Duration) { passed.Add(int64(d)) }
	})
}

// TestCertificatesAreSharedOverASocket: what holds of the ledger holds for a
// proxy that reaches it.
func TestCertificatesAreSharedOverASocket(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) (storetest.Place, func(time.Duration)) {
		t.Helper()
		var passed atomic.Int64
		l := fresh(t, ledger.WithClock(func() time.Time { return noon2026().Add(time.Duration(passed.Load())) }))
		dir, err := os.MkdirTemp("", "noon") //nolint:usetesting // a socket's path must be short
		noErr(t, err)
		socket, err := new(net.ListenConfig).Listen(t.Context(), "unix", filepath.Join(dir, "c.sock"))
		noErr(t, err)
		s := &http.Server{Handler: sharing.Handler(l.Certificates()), ReadHeaderTimeout: time.Minute}
		done := make(chan error, 1)
		go func() { done <- s.Serve(socket) }()
		c := sharing.NewClient(socket.Addr().String())
		t.Cleanup(func() {
			c.Close()
			noErr(t, s.Close())
			if err := <-done; !errors.Is(err, http.ErrServerClosed) {
				t.Error(err)
			}
			noErr(t, os.RemoveAll(dir))
		})
		return c, func(d time.Duration) { passed.Add(int64(d)) }
	})
}

// TestKeysOfCertificatesAreSealed: a private key is nowhere in the files, and
// a value that was moved to another path is not taken.
func TestKeysOfCertificatesAreSealed(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	l := open(t, path)
	const secret = "-----BEGIN PRIVATE KEY-----"
	noErr(t, l.Certificates().Store(t.Context(), "certificates/a.pem", []byte(secret)))
	noErr(t, l.Certificates().Store(t.Context(), "certificates/b.pem", []byte("other")))
	if names := filesWith(t, filepath.Dir(path), secret); names != nil {
		t.Errorf("the key is readable in %v", names)
	}
	rawExec(t, path, `UPDATE certificate_item SET value = (SELECT value FROM certificate_item WHERE path = 'certificates/a.pem') WHERE path = 'certificates/b.pem'`)
	if value, _, err := l.Certificates().Load(t.Context(), "certificates/b.pem"); err == nil {
		t.Errorf("a moved value was taken: %q", value)
	}
}
