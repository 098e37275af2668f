// Package load is the customers of the example shop: they browse, fill carts,
// buy, send pictures and hold streams, at times of their own that do not
// depend on how fast the shop answers, and they write down exactly what the
// shop owes them.
//
// What is written down is what a client saw: an order counts once its answer
// has named it, a request fails if it is not answered as it should be, and no
// request is ever sent again behind the book's back.
package load

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Config says where customers go and how many come.
type Config struct {
	Base    string        // "http://127.0.0.1:8080"
	Host    string        // Host header, "" for the one of Base
	Rate    float64       // journeys begun per second on average, whatever the answers take
	Streams int           // event streams and WebSockets held at any time
	Seed    uint64        // decides who does what when
	Timeout time.Duration // longest wait for one answer; 0: ten seconds
	Log     *slog.Logger  // nil: silent
}

// Limits that keep a shop which does not answer from filling the memory.
const (
	defaultTimeout = 10 * time.Second
	maxJourneys    = 4000            // under way at one time; those that do not fit fail
	finishMost     = 5 * time.Second // on top of Timeout, for journeys under way when Run ends
)

// Load is the customers and their book.
type Load struct {
	config  Config
	address string // host:port to dial
	host    string // Host header
	run     string // makes this run's keys and addresses its own
	log     *slog.Logger
	book    *book
	slots   chan struct{}
}

// New prepares customers; Run lets them come.
func New(c Config) *Load {
	if c.Timeout <= 0 {
		c.Timeout = defaultTimeout
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Load{config: c, run: strings.ToLower(rand.Text()), log: c.Log, book: newBook(), slots: make(chan struct{}, maxJourneys)}
}

// Run lets customers come until ctx ends, then lets those who are there
// finish: whoever is not answered by the end of a further Timeout and a few
// seconds counts as failed. The error is about the configuration only.
func (l *Load) Run(ctx context.Context) error {
	if err := l.resolve(); err != nil {
		return err
	}
	working, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	var customers sync.WaitGroup
	for n := range l.config.Streams {
		customers.Go(func() { l.holdStreams(ctx, working, n) })
	}
	l.arrive(ctx, working, &customers)

	left := make(chan struct{})
	go func() { customers.Wait(); close(left) }()
	patience := time.NewTimer(l.config.Timeout + finishMost)
	defer patience.Stop()
	select {
	case <-left:
	case <-patience.C:
		l.log.WarnContext(ctx, "customers sent away at the end")
		cut()
		<-left
	}
	return nil
}

func (l *Load) resolve() error {
	base, err := url.Parse(l.config.Base)
	if err != nil {
		return fmt.Errorf("load base: %w", err)
	}
	if base.Scheme != "http" || base.Host == "" || base.Port() == "" {
		return fmt.Errorf("load base %q: want http://host:port", l.config.Base)
	}
	if l.config.Rate < 0 || l.config.Streams < 0 {
		return fmt.Errorf("load rate %v, streams %d: want none below 0", l.config.Rate, l.config.Streams)
	}
	l.address, l.host = base.Host, base.Host
	if l.config.Host != "" {
		l.host = l.config.Host
	}
	return nil
}

// arrive begins journeys at random times, on average Rate per second, until
// ctx ends. It never waits for one.
func (l *Load) arrive(ctx, working context.Context, customers *sync.WaitGroup) {
	if l.config.Rate == 0 {
		<-ctx.Done()
		return
	}
	gaps := mathrand.New(mathrand.NewPCG(l.config.Seed, 0))
	due := time.Now()
	wait := time.NewTimer(0)
	defer wait.Stop()
	for n := uint64(1); ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-wait.C:
		}
		select {
		case l.slots <- struct{}{}:
			customers.Go(func() {
				defer func() { <-l.slots }()
				l.journey(ctx, working, n)
			})
		default:
			l.book.refused()
		}
		due = due.Add(time.Duration(gaps.ExpFloat64() / l.config.Rate * float64(time.Second)))
		wait.Reset(time.Until(due)) // at once if it is late: an open loop does not slow down
	}
}

// SetAllowed says which releases may answer from now on. A request that is
// begun later and answered by another one is a wrong release; one that is in
// flight may be answered by what was allowed at any moment of its life. Until
// the first call every release may.
func (l *Load) SetAllowed(releases ...string) { l.book.setAllowed(releases) }

// Result is what happened so far.
func (l *Load) Result() Result { return l.book.result() }
