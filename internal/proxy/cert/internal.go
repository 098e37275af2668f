package cert

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"sync"
	"time"
)

// internalRoot is where the own authority is kept: key and certificate.
const internalRoot = "internal/root.pem"

const (
	rootLife = 10 * 365 * 24 * time.Hour
	rootLeft = 365 * 24 * time.Hour // with less than that left another is made
	leafLife = 7 * 24 * time.Hour
	leafMost = 1000 // certificates in memory; they are made in a moment
)

// authority makes certificates for trying out. Its leaves are never stored.
type authority struct {
	now  func() time.Time
	root *x509.Certificate
	key  crypto.Signer

	mu     sync.Mutex
	leaves map[string]*tls.Certificate
}

// openAuthority reads the authority, or makes it, under a lock.
func openAuthority(ctx context.Context, store *keep, now func() time.Time) (*authority, error) {
	if a, err := loadAuthority(ctx, store, now); err == nil {
		return a, nil
	}
	if err := store.Lock(ctx, "internal"); err != nil {
		return nil, err
	}
	defer func() { _ = store.Unlock(ctx, "internal") }() // it was locked above
	a, err := loadAuthority(ctx, store, now)
	if err == nil || !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errUnusable) {
		return a, err
	}
	return makeAuthority(ctx, store, now)
}

var errUnusable = errors.New("it can not be used any more")

func loadAuthority(ctx context.Context, store *keep, now func() time.Time) (*authority, error) {
	data, err := store.Load(ctx, internalRoot)
	if err != nil {
		return nil, err
	}
	a, err := decodeAuthority(data)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w: %w", internalRoot, errUnusable, err)
	}
	if a.root.NotAfter.Sub(now()) < rootLeft {
		return nil, fmt.Errorf("read %s: %w: it ends at %s", internalRoot, errUnusable, a.root.NotAfter)
	}
	a.now = now
	return a, nil
}

func decodeAuthority(data []byte) (*authority, error) {
	parts := splitPair(data)
	both, err := tls.X509KeyPair(parts[".crt"], parts[".key"])
	if err != nil {
		return nil, err
	}
	signer, ok := both.PrivateKey.(crypto.Signer)
	if !ok || !both.Leaf.IsCA {
		return nil, errors.New("it is no authority")
	}
	return &authority{now: time.Now, root: both.Leaf, key: signer, leaves: map[string]*tls.Certificate{}}, nil
}

func makeAuthority(ctx context.Context, store *keep, now func() time.Time) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "noon internal authority", Organization: []string{"noon"}},
		NotBefore: now().Add(-time.Hour), NotAfter: now().Add(rootLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	data := append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	if err := store.Shared.Store(ctx, internalRoot, data); err != nil {
		return nil, err
	}
	a, err := decodeAuthority(data)
	if err == nil {
		a.now = now
	}
	return a, err
}

func serial() *big.Int {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[0] &= 0x7f           // positive, and at most 20 bytes
	return new(big.Int).SetBytes(b[:])
}

// certificate makes one for the name that the client asks for, or for the
// address that it reached.
func (a *authority) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name := normalHost(hello.ServerName)
	if name == "" && hello.Conn != nil {
		name = normalHost(hello.Conn.LocalAddr().String())
	}
	if net.ParseIP(name) == nil && !validHost(name) {
		return nil, fmt.Errorf("%q is no name that a certificate can be for", hello.ServerName)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if c := a.leaves[name]; c != nil && c.Leaf.NotAfter.Sub(a.now()) > leafLife/2 {
		return c, nil
	}
	c, err := a.issue(name)
	if err != nil {
		return nil, err
	}
	if len(a.leaves) >= leafMost {
		clear(a.leaves)
	}
	a.leaves[name] = c
	return c, nil
}

func (a *authority) issue(name string) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{Organization: []string{"noon"}},
		NotBefore: a.now().Add(-time.Hour), NotAfter: a.now().Add(leafLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(name); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{name}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.root, key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

// pem is the certificate of the authority, for those who want to trust it.
func (a *authority) pem() []byte {
	var b bytes.Buffer
	_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: a.root.Raw}) // a buffer takes everything
	return b.Bytes()
}

// usablePair reports whether a stored item is a certificate with its key.
func usablePair(data []byte) bool {
	parts := splitPair(data)
	_, err := tls.X509KeyPair(parts[".crt"], parts[".key"])
	return err == nil
}
