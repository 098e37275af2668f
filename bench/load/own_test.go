//go:build linux

package load_test

import (
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
)

func itoa(n int) string { return strconv.Itoa(n) }

func countNew(n *atomic.Int64) func(net.Conn, http.ConnState) {
	return func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			n.Add(1)
		}
	}
}
