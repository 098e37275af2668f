package proxy

import "sync/atomic"

// Second tries are paid for by requests, so that they can not multiply the
// load of a site whose instances fail. What is saved is lost again with time,
// a tenth a second, and so is what is owed: there is as much as the requests of
// the last ten seconds or so have paid in. A crash of an instance takes along
// what was on its way at that moment, which is a part of these.
const (
	usualBudget = 20           // percent of the requests
	oneTry      = 100          // what a second try costs, in percent of a request
	fewTries    = 100 * oneTry // there without any request: ten a second
	manyTries   = 100_000 * oneTry
	forgetTenth = 10
)

// budget is what is left for second tries.
type budget struct{ spent atomic.Int64 }

// earn pays in for a request.
func (b *budget) earn(percent int) {
	if percent == 0 {
		percent = usualBudget
	}
	if b.spent.Load() > -manyTries {
		b.spent.Add(-int64(percent))
	}
}

// age is called every second.
func (b *budget) age() {
	if n := b.spent.Load(); n != 0 {
		b.spent.Add(-n / forgetTenth)
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

// ageBudgets lets what is saved be lost, and what is owed.
func (p *Proxy) ageBudgets() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, state := range p.sites {
		state.budget.age()
	}
}
