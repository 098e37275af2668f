package cert

import (
	"context"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/noon-deploy/noon"
)

// What the tests look at from inside.
var (
	SplitPair       = splitPair
	ValidHost       = validHost
	NormalHost      = normalHost
	DecodeTickets   = decodeTickets
	DecodeAccount   = decodeAccount
	DecodeAuthority = decodeAuthority
	UsablePair      = usablePair
)

// Kept is a place as certmagic sees it.
func Kept(s Shared) certmagic.Storage { return newKeep(s) }

// SetClock replaces the clock of a directory.
func (d *Dir) SetClock(now func() time.Time) { d.now = now }

// TicketKeys gives the keys in use at a time.
func TicketKeys(path string, now time.Time) ([][]byte, error) {
	return tickets{path, func() time.Time { return now }}.keys()
}

// Gate gives the decision over on-demand names with a clock.
func Gate(site noon.Site, rule noon.OnDemand, ask Asker, now func() time.Time) func(host string) error {
	g := newGate(site, rule, ask, now)
	g.asks.now = now
	return func(host string) error { return g.may(context.Background(), host) }
}

// Bucket gives a bucket with a clock.
func Bucket(rate, most float64, now func() time.Time) func() bool {
	b := newBucket(rate, most)
	b.now = now
	return b.take
}

// Look is one look at the files.
func (s *Store) Look() { s.look() }

// RenewTickets takes new keys of tickets, as a day later.
func (s *Store) RenewTickets() error {
	s.tickets.now = func() time.Time { return time.Now().Add(25 * time.Hour) }
	return s.turnTickets(context.Background())
}
