//go:build linux

package load

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"github.com/noon-deploy/noon/bench/origin"
)

// Probe asks once whether the right answer comes.
func Probe(ctx context.Context, address, host string, secure *tls.Config) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	dialer := &net.Dialer{}
	dial := dialer.DialContext
	if secure != nil {
		config := secure.Clone()
		config.NextProtos = []string{"http/1.1"}
		dial = (&tls.Dialer{NetDialer: dialer, Config: config}).DialContext
	}
	c, err := dial(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = c.Close() }() // nothing is lost with a client's connection
	return deadline(c, Get(fmt.Appendf(nil, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", host), origin.Small))
}
