package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/noon-deploy/noon"
)

const (
	dialAgain   = 100 * time.Millisecond // before endpoints that refused are tried again
	headerLimit = 1 << 20                // of an instance's answer
)

// newTransport makes the connections to instances that speak HTTP/2 alone, and
// those that only ask how an instance is. The limits of time are those of who
// uses it.
func newTransport(protocol noon.Protocol) *http.Transport {
	dialer := &net.Dialer{Timeout: dialLimit}
	var protocols http.Protocols
	protocols.SetHTTP1(protocol == noon.HTTP1)
	protocols.SetUnencryptedHTTP2(protocol == noon.H2C)
	return &http.Transport{
		Protocols: &protocols,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, &unreachable{err}
			}
			return conn, nil
		},
		DisableCompression:     true,
		IdleConnTimeout:        keptIdle,
		MaxResponseHeaderBytes: headerLimit,
		WriteBufferSize:        16 << 10,
		ReadBufferSize:         16 << 10,
	}
}

// unreachable is a connection that could not be made: nothing was sent.
type unreachable struct{ err error }

func (e *unreachable) Error() string { return e.err.Error() }
func (e *unreachable) Unwrap() error { return e.err }

// connectionLost reports that the connection ended before an answer began.
func connectionLost(err error) bool {
	var op *net.OpError
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &op)
}
