package manifest

import (
	"cmp"
	"fmt"
	"net/mail"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/noon-deploy/noon"
)

func tlsRule() rule[noon.TLS] {
	return object("TLS", []field[noon.TLS]{
		key("certificates", list("list of certificates", certificateRule(), notEmpty), func(t *noon.TLS) *[]noon.CertificateFiles { return &t.Certificates },
			"Certificates from files. They are read again when they change."),
		keyed("acme", acmeRule(), func(t *noon.TLS, a noon.ACME) { t.ACME = &a },
			"Certificates from an authority such as Let's Encrypt, obtained and renewed by the proxy."),
		key("internal", boolRule(), func(t *noon.TLS) *bool { return &t.Internal },
			"Certificates of an authority of the proxy's own, for trying out: browsers do not know it.").or("false"),
		key("redirect", boolRule(), func(t *noon.TLS) *bool { return &t.Redirect },
			"Plain HTTP requests are sent to HTTPS.").or("true"),
		keyed("hsts", hstsRule(), func(t *noon.TLS, h noon.HSTS) { t.HSTS = &h },
			"Browsers are told to use HTTPS alone for that long. It can not be taken back before."),
		key("canonical", domainRule(), func(t *noon.TLS) *string { return &t.Canonical },
			"Domain that requests for every other one are sent to."),
		key("min-version", choice("version of TLS", "1.2", "1.3"), func(t *noon.TLS) *string { return &t.MinVersion },
			"Oldest version of TLS that is spoken.").or(`"1.2"`),
		key("client-ca", hostFileRule("/etc/ssl/clients.pem"), func(t *noon.TLS) *string { return &t.ClientCA },
			"Authorities of clients: without a certificate of one of them nobody is let in."),
	}, checkSource, checkHSTS)
}

func certificateRule() rule[noon.CertificateFiles] {
	return object("certificate", []field[noon.CertificateFiles]{
		key("cert", hostFileRule("/etc/ssl/shop.pem"), func(c *noon.CertificateFiles) *string { return &c.Cert },
			"The certificate, then those between it and its authority.").must(),
		key("key", hostFileRule("/etc/ssl/shop.key"), func(c *noon.CertificateFiles) *string { return &c.Key },
			"Its private key, without a password.").must(),
	})
}

func acmeRule() rule[noon.ACME] {
	return object("ACME", []field[noon.ACME]{
		key("email", emailRule(), func(a *noon.ACME) *string { return &a.Email },
			"Where the authority writes to when something is wrong."),
		key("directory", directoryRule(), func(a *noon.ACME) *string { return &a.Directory },
			"URL of the authority's ACME directory.").or(noon.LetsEncrypt),
		key("terms-accepted", acceptedRule(), func(a *noon.ACME) *bool { return &a.TermsAccepted },
			"You have read the authority's terms and agree.").must(),
		keyed("on-demand", onDemandRule(), func(a *noon.ACME, o noon.OnDemand) { a.OnDemand = &o },
			"Certificates for names that are not in domains, or only by a wildcard, at their first request."),
	})
}

func onDemandRule() rule[noon.OnDemand] {
	return object("on demand", []field[noon.OnDemand]{
		key("ask", urlPathRule(false), func(o *noon.OnDemand) *string { return &o.Ask },
			"Path of the app that is asked, with ?domain=NAME; it answers 200 for names that are to get a certificate."),
		key("allow", list("list of domains", domainRule(), unique[string], notEmpty), func(o *noon.OnDemand) *[]string { return &o.Allow },
			"Names that may get a certificate; \"*.example.com\" is everything below example.com."),
	}, func(d *decoder, v value, o *noon.OnDemand) {
		if o.Ask == "" && o.Allow == nil && d.sound(join(v.path, "ask"), join(v.path, "allow")) {
			d.wrong(v.at, v.path, fmt.Sprintf("%s lets anybody have certificates made", v.path),
				`Add a rule: "ask: /allowed", a path of the app, or "allow: [\"*.shop.example.com\"]".`)
		}
	})
}

func hstsRule() rule[noon.HSTS] {
	return object("HSTS", []field[noon.HSTS]{
		key("max-age", periodRule(), func(h *noon.HSTS) *time.Duration { return &h.MaxAge },
			"How long browsers remember it.").or("180d"),
		key("subdomains", boolRule(), func(h *noon.HSTS) *bool { return &h.Subdomains },
			"It holds for every name below the domain too.").or("false"),
		key("preload", boolRule(), func(h *noon.HSTS) *bool { return &h.Preload },
			"Makers of browsers may put the domain into their lists.").or("false"),
	}, func(d *decoder, v value, h *noon.HSTS) {
		const year = 365 * 24 * time.Hour
		if at := join(v.path, "preload"); h.Preload && d.sound(join(v.path, "max-age"), join(v.path, "subdomains")) && (h.MaxAge < year || !h.Subdomains) {
			d.wrong(d.spot(at), at, "preload needs a max-age of a year and subdomains",
				`Write "max-age: 365d" and "subdomains: true"; the lists of browsers take nothing less.`)
		}
	})
}

// checkSource: certificates come from one place.
func checkSource(d *decoder, v value, t *noon.TLS) {
	keys := []string{"certificates", "acme", "internal"}
	var used []string
	for _, k := range keys {
		if d.written(join(v.path, k)) && (k != "internal" || t.Internal) {
			used = append(used, k)
		}
		if !d.sound(join(v.path, k)) {
			return
		}
	}
	slices.SortFunc(used, func(a, b string) int { // in the order of the file, so that the later one is the mistake
		x, y := d.marks[join(v.path, a)].key, d.marks[join(v.path, b)].key
		return cmp.Or(cmp.Compare(x.line, y.line), cmp.Compare(x.column, y.column))
	})
	switch {
	case len(used) == 0:
		d.wrong(v.key, v.path, fmt.Sprintf("%s does not say where certificates come from", v.path),
			`Add "acme: {email: ops@example.com, terms-accepted: true}", certificates with files, or "internal: true" to try it out.`)
	case len(used) > 1:
		at := join(v.path, used[1])
		d.wrong(d.marks[at].key, at, fmt.Sprintf("certificates come from %s already", used[0]), "Keep one of certificates, acme and internal.")
	}
}

// checkHSTS: what browsers remember must not lock people out of a trial.
func checkHSTS(d *decoder, v value, t *noon.TLS) {
	if at := join(v.path, "hsts"); t.Internal && t.HSTS != nil {
		d.wrong(d.marks[at].key, at, "hsts does not go with internal: browsers would refuse the domain for as long as max-age says",
			"Remove hsts until the certificates come from an authority that browsers know.")
	}
}

// checkTLS looks at what TLS and domains say together.
func checkTLS(d *decoder, v value, e *noon.Environment) {
	domains := join(v.path, "domains")
	if e.TLS == nil || !d.sound(domains, join(v.path, "tls")) {
		return
	}
	if at := join(join(v.path, "tls"), "canonical"); e.TLS.Canonical != "" {
		d.checkCanonical(at, e)
	}
	if e.TLS.ACME == nil || e.TLS.ACME.OnDemand != nil {
		return
	}
	if at := join(join(v.path, "tls"), "acme"); len(e.Domains) == 0 {
		d.wrong(d.marks[at].key, at, "acme needs to know for which names", `Add "domains: [shop.example.com]" to the environment.`)
	}
	for i, domain := range e.Domains {
		if at := fmt.Sprintf("%s[%d]", domains, i); strings.HasPrefix(domain, "*.") {
			d.wrong(d.spot(at), at, fmt.Sprintf("an authority gives no certificate for %s over HTTP", quote(domain)),
				fmt.Sprintf(`Add "on-demand: {allow: [%q]}" to acme, so that each name gets a certificate of its own, or use certificates from files.`, domain))
		}
	}
}

func (d *decoder) checkCanonical(at string, e *noon.Environment) {
	switch {
	case strings.HasPrefix(e.TLS.Canonical, "*."):
		d.wrong(d.spot(at), at, fmt.Sprintf("canonical: %s is not one domain", quote(e.TLS.Canonical)), "Write it without a star.")
	case !slices.Contains(e.Domains, e.TLS.Canonical):
		d.wrong(d.spot(at), at, fmt.Sprintf("canonical: %s is not one of the domains", quote(e.TLS.Canonical)), "Add it to domains of the environment.")
	}
}

// hostFileRule is a file on the hosts, outside of any release.
func hostFileRule(example string) rule[string] {
	const hint = `Write the whole path, such as "/etc/ssl/shop.pem": the file is on the host, outside of the release.`
	r := wordOf("file on the host", example, "^/", hint, func(text string) error {
		if !path.IsAbs(text) || path.Clean(text) != text || text == "/" || strings.ContainsRune(text, 0) {
			return fmt.Errorf("%s is not the absolute path of a file", quote(text))
		}
		return nil
	})
	r.about = "The absolute path of a file on the host. It is no part of the release."
	return r
}

func emailRule() rule[string] {
	return wordOf("email address", "ops@example.com", "^[^@ ]+@[^@ ]+$", `Write an address, such as "ops@example.com".`, func(text string) error {
		if a, err := mail.ParseAddress(text); err != nil || a.Address != text || a.Name != "" {
			return fmt.Errorf("%s is not an email address", quote(text))
		}
		return nil
	})
}

func directoryRule() rule[string] {
	const hint = "Write the URL that the authority's documentation names, such as \"" + noon.LetsEncrypt + "\"."
	return wordOf("URL", noon.LetsEncrypt, "^https://", hint, func(text string) error {
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.Fragment != "" {
			return fmt.Errorf("%s is not an https URL", quote(text))
		}
		return nil
	})
}

// acceptedRule is true and nothing else.
func acceptedRule() rule[bool] {
	r := boolRule()
	r.json = map[string]any{"const": true}
	read := r.read
	r.read = func(d *decoder, v value) (bool, bool) {
		got, ok := read(d, v)
		if ok && !got {
			d.wrong(v.at, v.path, "the terms of the authority are not accepted", "Read them, then write true; without that it gives no certificates.")
			return false, false
		}
		return got, ok
	}
	return r
}

// maxPeriod is longer than any browser remembers.
const maxPeriod = 10 * 365 * 24 * time.Hour

// periodRule is a long time, in days or as a duration, in whole seconds.
func periodRule() rule[time.Duration] {
	days := regexp.MustCompile(`^[0-9]{1,5}d$`)
	s := shape{
		label: "period", example: "180d", about: `A number of days, "180d", or a duration in whole seconds, "12h"; at most 3650d.`,
		json: map[string]any{"type": "string", "pattern": `^([0-9]+d|([0-9]+(\.[0-9]+)?(ms|s|m|h))+)$`},
	}
	return word(s, `Write a number of days, such as "180d".`, func(text string) (time.Duration, error) {
		got, err := time.ParseDuration(text)
		if days.MatchString(text) {
			var n int
			n, err = strconv.Atoi(strings.TrimSuffix(text, "d"))
			got = time.Duration(n) * 24 * time.Hour
		}
		switch {
		case err != nil || strings.ContainsAny(text, "+-") || text == "0" || got%time.Second != 0:
			return 0, fmt.Errorf("%s is not a period", quote(text))
		case got > maxPeriod:
			return 0, &trouble{fmt.Sprintf("%s is too long", quote(text)), "It is at most 3650d, ten years."}
		}
		return got, nil
	})
}
