// The benchmark of noon's proxy beside its peers. It is a module of its own so
// that what it needs is no dependency of noon.
module github.com/noon-deploy/noon/bench

go 1.26.0

require (
	github.com/noon-deploy/noon v0.0.0-00010101000000-000000000000
	golang.org/x/net v0.62.0
	golang.org/x/sys v0.49.0
)

require golang.org/x/text v0.43.0 // indirect

replace github.com/noon-deploy/noon => ../
