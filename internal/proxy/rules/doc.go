// Package rules applies what a site says about the treatment of its requests:
// redirects, changes of header fields, pages, addresses that are trusted and
// parts of the users. A routing is compiled once; applying it allocates
// nothing, except for the location of a redirect.
package rules

import (
	"errors"
	"fmt"

	"github.com/noon-deploy/noon"
)

// Traffic is a noon.Traffic that is ready to be applied. The zero value changes
// nothing and trusts nobody.
type Traffic struct {
	Redirects Redirects
	Request   Fields
	Response  Fields
	Pages     Pages
	Trusted   Addresses
}

// Compile makes a Traffic, or tells everything that is wrong with it.
func Compile(t noon.Traffic) (Traffic, error) {
	var out Traffic
	var errs [5]error
	out.Redirects, errs[0] = CompileRedirects(t.Redirects)
	out.Request, errs[1] = CompileFields(t.Request)
	out.Response, errs[2] = CompileFields(t.Response)
	out.Pages, errs[3] = CompilePages(t.Pages)
	out.Trusted, errs[4] = CompileAddresses(t.Trusted)
	for i, what := range []string{"redirects", "request headers", "response headers", "pages", "trusted addresses"} {
		if errs[i] != nil {
			errs[i] = fmt.Errorf("%s: %w", what, errs[i])
		}
	}
	if err := errors.Join(errs[:]...); err != nil {
		return Traffic{}, err
	}
	return out, nil
}
