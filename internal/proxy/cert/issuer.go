package cert

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"

	"github.com/noon-deploy/noon"
)

// issuer gets certificates of one authority for one account. certmagic decides
// when; its own issuer is not used because it opens listeners of its own.
type issuer struct {
	settings   noon.ACME // without OnDemand
	store      *keep
	http       *http.Client
	challenges *challenges
	log        *slog.Logger
	orders     *bucket
}

var (
	_ certmagic.Issuer            = (*issuer)(nil)
	_ certmagic.RenewalInfoGetter = (*issuer)(nil)
)

// ordersAtOnce is how many orders an authority is sent without a pause; after
// that, one a second. Authorities have limits of their own, this is to be no
// burden when thousands of sites are new.
const ordersAtOnce = 10

// IssuerKey names the authority in the paths of what it issued. It is made of
// the whole URL: the trial and the real directory of an authority differ.
func (i *issuer) IssuerKey() string { return issuerKey(i.settings.Directory) }

func issuerKey(directory string) string {
	u, err := url.Parse(directory)
	if err != nil {
		return certmagic.StorageKeys.Safe(directory)
	}
	return certmagic.StorageKeys.Safe(strings.ReplaceAll(strings.Trim(u.Host+u.Path, "/"), "/", "-"))
}

func (i *issuer) client() *acmez.Client {
	answer := solver{i.challenges}
	return &acmez.Client{
		Client: &acme.Client{
			Directory: i.settings.Directory, HTTPClient: i.http, UserAgent: "noon",
			PollInterval: time.Second / 4, PollTimeout: 2 * time.Minute,
			Logger: slog.New(quiet{i.log.Handler()}),
		},
		ChallengeSolvers: map[string]acmez.Solver{
			acme.ChallengeTypeHTTP01:    answer,
			acme.ChallengeTypeTLSALPN01: answer,
		},
	}
}

// quiet makes every record one of debugging: what matters of it is in errors.
type quiet struct{ slog.Handler }

// Enabled is that of debugging.
func (q quiet) Enabled(ctx context.Context, _ slog.Level) bool {
	return q.Handler.Enabled(ctx, slog.LevelDebug)
}

// Handle logs at the level of debugging.
func (q quiet) Handle(ctx context.Context, r slog.Record) error { //nolint:gocritic // the interface has it so
	r.Level = slog.LevelDebug
	return q.Handler.Handle(ctx, r)
}

// WithAttrs keeps it quiet.
func (q quiet) WithAttrs(attrs []slog.Attr) slog.Handler { return quiet{q.Handler.WithAttrs(attrs)} }

// WithGroup keeps it quiet.
func (q quiet) WithGroup(name string) slog.Handler { return quiet{q.Handler.WithGroup(name)} }

// Issue gets one certificate.
func (i *issuer) Issue(ctx context.Context, csr *x509.CertificateRequest) (*certmagic.IssuedCertificate, error) {
	if !i.settings.TermsAccepted {
		return nil, certmagic.ErrNoRetry{Err: errors.New("the authority's terms are not accepted")}
	}
	if err := i.turn(ctx); err != nil {
		return nil, err
	}
	chains, err := i.order(ctx, csr, true)
	if problem, ok := errors.AsType[acme.Problem](err); ok {
		switch {
		case problem.Type == acme.ProblemTypeAccountDoesNotExist:
			// The authority was set up anew, as private ones are.
			if err := i.forgetAccount(ctx); err != nil {
				return nil, err
			}
			chains, err = i.order(ctx, csr, false)
		case problem.Status == http.StatusConflict, strings.HasSuffix(problem.Type, ":alreadyReplaced"), strings.HasSuffix(problem.Type, ":malformed"):
			// It does not know, or no longer, what is to be replaced.
			chains, err = i.order(ctx, csr, false)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("order from %s: %w", i.settings.Directory, err)
	}
	if len(chains) == 0 {
		return nil, fmt.Errorf("order from %s: it gave no certificate", i.settings.Directory)
	}
	return &certmagic.IssuedCertificate{Certificate: chains[0].ChainPEM, Metadata: chains[0]}, nil
}

// turn waits until another order may be sent.
func (i *issuer) turn(ctx context.Context) error {
	tick := time.NewTicker(time.Second / 4)
	defer tick.Stop()
	for !i.orders.take() {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
	return nil
}

func (i *issuer) order(ctx context.Context, csr *x509.CertificateRequest, replacing bool) ([]acme.Certificate, error) {
	client := i.client()
	defer i.http.CloseIdleConnections()
	account, err := i.account(ctx, client.Client)
	if err != nil {
		return nil, err
	}
	params, err := acmez.OrderParametersFromCSR(account, csr)
	if err != nil {
		return nil, err
	}
	if replacing {
		params.Replaces = i.replaced(ctx, csr)
	}
	return client.ObtainCertificate(ctx, params)
}

// replaced is the certificate that a new one takes the place of, nil if there
// is none: authorities ask for less patience with renewals than with others.
func (i *issuer) replaced(ctx context.Context, csr *x509.CertificateRequest) *x509.Certificate {
	if len(csr.DNSNames) != 1 {
		return nil
	}
	data, err := i.store.Load(ctx, certmagic.StorageKeys.SiteCert(i.IssuerKey(), csr.DNSNames[0]))
	if err != nil {
		return nil
	}
	leaf, err := leafOf(data)
	if err != nil || time.Now().After(leaf.NotAfter) || len(leaf.AuthorityKeyId) == 0 {
		return nil
	}
	return leaf
}

// GetRenewalInfo asks the authority when a certificate is best renewed.
func (i *issuer) GetRenewalInfo(ctx context.Context, c certmagic.Certificate) (acme.RenewalInfo, error) {
	defer i.http.CloseIdleConnections()
	return i.client().GetRenewalInfo(ctx, c.Leaf)
}
