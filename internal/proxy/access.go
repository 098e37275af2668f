package proxy

import (
	"context"
	"log/slog"
	"net/http"
	"time"
)

// seenWriter remembers what was answered, for the access log.
type seenWriter struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (w *seenWriter) WriteHeader(status int) {
	if w.status < http.StatusOK {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *seenWriter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the writer below.
func (w *seenWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (p *Proxy) logAccess(ctx context.Context, x *webExchange, r *http.Request, seen *seenWriter, start time.Time) {
	endpoint := ""
	if x.endpoint != nil {
		endpoint = x.endpoint.ID
	}
	p.log.LogAttrs(ctx, slog.LevelDebug, "request",
		slog.String("method", r.Method), slog.String("host", r.Host), slog.String("path", r.URL.Path),
		slog.Int("status", seen.status), slog.Int64("bytes", seen.bytes),
		slog.String("endpoint", endpoint), slog.Duration("took", time.Since(start)))
}
