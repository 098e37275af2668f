// Package examples carries the sources of the example apps inside the noon
// binary, so that noon demo needs nothing but a Go toolchain.
package examples

import (
	"embed"
	"io/fs"
)

//go:embed shop/*.go shop/*.yaml shop/migrations shop/store shop/web
var sources embed.FS

// Shop returns the sources of examples/shop.
func Shop() (fs.FS, error) { return fs.Sub(sources, "shop") }
