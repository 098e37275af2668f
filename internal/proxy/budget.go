package proxy

import "sync/atomic"

// Second tries are paid for by requests, so that they can not multiply the
// load of a site whose instances fail.
const (
	usualBudget = 20          // percent of the requests
	oneTry      = 100         // what a second try costs, in percent of a request
	fewTries    = 10 * oneTry // there to begin with
	manyTries   = 100 * oneTry
)

// budget is what is left for second tries.
type budget struct{ spent atomic.Int64 }

// earn pays in for a request.
func (b *budget) earn(percent int) {
	if percent == 0 {
		percent = usualBudget
	}
	if b.spent.Load() > fewTries-manyTries {
		b.spent.Add(-int64(percent))
	}
}

// spend pays for a second try, if there is enough.
func (b *budget) spend() bool {
	if b.spent.Add(oneTry) <= fewTries {
		return true
	}
	b.spent.Add(-oneTry)
	return false
}
