// Package web is the shop as its customers see it.
package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/noon-deploy/noon/examples/shop/store"
)

// Config is what the environment says.
type Config struct {
	DataDir    string
	SessionKey string // signs session cookies
	AdminToken string // opens /orders.json; empty: it does not exist
	Release    string // shown in the footer and in the Shop-Release header
}

// Server answers requests.
type Server struct {
	config   Config
	store    *store.Store
	log      *slog.Logger
	pages    pages
	assets   *assets
	ticker   *ticker
	leaving  chan struct{} // closed when streams shall end
	draining atomic.Bool
	streams  sync.WaitGroup // event streams and WebSockets: http.Server does not wait for the latter
}

// New prepares a server: its assets are published, so that a page of this
// release works whichever release is asked for them.
func New(config Config, s *store.Store, log *slog.Logger) (*Server, error) {
	if len(config.SessionKey) < 16 {
		return nil, errors.New("SESSION_KEY is missing or shorter than 16 characters")
	}
	found, err := publish(filepath.Join(config.DataDir, "assets"))
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(config.DataDir, "uploads"), 0o750); err != nil {
		return nil, fmt.Errorf("make uploads directory: %w", err)
	}
	parsed, err := parsePages(found)
	if err != nil {
		return nil, err
	}
	return &Server{
		config: config, store: s, log: log, pages: parsed, assets: found,
		ticker: newTicker(s, log), leaving: make(chan struct{}),
	}, nil
}

// Handler routes requests.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.home)
	mux.HandleFunc("GET /products/{slug}", s.product)
	mux.HandleFunc("POST /products/{slug}/images", s.upload)
	mux.HandleFunc("GET /uploads/{sha}", s.uploaded)
	mux.HandleFunc("GET /cart", s.cart)
	mux.HandleFunc("POST /cart", s.changeCart)
	mux.HandleFunc("GET /checkout", s.checkoutForm)
	mux.HandleFunc("POST /checkout", s.checkout)
	mux.HandleFunc("GET /orders/{id}", s.order)
	mux.HandleFunc("GET /orders.json", s.orders)
	mux.HandleFunc("GET /support", s.support)
	mux.HandleFunc("GET /chat", s.chat)
	mux.HandleFunc("GET /stock", s.stock)
	mux.HandleFunc("GET /assets/{name}", s.asset)
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("/", s.notFound)
	return s.around(http.NewCrossOriginProtection().Handler(mux))
}

// around adds what every answer has.
func (s *Server) around(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Shop-Release", s.config.Release)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'")
		h.Set("Referrer-Policy", "same-origin")
		if s.draining.Load() {
			h.Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// healthz is ready only if this release can serve customers with this
// database now. Workers are not needed for that.
func (s *Server) healthz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	w.Header().Set("Cache-Control", "no-store")
	if s.draining.Load() {
		http.Error(w, "not ready: shutting down", http.StatusServiceUnavailable)
		return
	}
	if err := s.store.Ready(ctx); err != nil {
		http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	_, _ = fmt.Fprintln(w, "ready") // the asker has gone: it will ask again
}

func (s *Server) notFound(w http.ResponseWriter, r *http.Request) {
	s.fail(w, r, fmt.Errorf("page %s: %w", r.URL.Path, store.ErrNotFound))
}

// fail answers with the status that fits the error. What went wrong inside is
// for the log, not for customers.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	status, message := statusOf(err)
	if status >= http.StatusInternalServerError {
		s.log.ErrorContext(r.Context(), "request failed", "method", r.Method, "path", r.URL.Path, "err", err)
	}
	if wantsJSON(r) {
		writeJSON(w, status, map[string]string{"error": message})
		return
	}
	s.render(w, r, status, "error", errorPage{Status: status, Message: message})
}

func statusOf(err error) (int, string) {
	var bad *badRequestError
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &bad):
		return http.StatusBadRequest, bad.message
	case errors.As(err, &large):
		return http.StatusRequestEntityTooLarge, "That is too large."
	case errors.Is(err, store.ErrNotFound):
		return http.StatusNotFound, "There is nothing here."
	case errors.Is(err, store.ErrEmptyCart):
		return http.StatusConflict, "Your cart is empty."
	case errors.Is(err, store.ErrSoldOut):
		return http.StatusConflict, "Somebody was faster: this is sold out."
	case errors.Is(err, store.ErrKeyTaken):
		return http.StatusConflict, "This order belongs to somebody else."
	}
	return http.StatusInternalServerError, "Something went wrong on our side. Please try again."
}

// badRequestError is a mistake of the client that the client is told about.
type badRequestError struct{ message string }

func (b *badRequestError) Error() string { return b.message }
