package cert

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/mail"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/noon-deploy/noon"
)

// Check tells what of a site's TLS settings can not be used, whatever is in
// the files that they name: every mistake at once.
func Check(t noon.TLS, domains []string) error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	sources := 0
	for _, there := range []bool{len(t.Certificates) > 0, t.ACME != nil, t.Internal} {
		if there {
			sources++
		}
	}
	switch {
	case sources == 0:
		wrong("it does not say where certificates come from: files, acme or internal")
	case sources > 1:
		wrong("certificates come from more than one of files, acme and internal")
	}
	for _, c := range t.Certificates {
		if !filepath.IsAbs(c.Cert) || !filepath.IsAbs(c.Key) {
			wrong("certificate %q with key %q: both are absolute paths of files", c.Cert, c.Key)
		}
	}
	if t.ACME != nil {
		errs = append(errs, checkACME(*t.ACME, domains)...)
	}
	if t.HSTS != nil && t.HSTS.MaxAge < 0 {
		wrong("hsts: max-age %s is negative", t.HSTS.MaxAge)
	}
	if t.Canonical != "" && !canonical(t.Canonical, domains) {
		wrong("canonical: %q is not one of the domains", t.Canonical)
	}
	if t.MinVersion != "" && t.MinVersion != "1.2" && t.MinVersion != "1.3" {
		wrong("%q is no version of TLS that is spoken: 1.2 or 1.3", t.MinVersion)
	}
	if t.ClientCA != "" && !filepath.IsAbs(t.ClientCA) {
		wrong("authorities of clients: %q is not the absolute path of a file", t.ClientCA)
	}
	return errors.Join(errs...)
}

func canonical(name string, domains []string) bool {
	name = normalHost(name)
	if !validHost(name) {
		return false
	}
	for _, d := range domains {
		if covers(normalHost(d), name) {
			return true
		}
	}
	return len(domains) == 0
}

func checkACME(a noon.ACME, domains []string) []error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf("acme: "+format, args...)) }
	if u, err := url.Parse(a.Directory); a.Directory != "" && (err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil) {
		wrong("%q is not the https URL of a directory", a.Directory)
	}
	if !a.TermsAccepted {
		wrong("nobody has accepted the authority's terms")
	}
	if m, err := mail.ParseAddress(a.Email); a.Email != "" && (err != nil || m.Address != a.Email) {
		wrong("%q is not an email address", a.Email)
	}
	if a.OnDemand != nil {
		return append(errs, checkOnDemand(*a.OnDemand)...)
	}
	if len(domains) == 0 {
		wrong("it is not known for which names")
	}
	for _, d := range domains {
		if !validHost(normalHost(d)) {
			wrong("no authority gives a certificate for %q over HTTP", d)
		}
	}
	return errs
}

func checkOnDemand(o noon.OnDemand) []error {
	var errs []error
	if o.Ask == "" && len(o.Allow) == 0 {
		errs = append(errs, errors.New("acme: on demand lets anybody have certificates made"))
	}
	if o.Ask != "" && !safeTarget(o.Ask) {
		errs = append(errs, fmt.Errorf("acme: on demand: %q is not a path", o.Ask))
	}
	for _, pattern := range o.Allow {
		if !validHost(strings.TrimPrefix(normalHost(pattern), "*.")) {
			errs = append(errs, fmt.Errorf("acme: on demand: %q is not a host name", pattern))
		}
	}
	return errs
}

// CheckFiles tells which files that the settings name can not be used now.
func CheckFiles(t noon.TLS) error {
	var errs []error
	for _, c := range t.Certificates {
		if _, err := tls.LoadX509KeyPair(c.Cert, c.Key); err != nil {
			errs = append(errs, fmt.Errorf("certificate %s with key %s: %w", c.Cert, c.Key, err))
		}
	}
	if t.ClientCA != "" {
		data, err := os.ReadFile(t.ClientCA)
		if err == nil && !x509.NewCertPool().AppendCertsFromPEM(data) {
			err = fmt.Errorf("%s holds no certificate", t.ClientCA)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("authorities of clients: %w", err))
		}
	}
	return errors.Join(errs...)
}
