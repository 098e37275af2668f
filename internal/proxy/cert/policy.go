package cert

import (
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/noon-deploy/noon"
)

// Redirect says where a request has to be sent before it is answered: to
// HTTPS, to the canonical domain, or both at once. host and target are those
// of the request, secure whether it came over TLS. port is the one on which
// users reach HTTPS; zero is the usual one.
//
// Answer challenges of authorities (Store.ServeChallenge) before.
func Redirect(t noon.TLS, host, target string, secure bool, port int) (location string, status int, ok bool) {
	name := normalHost(host)
	to := name
	if t.Canonical != "" {
		to = strings.ToLower(t.Canonical)
	}
	scheme := "http"
	if secure || t.Redirect {
		scheme = "https"
	}
	if to == name && (secure || scheme == "http") {
		return "", 0, false
	}
	if net.ParseIP(to) == nil && !validHost(to) || !safeTarget(target) {
		return "", 0, false
	}
	switch {
	case scheme == "https" && port != 0 && port != 443:
		to = net.JoinHostPort(to, strconv.Itoa(port))
	case scheme == "http" && portOf(host) != "" && portOf(host) != "80":
		to = net.JoinHostPort(to, portOf(host))
	case strings.Contains(to, ":"):
		to = "[" + to + "]"
	}
	// 308 keeps the method and the body, where 301 makes a GET of a POST.
	return scheme + "://" + to + target, http.StatusPermanentRedirect, true
}

func portOf(host string) string {
	_, port, err := net.SplitHostPort(host)
	if err != nil || strings.Trim(port, "0123456789") != "" {
		return ""
	}
	return port
}

// safeTarget reports whether a request's target can be put into a header: a
// path, and nothing that would end the line.
func safeTarget(target string) bool {
	return strings.HasPrefix(target, "/") && !strings.ContainsFunc(target, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\\' })
}

// HSTSValue is the Strict-Transport-Security header of answers over TLS, "" if
// there is to be none.
func HSTSValue(t noon.TLS) string {
	if t.HSTS == nil {
		return ""
	}
	value := "max-age=" + strconv.FormatInt(int64(t.HSTS.MaxAge/time.Second), 10)
	if t.HSTS.Subdomains {
		value += "; includeSubDomains"
	}
	if t.HSTS.Preload {
		value += "; preload"
	}
	return value
}
