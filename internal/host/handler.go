package host

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/noon-deploy/noon"
)

// The paths of the host's API. It is spoken on a unix socket that only the
// user of noon may open, between neighbouring versions of noon.
const (
	pathPing    = "/v1/ping"
	pathSites   = "/v1/sites"
	pathApply   = "/v1/apply"
	pathObserve = "/v1/observe"
	pathTask    = "/v1/tasks"
	pathStop    = "/v1/tasks/stop"
	pathLogs    = "/v1/logs"
	pathClear   = "/v1/clear"
)

// maxBody bounds what is read of a request.
const maxBody = 16 << 20

// writeLimit bounds how long one record of Logs may be on its way to a reader
// that does not read.
const writeLimit = 30 * time.Second

type siteRequest struct {
	Site noon.Site `json:"site"`
}

type taskRequest struct {
	ID string `json:"id"`
}

type logsRequest struct {
	Site   noon.Site `json:"site"`
	Filter Filter    `json:"filter"`
	Follow bool      `json:"follow"`
}

type sitesAnswer struct {
	Sites []noon.Site `json:"sites"`
}

// pingAnswer tells who answers.
type pingAnswer struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// logRecord is one line of the answer to logs: a line, or why there are no
// more.
type logRecord struct {
	Line  *LogLine    `json:"line,omitempty"`
	Error *noon.Error `json:"error,omitempty"`
}

type nothing struct{}

// Handler serves a host to a Client.
func Handler(h *Host) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+pathPing, call(h, func(context.Context, nothing) (pingAnswer, error) {
		return pingAnswer{Name: h.cfg.Name, Version: h.cfg.Version}, nil
	}))
	mux.HandleFunc("POST "+pathSites, call(h, func(ctx context.Context, _ nothing) (sitesAnswer, error) {
		sites, err := h.Sites(ctx)
		return sitesAnswer{Sites: sites}, err
	}))
	mux.HandleFunc("POST "+pathApply, call(h, func(ctx context.Context, d noon.Desired) (nothing, error) { return nothing{}, h.Apply(ctx, d) }))
	mux.HandleFunc("POST "+pathObserve, call(h, func(ctx context.Context, r siteRequest) (noon.Observed, error) { return h.Observe(ctx, r.Site) }))
	mux.HandleFunc("POST "+pathTask, call(h, func(ctx context.Context, t noon.Task) (nothing, error) { return nothing{}, h.StartTask(ctx, t) }))
	mux.HandleFunc("POST "+pathTask+"/status", call(h, func(ctx context.Context, r taskRequest) (noon.TaskStatus, error) { return h.TaskStatus(ctx, r.ID) }))
	mux.HandleFunc("POST "+pathStop, call(h, func(ctx context.Context, r taskRequest) (nothing, error) { return nothing{}, h.StopTask(ctx, r.ID) }))
	mux.HandleFunc("POST "+pathClear, call(h, func(ctx context.Context, r siteRequest) (nothing, error) { return nothing{}, h.Clear(ctx, r.Site) }))
	mux.HandleFunc("POST "+pathLogs, h.serveLogs)
	return mux
}

// call makes a handler of a method: JSON in, JSON out, errors with their kind.
func call[In, Out any](h *Host, method func(context.Context, In) (Out, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		in, err := decode[In](w, r)
		var out Out
		if err == nil {
			out, err = method(r.Context(), in)
		}
		if err != nil {
			h.answer(w, noon.KindOf(err).HTTPStatus(), noon.AsError(err))
			return
		}
		h.answer(w, http.StatusOK, out)
	}
}

func decode[In any](w http.ResponseWriter, r *http.Request) (In, error) {
	var in In
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&in)
	if err != nil && !errors.Is(err, io.EOF) {
		return in, &noon.Error{Kind: noon.Invalid, Op: "read request", Subject: r.URL.Path, Err: err, Hint: "Do the parts of noon have neighbouring versions?"}
	}
	return in, nil
}

func (h *Host) answer(w http.ResponseWriter, status int, body any) {
	data, err := json.Marshal(body)
	if err != nil {
		h.cfg.Log.Error("encode answer", "err", err)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if _, err := w.Write(data); err != nil {
		h.cfg.Log.Debug("write answer", "err", err)
	}
}

// serveLogs sends one record a line until there are no more.
func (h *Host) serveLogs(w http.ResponseWriter, r *http.Request) {
	in, err := decode[logsRequest](w, r)
	if err != nil {
		h.answer(w, noon.KindOf(err).HTTPStatus(), noon.AsError(err))
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	control, out := http.NewResponseController(w), json.NewEncoder(w)
	send := func(record logRecord) error {
		_ = control.SetWriteDeadline(time.Now().Add(writeLimit)) // where it can be set
		if err := out.Encode(record); err != nil {
			return err
		}
		return control.Flush()
	}
	_ = control.Flush()
	err = h.Logs(r.Context(), in.Site, in.Filter, in.Follow, func(l LogLine) error { return send(logRecord{Line: &l}) })
	if err != nil && r.Context().Err() == nil {
		_ = send(logRecord{Error: noon.AsError(err)}) // nobody may be there to read it
	}
}
