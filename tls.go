package noon

import "time"

// TLS says how an environment is served over TLS. Its certificates have one
// source: files, an authority that speaks ACME, or noon's own authority.
type TLS struct {
	Certificates []CertificateFiles `json:"certificates,omitempty"`
	ACME         *ACME              `json:"acme,omitempty"`
	Internal     bool               `json:"internal,omitempty"`  // of the proxy's own authority, which no browser knows
	Redirect     bool               `json:"redirect,omitempty"`  // plain requests are sent to HTTPS
	HSTS         *HSTS              `json:"hsts,omitempty"`      // browsers are told to use HTTPS alone
	Canonical    string             `json:"canonical,omitempty"` // requests for other domains are sent to this one
	MinVersion   string             `json:"min_version"`         // "1.2" or "1.3"
	ClientCA     string             `json:"client_ca,omitempty"` // PEM file on the host; clients must have a certificate from it
}

// CertificateFiles are a certificate with its chain and its key, in PEM, on
// the host.
type CertificateFiles struct {
	Cert string `json:"cert"`
	Key  string `json:"key"`
}

// ACME is an authority that issues certificates by RFC 8555.
type ACME struct {
	Email         string    `json:"email,omitempty"` // the authority writes to it when something is wrong
	Directory     string    `json:"directory"`       // URL
	TermsAccepted bool      `json:"terms_accepted"`  // a person has agreed to the authority's terms
	OnDemand      *OnDemand `json:"on_demand,omitempty"`
}

// LetsEncrypt is the ACME directory that is used unless another is named.
const LetsEncrypt = "https://acme-v02.api.letsencrypt.org/directory"

// OnDemand lets certificates be obtained at the first handshake for a name. A
// name needs to be covered by Allow, and be answered 200 by the app at Ask;
// one that is empty does not count, both can not be.
type OnDemand struct {
	Ask   string   `json:"ask,omitempty"`   // path of the app, asked with ?domain=NAME
	Allow []string `json:"allow,omitempty"` // "*.shop.example.com" covers one label and more
}

// HSTS is the Strict-Transport-Security header of RFC 6797.
type HSTS struct {
	MaxAge     time.Duration `json:"max_age"`
	Subdomains bool          `json:"subdomains,omitempty"`
	Preload    bool          `json:"preload,omitempty"`
}
