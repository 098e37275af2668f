package proxy_test

import (
	"net/http"
	"os"
	"syscall"
	"testing"

	"github.com/noon-deploy/noon/internal/proxy"
)

// TestPassedConnectionsAreCountedOnce: a proxy that has served HTTP/2 and has a
// successor ends as soon as nothing is left.
func TestPassedConnectionsAreCountedOnce(t *testing.T) {
	t.Parallel()
	r, cmd := startChild(t, shortDir(t), proxy.Limits{})
	mustRoute(t, r, routing(1, 1, backend(t, says("r1"))))
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: &protocols}
	if a := get(t, &http.Client{Transport: transport}, r.url); a.body != "r1" {
		t.Fatalf("%+v", a)
	}
	transport.CloseIdleConnections()
	if err := r.Upgrade(t.Context(), []string{os.Args[0]}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the predecessor ends", func() bool { return cmd.Process.Signal(syscall.Signal(0)) != nil })
}
