// Package cert is what the proxy asks at a TLS handshake: which certificate,
// which versions, which clients.
//
// A site's certificates come from files, from an authority that speaks ACME,
// or from an authority of the package's own. What is obtained is kept in the
// proxy's directory, so that it is there when the process is replaced or the
// controller is away, and in a [Shared] place when several proxies serve one
// site. Account keys and private keys are only ever in files with mode 0600.
package cert
