package cert_test

import (
	"bytes"
	"crypto/tls"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/noon-deploy/noon/internal/proxy/cert"
)

// TestResumedAcrossProcesses: a session that was begun with one Store goes on
// with the next one in the same directory, for both versions of TLS.
func TestResumedAcrossProcesses(t *testing.T) {
	t.Parallel()
	c, dir := newCA(t), t.TempDir()
	site := fileSite(shop(), pairIn(t, t.TempDir(), "shop", c, 10, domain), domain)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		client := &tls.Config{ServerName: domain, RootCAs: c.pool, MaxVersion: version, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
		for i, want := range []bool{false, true, true} {
			s := openStore(t, cert.Config{Dir: dir})
			set(t, s, site)
			state, err := dial(t, listen(t, s), client)
			if err != nil || state.DidResume != want {
				t.Errorf("version %x, process %d: resumed %v, %v; want %v", version, i, state.DidResume, err, want)
			}
		}
		stranger := openStore(t, cert.Config{Dir: t.TempDir()})
		set(t, stranger, site)
		if state, err := dial(t, listen(t, stranger), client); err != nil || state.DidResume {
			t.Errorf("version %x: resumed %v with another directory, %v", version, state.DidResume, err)
		}
	}
	info, err := os.Stat(filepath.Join(dir, "tickets.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

// TestNotResumedForAnotherSite: a session of one site is none of another,
// which may ask for more.
func TestNotResumedForAnotherSite(t *testing.T) {
	t.Parallel()
	c := newCA(t)
	files := pairIn(t, t.TempDir(), "both", c, 10, domain, "blog.example.com")
	s := openStore(t, cert.Config{Dir: t.TempDir()})
	set(t, s, fileSite(shop(), files, domain), fileSite(blog(), files, "blog.example.com"))
	addr := listen(t, s)
	cache := &anySession{}
	for i, name := range []string{domain, "blog.example.com", "blog.example.com"} {
		state, err := dial(t, addr, &tls.Config{ServerName: name, RootCAs: c.pool, ClientSessionCache: cache})
		if want := i == 2; err != nil || state.DidResume != want {
			t.Errorf("handshake %d, with %s: resumed %v, %v; want %v", i, name, state.DidResume, err, want)
		}
	}
}

// anySession offers the last session to whomever.
type anySession struct{ last *tls.ClientSessionState }

func (a *anySession) Get(string) (*tls.ClientSessionState, bool) { return a.last, a.last != nil }

func (a *anySession) Put(_ string, s *tls.ClientSessionState) { a.last = s }

func TestTicketKeysTurn(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tickets.json")
	start := time.Now()
	keys := func(after time.Duration) [][]byte {
		t.Helper()
		got, err := cert.TicketKeys(path, start.Add(after))
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	first := keys(0)
	if again := keys(time.Hour); len(first) != 1 || len(again) != 1 || !bytes.Equal(first[0], again[0]) {
		t.Error("the key changed within an hour")
	}
	made := keys(24 * time.Hour)
	if len(made) != 2 || !bytes.Equal(made[0], first[0]) {
		t.Error("a new key is used before others know it")
	}
	used := keys(25 * time.Hour)
	if len(used) != 2 || !bytes.Equal(used[0], made[1]) || !bytes.Equal(used[1], first[0]) {
		t.Error("the new key is not used, or the one before is forgotten")
	}
	for day := range 30 {
		if n := len(keys(time.Duration(day+2) * 24 * time.Hour)); n > 10 {
			t.Fatalf("%d keys on day %d", n, day+2)
		}
	}
	for _, key := range keys(40 * 24 * time.Hour) {
		if bytes.Equal(key, first[0]) {
			t.Error("a key is kept for ever")
		}
	}
	if err := os.WriteFile(path, []byte(`[{"key":"AA==`), 0o600); err != nil {
		t.Fatal(err)
	}
	if n := len(keys(41 * 24 * time.Hour)); n != 1 {
		t.Errorf("%d keys from a damaged file, want a new one", n)
	}
}
