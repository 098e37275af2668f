package soak_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/coder/websocket"
)

// instanceConfig is what an instance is started with.
type instanceConfig struct {
	Release int
	Journal string // file to which every POST that was carried out is appended
	Address string // "" for any
}

// instance is the app: it answers with what can be checked byte for byte.
type instance struct {
	release string
	journal *os.File
}

// runInstance serves until SIGTERM, or until whoever started it has ended.
func runInstance(value string) error {
	var c instanceConfig
	if err := json.Unmarshal([]byte(value), &c); err != nil {
		return err
	}
	journal, err := os.OpenFile(c.Journal, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if c.Address == "" {
		c.Address = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", c.Address)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(3)
	}()
	s := &http.Server{Handler: (&instance{strconv.Itoa(c.Release), journal}).handler(), ReadHeaderTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	fmt.Fprintln(os.Stdout, l.Addr()) // whoever started it waits for this
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	return s.Shutdown(limit)
}

func (i *instance) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/get", i.get)
	mux.HandleFunc("/post", i.post)
	mux.HandleFunc("/download", i.download)
	mux.HandleFunc("/chat", i.chat)
	mux.HandleFunc("/events", i.events)
	mux.HandleFunc("/sink", func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	mux.HandleFunc("/deaf", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Soak-Release", i.release)
		mux.ServeHTTP(w, r)
	})
}

// number reads a parameter of the query.
func number(r *http.Request, name string) uint64 {
	n, _ := strconv.ParseUint(r.URL.Query().Get(name), 10, 64) // 0 if it is not there
	return n
}

// rest waits for as long as the query says; false if the user has left.
func rest(r *http.Request, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

func milliseconds(n uint64) time.Duration { return time.Duration(n) * time.Millisecond } //nolint:gosec // small

func (i *instance) get(w http.ResponseWriter, r *http.Request) {
	if ms := number(r, "ms"); ms > 0 && !rest(r, milliseconds(ms)) {
		return
	}
	body := patternOf(number(r, "id"), int(number(r, "n"))) //nolint:gosec // small
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // the user may have left
}

// post checks what it was sent before it carries it out.
func (i *instance) post(w http.ResponseWriter, r *http.Request) {
	id := number(r, "id")
	if err := checkPattern(r.Body, id, int64(number(r, "n"))); err != nil { //nolint:gosec // small
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	if ms := number(r, "ms"); ms > 0 && !rest(r, milliseconds(ms)) {
		return
	}
	if _, err := fmt.Fprintf(i.journal, "%d\n", id); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = w.Write(patternOf(^id, 100))
}

// download sends its bytes in forty parts over the time that was asked for.
func (i *instance) download(w http.ResponseWriter, r *http.Request) {
	const parts = 40
	n, id := int64(number(r, "n")), number(r, "id") //nolint:gosec // small
	if r.URL.Query().Get("chunked") == "" {
		w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
	}
	body := &pattern{id: id, n: n}
	for k := range int64(parts) {
		if _, err := io.CopyN(w, body, n*(k+1)/parts-n*k/parts); err != nil {
			return
		}
		if http.NewResponseController(w).Flush() != nil || !rest(r, milliseconds(number(r, "ms"))/parts) {
			return
		}
	}
}

// chat says everything again.
func (i *instance) chat(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer func() { _ = c.CloseNow() }()
	for {
		kind, data, err := c.Read(r.Context())
		if err != nil || c.Write(r.Context(), kind, data) != nil {
			return
		}
	}
}

// events counts on from the id that the user has seen last.
func (i *instance) events(w http.ResponseWriter, r *http.Request) {
	last, err := strconv.Atoi(r.Header.Get("Last-Event-ID"))
	if err != nil && r.Header.Get("Last-Event-ID") != "" {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	for {
		last++
		if _, err := fmt.Fprintf(w, "id: %d\ndata: %d\n\n", last, last); err != nil {
			return
		}
		if http.NewResponseController(w).Flush() != nil || !rest(r, 50*time.Millisecond) {
			return
		}
	}
}

// errContent is an answer that is whole but not what was asked for.
var errContent = errors.New("wrong content")
