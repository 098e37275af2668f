//go:build linux

package peer_test

import (
	"context"
	"crypto/tls"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"

	"github.com/noon-deploy/noon/bench/origin"
	"github.com/noon-deploy/noon/bench/peer"
)

// Every peer that this machine has starts, gives the right answer, and is gone
// after Stop.
func TestPeers(t *testing.T) {
	runtime.LockOSThread() // a peer ends with the thread that started it
	s, err := origin.Listen(2)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		if err := s.Serve(); err != nil {
			panic(err)
		}
	}()
	for _, k := range peer.Kinds() {
		address, err := peer.FreeAddress()
		if err != nil {
			t.Fatal(err)
		}
		dir, err := os.MkdirTemp("", "noon") //nolint:usetesting // sockets need a short path
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
		bin, err := filepath.Abs("../../.cache/bench")
		if err != nil {
			t.Fatal(err)
		}
		r, err := k.Start(context.Background(), peer.Setup{Dir: dir, Address: address, Host: "bench.example", Origins: s.Addresses, Threads: 1, Bin: bin}, &tls.Config{MinVersion: tls.VersionTLS13})
		if errors.Is(err, peer.ErrAbsent) {
			t.Logf("%s: %v", k.Name, err)
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", k.Name, err)
			continue
		}
		if len(r.PIDs) == 0 {
			t.Errorf("%s has no process", k.Name)
		}
		r.Stop()
		for _, pid := range r.PIDs {
			if _, err := os.Stat(filepath.Join("/proc", strconv.Itoa(pid), "cwd")); err == nil {
				t.Errorf("%s: process %d is still there", k.Name, pid)
			}
		}
	}
}
