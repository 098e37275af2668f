package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/noon-deploy/noon"
)

// Client speaks to a proxy over its control socket. It keeps no connection
// open, so that a call always reaches the proxy that serves now.
type Client struct {
	socket string
	http   http.Client
}

// NewClient makes a client; nothing is sent yet.
func NewClient(socket string) *Client {
	dialer := &net.Dialer{}
	return &Client{socket: socket, http: http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", socket)
		},
	}}}
}

// Health is what a proxy says of itself.
type Health struct {
	Version string `json:"version"`
	PID     int    `json:"pid"`
	// Addresses are those that users are served on.
	Addresses []string `json:"addresses"`
	// Asked are the addresses as they were asked for.
	Asked []string `json:"asked"`
	// Predecessors are the process ids of proxies that still finish something.
	Predecessors []int `json:"predecessors,omitempty"`
}

// Health asks whether the proxy is there, and which it is.
func (c *Client) Health(ctx context.Context) (Health, error) {
	var h Health
	err := c.call(ctx, http.MethodGet, "/v1/health", nil, &h)
	return h, err
}

// Route makes r the routing of its site. When it returns nil the routing is
// durable and every request that is claimed from now on sees it. An older one
// is Stale; the same again is no error; the same fence and sequence with
// another content is a Conflict; a mistake is Invalid and changes nothing.
func (c *Client) Route(ctx context.Context, r noon.Routing) error {
	return c.call(ctx, http.MethodPut, sitePath(r.Site), r, nil)
}

// Status tells of one site, work in earlier proxies included.
func (c *Client) Status(ctx context.Context, site noon.Site) (noon.RoutingStatus, error) {
	var st noon.RoutingStatus
	err := c.call(ctx, http.MethodGet, sitePath(site), nil, &st)
	return st, err
}

// Sites tells of all sites, in the order of their keys.
func (c *Client) Sites(ctx context.Context) ([]noon.RoutingStatus, error) {
	var list []noon.RoutingStatus
	err := c.call(ctx, http.MethodGet, "/v1/sites", nil, &list)
	return list, err
}

// Drain waits until endpoints that are no longer routed have nothing in
// flight, in this proxy and those before it, at the limit ends what is left,
// and closes the idle connections to them. When it returns nil nothing of the
// proxy speaks to them any more. One that is still routed is a Conflict.
func (c *Client) Drain(ctx context.Context, site noon.Site, endpoints []string, limit time.Duration) error {
	return c.call(ctx, http.MethodPost, "/v1/drain", drainCall{Site: site, Endpoints: endpoints, Limit: limit}, nil)
}

// Remove forgets a site but for the fence, so that nobody older brings it back.
func (c *Client) Remove(ctx context.Context, site noon.Site, fence noon.Fence) error {
	query := url.Values{
		"epoch":      {strconv.FormatInt(fence.Epoch, 10)},
		"generation": {strconv.FormatInt(fence.Generation, 10)},
	}
	return c.call(ctx, http.MethodDelete, sitePath(site)+"?"+query.Encode(), nil, nil)
}

// Upgrade has the proxy start argv as its successor and hand over to it. When
// it returns nil the successor serves and the one before only finishes; after
// an error the proxy goes on as if nothing had happened.
func (c *Client) Upgrade(ctx context.Context, argv []string) error {
	return c.call(ctx, http.MethodPost, "/v1/upgrade", upgradeCall{Argv: argv}, nil)
}

func sitePath(site noon.Site) string {
	return "/v1/sites/" + url.PathEscape(site.App) + "/" + url.PathEscape(site.Environment)
}

// answerLimit bounds what a proxy's answer may hold.
const answerLimit = 64 << 20

func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	data, err := c.ask(ctx, method, path, in)
	if err != nil || out == nil {
		return err
	}
	if err := json.Unmarshal(data, out); err != nil {
		return fmt.Errorf("read the proxy's answer: %w", err)
	}
	return nil
}

// ask is call for whoever reads the answer for himself.
func (c *Client) ask(ctx context.Context, method, path string, in any) ([]byte, error) {
	var body io.Reader = http.NoBody
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("encode the call: %w", err)
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://proxy"+path, body)
	if err != nil {
		return nil, fmt.Errorf("make the call: %w", err)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.unavailable(ctx, err)
	}
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(res.Body, answerLimit))
	if err != nil {
		return nil, c.unavailable(ctx, err)
	}
	if res.StatusCode >= http.StatusBadRequest {
		return nil, decodeFailure(res.StatusCode, data)
	}
	return data, nil
}

func (c *Client) unavailable(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return &noon.Error{Kind: noon.Unavailable, Op: "call the proxy", Err: cause, Hint: "It did not answer in time; what was asked for may have been done."}
	}
	hint := "The proxy ended during the call; ask again."
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, os.ErrNotExist) {
		hint = "No proxy runs here; noon serve starts it."
	}
	return &noon.Error{Kind: noon.Unavailable, Op: "call the proxy", Subject: c.socket, Err: err, Hint: hint}
}

type failureBody struct {
	Error *noon.Error `json:"error"`
}

func decodeFailure(status int, data []byte) error {
	var f failureBody
	if err := json.Unmarshal(data, &f); err != nil || f.Error == nil {
		if status == http.StatusNotFound {
			return &noon.Error{Kind: noon.NotFound, Op: "call the proxy", Err: errors.New("it does not know this call"), Hint: "It is older; upgrade it."}
		}
		return &noon.Error{Kind: noon.Internal, Op: "call the proxy", Err: fmt.Errorf("status %d: %.200s", status, data), Hint: "It may be of another version; upgrade it."}
	}
	return f.Error
}
