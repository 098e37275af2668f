package dbtest

import (
	"context"
	"testing"
)

// ForTest starts a server, by [MariaDB] or [Postgres], that is closed when the
// test ends.
func ForTest(tb testing.TB, start func(ctx context.Context, settings ...string) (*Server, error), settings ...string) *Server {
	tb.Helper()
	server, err := start(tb.Context(), settings...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := server.Close(); err != nil {
			tb.Error(err)
		}
	})
	return server
}
