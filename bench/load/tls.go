//go:build linux

package load

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"time"
)

// client is one connection that several of which share a window.
type client interface {
	// exchange sends and receives until the end, and tells of every answer.
	exchange(end time.Time, seen func(started, now time.Time)) error
	close()
}

// RunTLS sends requests over HTTP/1.1 in TLS 1.3, a goroutine a connection.
func RunTLS(p Plan) (Result, error) {
	return runClients(p, func(ctx context.Context) (client, error) {
		c, err := dialTLS(ctx, p, "http/1.1")
		if err != nil {
			return nil, err
		}
		return &tlsClient{Conn: c, plan: p, buf: make([]byte, 32<<10), answer: answer{want: p.Body}}, nil
	})
}

func dialTLS(ctx context.Context, p Plan, protocol string) (*tls.Conn, error) {
	config := p.TLS.Clone()
	config.NextProtos = []string{protocol}
	config.MinVersion = tls.VersionTLS13
	raw, err := (&tls.Dialer{NetDialer: &net.Dialer{Timeout: 5 * time.Second}, Config: config}).DialContext(ctx, "tcp", p.Address)
	if err != nil {
		return nil, fmt.Errorf("connect with TLS: %w", err)
	}
	c, ok := raw.(*tls.Conn)
	if !ok {
		return nil, fmt.Errorf("connect with TLS: it is a %T", raw)
	}
	// A server without ALPN speaks HTTP/1.1.
	if got := c.ConnectionState().NegotiatedProtocol; got != protocol && (got != "" || protocol != "http/1.1") {
		_ = c.Close()
		return nil, fmt.Errorf("connect with TLS: it speaks %q, not %q", got, protocol)
	}
	return c, nil
}

type tlsClient struct {
	*tls.Conn
	plan   Plan
	buf    []byte
	answer answer
}

func (c *tlsClient) close() { _ = c.Close() } // nothing is lost with a client's connection

func (c *tlsClient) exchange(end time.Time, seen func(started, now time.Time)) error {
	if err := c.SetDeadline(end.Add(5 * time.Second)); err != nil {
		return err
	}
	started := time.Now()
	for i := 0; started.Before(end); i++ {
		if _, err := c.Write(c.plan.Requests[i%len(c.plan.Requests)]); err != nil {
			return fmt.Errorf("send: %w", err)
		}
		c.answer.reset()
		for whole := false; !whole; {
			n, err := c.Read(c.buf)
			if err != nil {
				return fmt.Errorf("receive: %w", err)
			}
			if whole, err = c.answer.feed(c.buf[:n]); err != nil {
				return err
			}
		}
		now := time.Now()
		seen(started, now)
		started = now
	}
	return nil
}

// runClients opens the connections, warms them up, and counts in the window.
// A connection that fails is an error, and is not replaced.
func runClients(p Plan, dial func(context.Context) (client, error)) (Result, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	clients := make([]client, 0, p.Connections)
	defer func() {
		for _, c := range clients {
			c.close()
		}
	}()
	for range p.Connections {
		c, err := dial(ctx)
		if err != nil {
			return Result{}, err
		}
		clients = append(clients, c)
	}
	w := window{plan: &p}
	together(clients, time.Now().Add(p.Warm), &w.result)
	if err := w.count(); err != nil {
		return Result{}, err
	}
	together(clients, w.began.Add(p.Window), &w.result)
	return w.close()
}

// together runs all clients until the end and puts what they saw into one
// result.
func together(clients []client, end time.Time, into *Result) {
	seen := make([][]time.Duration, len(clients))
	errs := make([]error, len(clients))
	var wg sync.WaitGroup
	for i, c := range clients {
		wg.Go(func() {
			errs[i] = c.exchange(end, func(started, now time.Time) { seen[i] = append(seen[i], now.Sub(started)) })
		})
	}
	wg.Wait()
	for i := range clients {
		into.Latencies = append(into.Latencies, seen[i]...)
		if errs[i] != nil {
			into.fail(errs[i])
		}
	}
}
