package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"

	"github.com/noon-deploy/noon"
)

// Client speaks to a controller.
type Client struct {
	socket string
	http   *http.Client
}

// NewClient returns a client for the controller behind a unix socket. It does
// not connect yet.
func NewClient(socket string) *Client {
	dialer := net.Dialer{}
	return &Client{socket: socket, http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", socket)
		},
	}}}
}

// Close lets go of idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Health tells which parts run.
func (c *Client) Health(ctx context.Context) (Health, error) {
	return get[Health](ctx, c, "/health", nil)
}

// Releases lists the releases of an app, newest first.
func (c *Client) Releases(ctx context.Context, app string) ([]ListedRelease, error) {
	return get[[]ListedRelease](ctx, c, "/releases", url.Values{"app": {app}})
}

// AddRelease sends a release as a tar stream of an OCI layout.
func (c *Client) AddRelease(ctx context.Context, r io.Reader) (noon.Release, error) {
	var out noon.Release
	err := c.do(ctx, http.MethodPost, "/releases", nil, r, &out)
	return out, err
}

// Plan tells what a deployment would do.
func (c *Client) Plan(ctx context.Context, req DeployRequest) (Preview, error) {
	return post[Preview](ctx, c, "/plan", req)
}

// Deploy asks for a deployment or rollback.
func (c *Client) Deploy(ctx context.Context, req DeployRequest) (noon.Deployment, error) {
	return post[noon.Deployment](ctx, c, "/deployments", req)
}

// Deployments lists deployments of a site, newest first; of all sites if site
// is zero.
func (c *Client) Deployments(ctx context.Context, site noon.Site, limit int) ([]noon.Deployment, error) {
	q := url.Values{"limit": {strconv.Itoa(limit)}}
	if site != (noon.Site{}) {
		q.Set("site", site.Key())
	}
	return get[[]noon.Deployment](ctx, c, "/deployments", q)
}

// Deployment returns one deployment with its events.
func (c *Client) Deployment(ctx context.Context, id int64) (DeploymentView, error) {
	return get[DeploymentView](ctx, c, fmt.Sprintf("/deployments/%d", id), nil)
}

// Watch calls see with the deployment each time something about it changes,
// with the events since the last call, until it has ended or see fails.
func (c *Client) Watch(ctx context.Context, id int64, see func(DeploymentView) error) error {
	return stream(ctx, c, fmt.Sprintf("/deployments/%d/watch", id), nil, see)
}

// Approve gives approval or resolves tasks whose outcome is unknown.
func (c *Client) Approve(ctx context.Context, id int64, d Decision) (noon.Deployment, error) {
	return post[noon.Deployment](ctx, c, fmt.Sprintf("/deployments/%d/approve", id), d)
}

// Abort asks a deployment to go back.
func (c *Client) Abort(ctx context.Context, id int64, d Decision) (noon.Deployment, error) {
	return post[noon.Deployment](ctx, c, fmt.Sprintf("/deployments/%d/abort", id), d)
}

// Status tells what every environment is, or those of one app.
func (c *Client) Status(ctx context.Context, app string) ([]SiteStatus, error) {
	return get[[]SiteStatus](ctx, c, "/status", url.Values{"app": {app}})
}

// Halt keeps users from an environment, or lets them in again. It returns when
// that is so.
func (c *Client) Halt(ctx context.Context, req HaltRequest) (noon.Halt, error) {
	return post[noon.Halt](ctx, c, "/halt", req)
}

// Config returns the configuration of an environment.
func (c *Client) Config(ctx context.Context, site noon.Site) (ConfigView, error) {
	return get[ConfigView](ctx, c, "/config", url.Values{"site": {site.Key()}})
}

// SetConfig changes the configuration of an environment. Nothing that runs is
// touched: the next deployment takes it up.
func (c *Client) SetConfig(ctx context.Context, site noon.Site, changes []ConfigChange) (ConfigView, error) {
	var out ConfigView
	err := c.send(ctx, "/config", url.Values{"site": {site.Key()}}, changes, &out)
	return out, err
}

// Logs calls see with each line.
func (c *Client) Logs(ctx context.Context, q LogQuery, see func(LogLine) error) error {
	return stream(ctx, c, "/logs", url.Values{
		"site": {q.Site.Key()}, "service": {q.Service}, "release": {q.Release},
		"lines": {strconv.Itoa(q.Lines)}, "follow": {strconv.FormatBool(q.Follow)},
	}, see)
}

// Doctor tells what the controller finds about its machine.
func (c *Client) Doctor(ctx context.Context) ([]Finding, error) {
	return get[[]Finding](ctx, c, "/doctor", nil)
}

// Backup writes a copy of the ledger to a path on the controller's machine.
func (c *Client) Backup(ctx context.Context, path string) error {
	_, err := post[struct{}](ctx, c, "/backup", map[string]string{"path": path})
	return err
}

// Upgrade makes every part go on with another binary.
func (c *Client) Upgrade(ctx context.Context, req UpgradeRequest) error {
	_, err := post[struct{}](ctx, c, "/upgrade", req)
	return err
}

// Down stops every instance and every part on this machine.
func (c *Client) Down(ctx context.Context) error {
	_, err := post[struct{}](ctx, c, "/down", struct{}{})
	return err
}

// OpenAPI returns the OpenAPI document as the controller serves it.
func (c *Client) OpenAPI(ctx context.Context) (json.RawMessage, error) {
	return get[json.RawMessage](ctx, c, "/openapi.json", nil)
}

func get[T any](ctx context.Context, c *Client, path string, q url.Values) (T, error) {
	var out T
	err := c.do(ctx, http.MethodGet, path, q, nil, &out)
	return out, err
}

func post[T any](ctx context.Context, c *Client, path string, in any) (T, error) {
	var out T
	err := c.send(ctx, path, nil, in, &out)
	return out, err
}

func (c *Client) send(ctx context.Context, path string, q url.Values, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encode request: %w", err)
	}
	return c.do(ctx, http.MethodPost, path, q, bytes.NewReader(body), out)
}

func (c *Client) do(ctx context.Context, method, path string, q url.Values, body io.Reader, out any) error {
	res, err := c.roundTrip(ctx, method, path, q, body)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		return cutOff(ctx, err)
	}
	if err := json.Unmarshal(data, out); err != nil {
		return fmt.Errorf("read answer of the controller: %w", err)
	}
	return nil
}

// cutOff is the error of an answer whose rest never came: the controller has
// gone away in the middle of it.
func cutOff(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return &noon.Error{
		Kind: noon.Unavailable, Op: "read answer of the controller", Err: fmt.Errorf("the controller went away: %w", err),
		Hint: "It goes on by itself when it is back; `noon status` tells.",
	}
}

func (c *Client) roundTrip(ctx context.Context, method, path string, q url.Values, body io.Reader) (*http.Response, error) {
	target := url.URL{Scheme: "http", Host: "noon", Path: "/" + Version + path, RawQuery: q.Encode()}
	req, err := http.NewRequestWithContext(ctx, method, target.String(), body)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	res, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if inner, ok := errors.AsType[*url.Error](err); ok {
			err = inner.Err
		}
		return nil, &noon.Error{
			Kind: noon.Unavailable, Op: "reach the controller at", Subject: c.socket, Err: err,
			Hint: "Start it with `noon serve`, or name its socket with --socket or NOON_SOCKET.",
		}
	}
	if res.StatusCode >= 300 {
		defer res.Body.Close()
		return nil, readError(res) //nolint:contextcheck // the answer is there; reading it ends with its context
	}
	return res, nil
}

func readError(res *http.Response) error {
	data, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return cutOff(res.Request.Context(), err)
	}
	var e noon.Error
	if json.Unmarshal(data, &e) != nil || e.Kind == "" {
		return &noon.Error{Kind: noon.Internal, Op: "ask the controller", Err: fmt.Errorf("it answered %s: %s", res.Status, bytes.TrimSpace(data))}
	}
	return &e
}

func stream[T any](ctx context.Context, c *Client, path string, q url.Values, see func(T) error) error {
	res, err := c.roundTrip(ctx, http.MethodGet, path, q, nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	lines := bufio.NewReader(res.Body)
	for {
		line, err := lines.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) > 0 && err == nil {
			var v T
			if err := json.Unmarshal(line, &v); err != nil {
				return fmt.Errorf("read answer of the controller: %w", err)
			}
			if err := see(v); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return cutOff(ctx, err)
		}
	}
}
