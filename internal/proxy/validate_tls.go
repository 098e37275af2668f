package proxy

import (
	"fmt"
	"reflect"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/proxy/cert"
)

// checkTLS checks what is new in a routing's TLS settings. A file of an earlier
// noon is not held to it, and files that can not be read just now are no reason
// to refuse what is in use already: what was read of them goes on being used.
// own says that the successor has looked at the files.
func checkTLS(r, before noon.Routing, own bool) error {
	if r.TLS == nil || reflect.DeepEqual(r.TLS, before.TLS) && reflect.DeepEqual(r.Domains, before.Domains) {
		return nil
	}
	hint := "Nothing was changed. Mend tls in noon.yaml."
	err := cert.Check(*r.TLS, r.Domains)
	if err == nil && !own && !sameFiles(r.TLS, before.TLS) {
		hint = "Nothing was changed. Check that the files are on this machine, fit together, and can be read by the proxy."
		err = cert.CheckFiles(*r.TLS)
	}
	if err == nil {
		return nil
	}
	return &noon.Error{Kind: noon.Invalid, Op: "route", Subject: r.Site.String(), Err: fmt.Errorf("tls: %w", err), Hint: hint}
}

func sameFiles(a, b *noon.TLS) bool {
	return b != nil && a.ClientCA == b.ClientCA && reflect.DeepEqual(a.Certificates, b.Certificates)
}
