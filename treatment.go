package noon

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// RedirectStatuses lists the status codes that a redirect may have.
func RedirectStatuses() []int { return []int{301, 302, 303, 307, 308} }

// ValidRedirect tells what is wrong with a redirect.
func ValidRedirect(r Redirect) error {
	if err := validFrom(r.From); err != nil {
		return err
	}
	if err := validTo(r.To); err != nil {
		return err
	}
	prefix, wild := strings.CutSuffix(r.From, "/*")
	switch {
	case strings.Count(r.To, "*") > 1:
		return fmt.Errorf("%q holds * twice", r.To)
	case strings.Contains(r.To, "*") && !wild:
		return fmt.Errorf("%q holds a *, and %q does not end with /*", r.To, r.From)
	case !slices.Contains(RedirectStatuses(), r.Status):
		return fmt.Errorf("%d is no status of a redirect: 301, 302, 303, 307 or 308", r.Status)
	}
	if target, _, _ := strings.Cut(r.To, "?"); strings.HasPrefix(target, "/") {
		target = strings.ReplaceAll(target, "*", "")
		if target == r.From || wild && (target == prefix || strings.HasPrefix(target, prefix+"/")) {
			return fmt.Errorf("%q leads to itself", r.From)
		}
	}
	return nil
}

func validFrom(from string) error {
	plain := strings.TrimSuffix(from, "/*")
	switch {
	case !strings.HasPrefix(from, "/"):
		return fmt.Errorf("%q does not begin with /", from)
	case strings.ContainsAny(plain, "*?#") || !printable(from):
		return fmt.Errorf("%q is not a path, or a prefix that ends with /*", from)
	case plain == "/.noon" || strings.HasPrefix(plain, "/.noon/"):
		return errors.New("what is below /.noon is noon's own")
	}
	return nil
}

func validTo(to string) error {
	rest, absolute := strings.CutPrefix(to, "https://")
	if !absolute {
		rest, absolute = strings.CutPrefix(to, "http://")
	}
	if !absolute {
		if !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || !printable(to) {
			return fmt.Errorf("%q is neither a path that begins with one / nor a URL", to)
		}
		return nil
	}
	host := rest
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		host = rest[:i]
	}
	if host == "" || strings.ContainsAny(host, "*@") || !printable(to) {
		return fmt.Errorf("%q is not a URL with a host name of its own", to)
	}
	return nil
}

// printable reports whether a text may stand in a URL: no blanks, nothing that
// has to be escaped, and no backslash, which browsers take for a slash.
func printable(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '\\' || r == '"' || r == '<' || r == '>' }) < 0
}

// ValidField tells why a header rule may not touch the field of that name.
func ValidField(name string) error {
	if name == "" || strings.IndexFunc(name, func(r rune) bool { return !tokenRune(r) }) >= 0 {
		return fmt.Errorf("%q is not the name of a header", name)
	}
	// Many servers take X_Forwarded_For for X-Forwarded-For.
	plain := strings.ReplaceAll(strings.ToLower(name), "_", "-")
	own := []string{"forwarded", "x-real-ip", "x-request-id", "traceparent"}
	if slices.Contains(own, plain) || strings.HasPrefix(plain, "x-forwarded-") || strings.HasPrefix(plain, "noon-") {
		return fmt.Errorf("%s is noon's own word", name)
	}
	framing := []string{
		"connection", "content-length", "expect", "host", "http2-settings", "keep-alive", "proxy-authenticate", "proxy-authorization",
		"proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
	}
	if slices.Contains(framing, plain) {
		return fmt.Errorf("%s says how the message is carried", name)
	}
	return nil
}

func tokenRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r < 0x7f && strings.ContainsRune("!#$%&'*+-.^_`|~", r)
}

// ValidFieldValue tells why a text can not be the value of a header.
func ValidFieldValue(value string) error {
	if strings.IndexFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) >= 0 {
		return errors.New("it holds a line break or control character")
	}
	if strings.Trim(value, " \t") != value {
		return errors.New("it begins or ends with a blank")
	}
	return nil
}

// ValidPage tells what is wrong with a key of Traffic.Pages.
func ValidPage(status string) error {
	if len(status) == 3 && (status[0] == '4' || status[0] == '5') {
		if status[1:] == "xx" || status[1] >= '0' && status[1] <= '9' && status[2] >= '0' && status[2] <= '9' {
			return nil
		}
	}
	return fmt.Errorf("%q is not a status from 400 to 599, \"4xx\" or \"5xx\"", status)
}

// PageLimit is how large one page may be, in bytes, and PagesLimit all of a
// site: they are a part of every routing.
const (
	PageLimit  = 128 << 10
	PagesLimit = 1 << 20
)

// The bounds of a hold. Who waits longer has mostly left.
const (
	LongestHold = 5 * time.Minute
	HoldMost    = 10_000 // requests that wait, unless somebody says otherwise
)

// MaxClosedText bounds what users of a closed site are told, in bytes.
const MaxClosedText = 2000
