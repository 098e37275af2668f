package proxy

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/noon-deploy/noon"
)

// validate checks a routing by itself. It reports every mistake at once.
func validate(r noon.Routing) error {
	var errs []error
	for _, check := range []func(noon.Routing) []error{
		checkSite, checkDomains, checkPaths, checkPathsOf, checkShares, checkPreviews, checkEndpoints, checkTraffic, checkSegments, checkHalt,
	} {
		errs = append(errs, check(r)...)
	}
	return errors.Join(errs...)
}

func checkSite(r noon.Routing) []error {
	var errs []error
	for _, name := range []string{r.Site.App, r.Site.Environment} {
		if err := noon.ValidName(name); err != nil {
			errs = append(errs, err)
		}
	}
	if r.Fence.Epoch < 0 || r.Fence.Generation < 0 || r.Sequence < 0 {
		errs = append(errs, fmt.Errorf("fence %v and sequence %d must not be negative", r.Fence, r.Sequence))
	}
	return errs
}

func checkDomains(r noon.Routing) []error {
	var errs []error
	seen := map[string]bool{}
	for _, domain := range r.Domains {
		name := strings.TrimPrefix(domain, "*.")
		switch host := normalHost(domain); {
		case name == "" || strings.ContainsAny(name, "*/: \t\r\n\"") || strings.Contains(name, "..") || strings.HasPrefix(name, "."):
			errs = append(errs, fmt.Errorf("domain %q is not a host name such as shop.example.com or *.example.com", domain))
		case seen[host]:
			errs = append(errs, fmt.Errorf("domain %q is named twice", domain))
		default:
			seen[host] = true
		}
	}
	return errs
}

func checkPaths(r noon.Routing) []error {
	var errs []error
	for _, p := range r.Paths {
		prefix := normalPrefix(p.Prefix)
		switch {
		case !strings.HasPrefix(p.Prefix, "/") || strings.ContainsAny(p.Prefix, "?#"):
			errs = append(errs, fmt.Errorf("path %q does not begin with / or holds ? or #", p.Prefix))
		case prefix == ownPrefix || strings.HasPrefix(prefix, ownPrefix+"/"):
			errs = append(errs, fmt.Errorf("path %q: %s is noon's own", p.Prefix, ownPrefix))
		}
		if err := noon.ValidName(p.Service); err != nil {
			errs = append(errs, fmt.Errorf("path %q: %w", p.Prefix, err))
		}
	}
	return errs
}

func checkShares(r noon.Routing) []error {
	var errs []error
	sum := 0
	seen := map[noon.Revision]bool{}
	for _, s := range r.Shares {
		if err := checkRevision(s.Revision); err != nil {
			errs = append(errs, fmt.Errorf("share: %w", err))
		}
		if s.Points < 1 || s.Points > noon.PointsWhole {
			errs = append(errs, fmt.Errorf("share of %v is %d points, not 1 to %d", s.Revision, s.Points, noon.PointsWhole))
			continue
		}
		if seen[s.Revision] {
			errs = append(errs, fmt.Errorf("share of %v is named twice", s.Revision))
		}
		seen[s.Revision] = true
		sum = min(sum+s.Points, 2*noon.PointsWhole)
	}
	if len(r.Shares) > 0 && sum != noon.PointsWhole {
		errs = append(errs, fmt.Errorf("shares sum to %d points, not %d", sum, noon.PointsWhole))
	}
	return errs
}

func checkRevision(r noon.Revision) error {
	if r.Release < 1 || r.Config < 0 {
		return fmt.Errorf("release %d with configuration %d is no revision", r.Release, r.Config)
	}
	return nil
}

// maxToken bounds preview tokens: they travel in headers and cookies.
const maxToken = 256

func checkPreviews(r noon.Routing) []error {
	var errs []error
	seen := map[string]bool{}
	for i, p := range r.Previews {
		// The token itself is a secret: it is never part of a message.
		if !validToken(p.Token) {
			errs = append(errs, fmt.Errorf("preview %d: the token must be 1 to %d letters, digits, dashes, dots, underscores or tildes", i, maxToken))
		}
		if seen[p.Token] {
			errs = append(errs, fmt.Errorf("preview %d: the token is that of another preview", i))
		}
		seen[p.Token] = true
		if err := checkRevision(p.Revision); err != nil {
			errs = append(errs, fmt.Errorf("preview %d: %w", i, err))
		}
	}
	return errs
}

func validToken(token string) bool {
	if token == "" || len(token) > maxToken {
		return false
	}
	for _, c := range []byte(token) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && !strings.ContainsRune("-._~", rune(c)) {
			return false
		}
	}
	return true
}

func checkEndpoints(r noon.Routing) []error {
	var errs []error
	seen := map[string]bool{}
	for _, e := range r.Endpoints {
		if e.ID == "" || seen[e.ID] {
			errs = append(errs, fmt.Errorf("endpoint id %q is empty or named twice", e.ID))
		}
		seen[e.ID] = true
		if err := checkRevision(e.Revision); err != nil {
			errs = append(errs, fmt.Errorf("endpoint %s: %w", e.ID, err))
		}
		if err := noon.ValidName(e.Service); err != nil {
			errs = append(errs, fmt.Errorf("endpoint %s: %w", e.ID, err))
		}
		host, port, err := net.SplitHostPort(e.Address)
		if n, perr := strconv.Atoi(port); err != nil || perr != nil || host == "" || n < 1 || n > 65535 {
			errs = append(errs, fmt.Errorf("endpoint %s: address %q is not host:port", e.ID, e.Address))
		}
		if e.Drain < 0 || e.Protocol != noon.HTTP1 && e.Protocol != noon.H2C {
			errs = append(errs, fmt.Errorf("endpoint %s: protocol %q with a drain of %s is not possible", e.ID, e.Protocol, e.Drain))
		}
	}
	return errs
}
