package sharing

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"time"

	"github.com/noon-deploy/noon"
)

// Client is the place that a controller offers on a unix socket.
type Client struct {
	socket string
	http   *http.Client
}

// NewClient gives a client of the place at a unix socket. Nothing is connected
// before it is used. An error of kind unavailable says that nobody offers it
// now.
func NewClient(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}
	return &Client{socket: socket, http: &http.Client{Transport: &http.Transport{DialContext: dial, MaxIdleConnsPerHost: 1}}}
}

// Close frees connections that are not in use.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Load gives what is at key, and when it was stored; fs.ErrNotExist if nothing
// is.
func (c *Client) Load(ctx context.Context, key string) ([]byte, time.Time, error) {
	a, err := c.call(ctx, "/load", request{Key: key})
	return a.Value, a.Modified, err
}

// Store puts a value at key.
func (c *Client) Store(ctx context.Context, key string, value []byte) error {
	_, err := c.call(ctx, "/store", request{Key: key, Value: value})
	return err
}

// Delete removes key and everything below it.
func (c *Client) Delete(ctx context.Context, key string) error {
	_, err := c.call(ctx, "/delete", request{Key: key})
	return err
}

// List gives all keys below prefix, sorted.
func (c *Client) List(ctx context.Context, prefix string) ([]string, error) {
	a, err := c.call(ctx, "/list", request{Key: prefix})
	return a.Keys, err
}

// Lock takes a lock for holder, extends it or, with a ttl of zero, gives it
// back.
func (c *Client) Lock(ctx context.Context, name, holder string, ttl time.Duration) (bool, error) {
	a, err := c.call(ctx, "/lock", request{Key: name, Holder: holder, TTL: ttl})
	return a.Mine, err
}

func (c *Client) call(ctx context.Context, path string, in request) (answer, error) {
	data, err := json.Marshal(in)
	if err != nil { // not reached: it is text and bytes
		return answer{}, fmt.Errorf("encode the request: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://certificates"+path, bytes.NewReader(data))
	if err != nil { // not reached: the address is a constant
		return answer{}, fmt.Errorf("make the request: %w", err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{}, c.away(err)
	}
	defer resp.Body.Close()
	if data, err = io.ReadAll(io.LimitReader(resp.Body, largest)); err != nil {
		return answer{}, c.away(err)
	}
	return read(resp.StatusCode, data)
}

// read takes an answer apart.
func read(status int, data []byte) (answer, error) {
	if status != http.StatusOK {
		var told noon.Error
		if err := json.Unmarshal(data, &told); err != nil || told.Kind == "" {
			return answer{}, fmt.Errorf("the controller answers %d %.200q", status, data)
		}
		if told.Kind == noon.NotFound {
			return answer{}, fmt.Errorf("%w: %w", &told, fs.ErrNotExist)
		}
		return answer{}, &told
	}
	var out answer
	if err := json.Unmarshal(data, &out); err != nil {
		return answer{}, fmt.Errorf("read the controller's answer: %w", err)
	}
	return out, nil
}

func (c *Client) away(err error) error {
	return &noon.Error{
		Kind: noon.Unavailable, Op: "reach the shared certificates", Subject: c.socket, Err: err,
		Hint: "Those in use stay. `noon serve` offers them.",
	}
}
