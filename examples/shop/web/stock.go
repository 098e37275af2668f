package web

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/noon-deploy/noon/examples/shop/store"
)

const (
	tickEvery  = 250 * time.Millisecond
	heartbeat  = 10 * time.Second
	movesAtOne = 200
)

// ticker notices that stock has moved, in whatever process and release, and
// wakes everybody who waits for it.
type ticker struct {
	store *store.Store
	log   *slog.Logger

	mu    sync.Mutex
	moved chan struct{} // closed and replaced at every move
}

func newTicker(s *store.Store, log *slog.Logger) *ticker {
	return &ticker{store: s, log: log, moved: make(chan struct{})}
}

// next is closed at the next move.
func (t *ticker) next() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.moved
}

func (t *ticker) run(ctx context.Context) {
	every := time.NewTicker(tickEvery)
	defer every.Stop()
	var seen int64
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
		last, err := t.store.LastMove(ctx)
		if err != nil {
			if ctx.Err() == nil {
				t.log.WarnContext(ctx, "stock not read", "err", err)
			}
			continue
		}
		if last != seen {
			seen = last
			t.mu.Lock()
			close(t.moved)
			t.moved = make(chan struct{})
			t.mu.Unlock()
		}
	}
}

// stock is the stock ticker: an event stream. Its ids are those of the stock
// moves in the database, the same in every process and release: a browser
// that comes back with Last-Event-ID misses nothing.
func (s *Server) stock(w http.ResponseWriter, r *http.Request) {
	s.streams.Add(1)
	defer s.streams.Done()
	after, err := strconv.ParseInt(r.Header.Get("Last-Event-ID"), 10, 64)
	if err != nil {
		if after, err = s.store.LastMove(r.Context()); err != nil {
			s.fail(w, r, err)
			return
		}
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no")
	stream := &eventStream{w: w, flush: http.NewResponseController(w)}
	stream.write("retry: 500\nid: %d\nevent: hello\ndata: {}\n\n", after)
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for stream.err == nil {
		moved := s.ticker.next() // before reading, so that no move falls in between
		after = s.sendMoves(r.Context(), stream, after)
		select {
		case <-moved:
		case <-beat.C:
			stream.write(": still here\n\n")
		case <-s.leaving:
			stream.write("event: bye\ndata: {}\n\n")
			return
		case <-r.Context().Done():
			return
		}
	}
}

// sendMoves sends what moved after the given id and returns the last id sent.
func (s *Server) sendMoves(ctx context.Context, stream *eventStream, after int64) int64 {
	for stream.err == nil {
		moves, err := s.store.Moves(ctx, after, movesAtOne)
		if err != nil {
			if ctx.Err() == nil {
				s.log.WarnContext(ctx, "stock moves not read", "err", err)
			}
			return after // they are read again at the next move
		}
		for _, m := range moves {
			data, err := json.Marshal(m)
			if err != nil {
				stream.err = err
				return after
			}
			stream.write("id: %d\nevent: stock\ndata: %s\n\n", m.ID, data)
			after = m.ID
		}
		if len(moves) < movesAtOne {
			return after
		}
	}
	return after
}

// eventStream keeps the first error of writing.
type eventStream struct {
	w     http.ResponseWriter
	flush *http.ResponseController
	err   error
}

func (e *eventStream) write(format string, args ...any) {
	if e.err != nil {
		return
	}
	if _, e.err = fmt.Fprintf(e.w, format, args...); e.err == nil {
		e.err = e.flush.Flush()
	}
}
