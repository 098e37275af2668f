package cert_test

import (
	"bytes"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/noon-deploy/noon/internal/proxy/cert"
)

func FuzzSplitPair(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n-----BEGIN EC PRIVATE KEY-----\nAA==\n-----END EC PRIVATE KEY-----\n"))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		parts := cert.SplitPair(data)
		joined := append(bytes.Clone(parts[".key"]), parts[".crt"]...)
		again := cert.SplitPair(joined)
		for part, value := range parts {
			if !bytes.Equal(again[part], value) {
				t.Errorf("%s: %q, then %q", part, value, again[part])
			}
		}
		_ = cert.UsablePair(data)
		if _, err := cert.DecodeAuthority(data); err == nil && !cert.UsablePair(data) {
			t.Error("an authority without a key")
		}
	})
}

func FuzzStored(f *testing.F) {
	f.Add([]byte(`[{"key":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","from":"2026-01-01T00:00:00Z"}]`))
	f.Add([]byte(`{"account":{"status":"valid"},"key":"-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n"}`))
	f.Add([]byte("null"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if keys, err := cert.DecodeTickets(data); err == nil {
			for _, k := range keys {
				if len(k.Key) != 32 {
					t.Errorf("a key of %d bytes", len(k.Key))
				}
			}
		}
		if account, err := cert.DecodeAccount(data); err == nil && account.PrivateKey == nil {
			t.Error("an account without a key")
		}
	})
}

func FuzzHost(f *testing.F) {
	for _, seed := range []string{"shop.example.com", "SHOP.example.com.:443", "[::1]:80", "a..b", "../x", "-a", "a\x00", "*.x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, sent string) {
		host := cert.NormalHost(sent)
		if !cert.ValidHost(host) {
			return
		}
		if filepath.Base(host) != host || host != strings.ToLower(host) || strings.ContainsAny(host, "/\\\x00\r\n %") || len(host) > 253 {
			t.Errorf("%q is taken for a host", host)
		}
		if net.ParseIP(host) == nil && cert.NormalHost(host) != host {
			t.Errorf("%q becomes %q", host, cert.NormalHost(host))
		}
	})
}

func FuzzDirKey(f *testing.F) {
	for _, seed := range []string{"a/b", "../x", "/x", "a//b", "a/./b", ".", ""} {
		f.Add(seed)
	}
	dir := f.TempDir()
	d, err := cert.NewDir(filepath.Join(dir, "in"))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, key string) {
		if len(key) > 200 {
			return // longer than a file's name may be
		}
		if err := d.Store(t.Context(), key, []byte(key)); err == nil {
			if got, _, err := d.Load(t.Context(), key); err != nil || string(got) != key {
				t.Errorf("%q: %q, %v", key, got, err)
			}
			_ = d.Delete(t.Context(), strings.SplitN(key, "/", 2)[0])
		}
		if found, _ := filepath.Glob(filepath.Join(dir, "*")); len(found) != 1 {
			t.Fatalf("%q left the directory: %v", key, found)
		}
	})
}
