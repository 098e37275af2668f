package cert

import (
	"context"
	"crypto/tls"
	"crypto/x509"

	"github.com/mholt/acmez/v3"
)

// TLS is what a listener needs. It follows every Set.
func (s *Store) TLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: append(protocols(), acmez.ACMETLS1Protocol),
		GetConfigForClient: s.configFor,
	}
}

func clientTLS(roots *x509.CertPool) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
}

// configFor finds how a client is answered. Who asks for a name that is
// nobody's is told so (alert unrecognized_name).
func (s *Store) configFor(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	if len(hello.SupportedProtos) == 1 && hello.SupportedProtos[0] == acmez.ACMETLS1Protocol {
		return s.challengeConfig(), nil
	}
	p := s.table.Load().find(normalHost(hello.ServerName))
	if p == nil {
		return &tls.Config{MinVersion: tls.VersionTLS12}, nil // without a certificate
	}
	return p.config.Load(), nil
}

// challengeConfig answers an authority that asks over TLS, by RFC 8737.
func (s *Store) challengeConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{acmez.ACMETLS1Protocol}, SessionTicketsDisabled: true,
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			ctx, cancel := context.WithTimeout(hello.Context(), callLimit)
			defer cancel()
			return s.challenges.tls(ctx, normalHost(hello.ServerName))
		},
	}
}

// Admits reports whether a request for host may be answered on a connection
// that was begun for serverName. It may not (421 Misdirected Request) if the
// site asks for certificates of clients and the connection is another site's.
func (s *Store) Admits(serverName, host string) bool {
	t := s.table.Load()
	p := t.find(normalHost(host))
	return p == nil || p.site.TLS.ClientCA == "" || p == t.find(normalHost(serverName))
}
