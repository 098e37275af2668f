package load

import (
	"context"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"time"
)

const (
	returnWithin = 2 * time.Second        // a stream that ended in good order is taken up again
	returnEvery  = 100 * time.Millisecond // between tries
)

// errBye is the end of a stream that the server announced.
var errBye = errors.New("the server said goodbye")

// stream is something that a customer holds for a while. It has four methods
// because they are one life: two implementations, the event stream and the chat.
type stream interface {
	// open connects; the requests it sends are in the book.
	open(ctx context.Context) error
	// hold listens until ctx ends (nil), the server says goodbye (errBye) or
	// anything else happens.
	hold(ctx context.Context) error
	// name is for the book.
	name() string
	// close hangs up.
	close()
}

// holdStreams is one place at the shop's streams: one customer after another
// holds one for some seconds, some for longer than a release drains, until leaving ends.
func (l *Load) holdStreams(leaving, ctx context.Context, place int) {
	random := mathrand.New(mathrand.NewPCG(l.config.Seed, 1<<63+uint64(place)))
	for n := 0; leaving.Err() == nil; n++ {
		var s stream
		if (place+n)%2 == 0 {
			s = &ticker{load: l, client: client{address: l.address, host: l.host, timeout: l.config.Timeout}}
		} else {
			s = &chat{load: l}
		}
		stay, cancel := context.WithTimeout(leaving, 2*time.Second+time.Duration(random.Int64N(int64(10*time.Second))))
		if !l.attend(stay, ctx, s) {
			pause(stay, returnEvery)
		}
		cancel()
	}
}

// attend holds a stream until stay ends, through any number of goodbyes. It
// reports whether the stream was cut or could not be opened.
func (l *Load) attend(stay, ctx context.Context, s stream) bool {
	defer s.close()
	if err := s.open(ctx); err != nil {
		return false // it is in the book
	}
	l.book.count(func(r *Result) *int64 { return &r.StreamsOpened })
	for {
		err := s.hold(stay)
		s.close()
		if err == nil {
			return true // the customer left
		}
		if !errors.Is(err, errBye) {
			l.book.cut(s.name(), err)
			return false
		}
		if err := l.comeBack(ctx, s); err != nil {
			l.book.cut(s.name(), err)
			return false
		}
		l.book.count(func(r *Result) *int64 { return &r.StreamsMoved })
	}
}

// comeBack opens the stream again, also for a customer who would have left by
// now: whether it can be had is what counts.
func (l *Load) comeBack(ctx context.Context, s stream) error {
	limit, cancel := context.WithTimeout(ctx, returnWithin)
	defer cancel()
	for {
		err := s.open(limit)
		if err == nil {
			return nil
		}
		if limit.Err() != nil {
			return fmt.Errorf("not taken up again within %s: %w", returnWithin, err)
		}
		pause(limit, returnEvery)
	}
}

// pause waits, at most until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	wait := time.NewTimer(d)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-ctx.Done():
	}
}
