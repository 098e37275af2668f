package cert

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"
)

// storedAccount is an account as it is kept: with its key in one item, so that
// there is never one without the other.
type storedAccount struct {
	Account acme.Account `json:"account"`
	Key     string       `json:"key"` // PEM
}

func (i *issuer) accountKey() string {
	name := certmagic.StorageKeys.Safe(i.settings.Email)
	if name == "" {
		name = "default"
	}
	return "accounts/" + i.IssuerKey() + "/" + name + ".json"
}

// account gives the account to order with; it registers one if there is none.
func (i *issuer) account(ctx context.Context, client *acme.Client) (acme.Account, error) {
	account, err := i.loadAccount(ctx)
	if !errors.Is(err, fs.ErrNotExist) {
		return account, err
	}
	lock := "account " + i.accountKey()
	if err := i.store.Lock(ctx, lock); err != nil {
		return acme.Account{}, err
	}
	defer func() { _ = i.store.Unlock(ctx, lock) }() // it was locked above
	// Whoever had the lock before may have registered.
	if account, err = i.loadAccount(ctx); !errors.Is(err, fs.ErrNotExist) {
		return account, err
	}
	return i.register(ctx, client)
}

func (i *issuer) register(ctx context.Context, client *acme.Client) (acme.Account, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return acme.Account{}, err
	}
	asked := acme.Account{TermsOfServiceAgreed: i.settings.TermsAccepted, PrivateKey: key}
	if i.settings.Email != "" {
		asked.Contact = []string{"mailto:" + i.settings.Email}
	}
	account, err := client.NewAccount(ctx, asked)
	if err != nil {
		return acme.Account{}, fmt.Errorf("register an account: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return acme.Account{}, err
	}
	data, err := json.Marshal(storedAccount{account, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))})
	if err != nil {
		return acme.Account{}, err
	}
	if err := i.store.Store(ctx, i.accountKey(), data); err != nil {
		return acme.Account{}, fmt.Errorf("keep the account: %w", err)
	}
	account.PrivateKey = key
	return account, nil
}

func (i *issuer) loadAccount(ctx context.Context) (acme.Account, error) {
	data, err := i.store.Load(ctx, i.accountKey())
	if err != nil {
		return acme.Account{}, err
	}
	account, err := decodeAccount(data)
	if err != nil {
		return acme.Account{}, fmt.Errorf("read %s: %w", i.accountKey(), err)
	}
	return account, nil
}

func decodeAccount(data []byte) (acme.Account, error) {
	var stored storedAccount
	if err := json.Unmarshal(data, &stored); err != nil {
		return acme.Account{}, err
	}
	block, _ := pem.Decode([]byte(stored.Key))
	if block == nil {
		return acme.Account{}, errors.New("it has no key")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return acme.Account{}, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return acme.Account{}, fmt.Errorf("a %T can not sign", key)
	}
	stored.Account.PrivateKey = signer
	return stored.Account, nil
}

func (i *issuer) forgetAccount(ctx context.Context) error {
	return i.store.Delete(ctx, i.accountKey())
}

// leafOf parses the first certificate of a PEM file.
func leafOf(data []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("it does not begin with a certificate")
	}
	return x509.ParseCertificate(block.Bytes)
}
