package host

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/noon-deploy/noon"
)

// Client reaches a host part over its unix socket.
type Client struct {
	socket string
	http   *http.Client
}

// NewClient gives a client of the host part that listens on a unix socket.
// Nothing is connected before it is used.
func NewClient(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}
	return &Client{socket: socket, http: &http.Client{Transport: &http.Transport{DialContext: dial, MaxIdleConnsPerHost: 8}}}
}

// Close frees connections that are not in use.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Ping gives the name of the host that answers, and the version of its noon.
func (c *Client) Ping(ctx context.Context) (name, version string, err error) {
	a, err := ask[pingAnswer](ctx, c, pathPing, nothing{})
	return a.Name, a.Version, err
}

// Sites is Host.Sites.
func (c *Client) Sites(ctx context.Context) ([]noon.Site, error) {
	a, err := ask[sitesAnswer](ctx, c, pathSites, nothing{})
	return a.Sites, err
}

// Apply is Host.Apply.
func (c *Client) Apply(ctx context.Context, d noon.Desired) error {
	_, err := ask[nothing](ctx, c, pathApply, d)
	return err
}

// Observe is Host.Observe.
func (c *Client) Observe(ctx context.Context, site noon.Site) (noon.Observed, error) {
	return ask[noon.Observed](ctx, c, pathObserve, siteRequest{Site: site})
}

// StartTask is Host.StartTask.
func (c *Client) StartTask(ctx context.Context, t noon.Task) error {
	_, err := ask[nothing](ctx, c, pathTask, t)
	return err
}

// TaskStatus is Host.TaskStatus.
func (c *Client) TaskStatus(ctx context.Context, id string) (noon.TaskStatus, error) {
	return ask[noon.TaskStatus](ctx, c, pathTask+"/status", taskRequest{ID: id})
}

// StopTask is Host.StopTask.
func (c *Client) StopTask(ctx context.Context, id string) error {
	_, err := ask[nothing](ctx, c, pathStop, taskRequest{ID: id})
	return err
}

// Clear is Host.Clear.
func (c *Client) Clear(ctx context.Context, site noon.Site) error {
	_, err := ask[nothing](ctx, c, pathClear, siteRequest{Site: site})
	return err
}

// Logs is Host.Logs.
func (c *Client) Logs(ctx context.Context, site noon.Site, f Filter, follow bool, emit func(LogLine) error) error {
	resp, err := c.post(ctx, pathLogs, logsRequest{Site: site, Filter: f, Follow: follow})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	in := json.NewDecoder(resp.Body)
	for {
		var r logRecord
		err := in.Decode(&r)
		switch {
		case err == io.EOF || err != nil && ctx.Err() != nil:
			return nil
		case err != nil:
			return c.unreachable(err)
		case r.Error != nil:
			return r.Error
		case r.Line != nil:
			if err := emit(*r.Line); err != nil {
				return err
			}
		}
	}
}

// ask sends one request and reads its answer.
func ask[Out any](ctx context.Context, c *Client, path string, in any) (Out, error) {
	var out Out
	resp, err := c.post(ctx, path, in)
	if err != nil {
		return out, err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		return out, c.unreachable(fmt.Errorf("read answer: %w", err))
	}
	return out, nil
}

// post gives a good answer, or the error that the host part has sent.
func (c *Client) post(ctx context.Context, path string, in any) (*http.Response, error) {
	data, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://host"+path, bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, c.unreachable(cause(err))
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	var e noon.Error
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxBody)).Decode(&e); err != nil || e.Kind == "" {
		return nil, c.unreachable(errors.Join(fmt.Errorf("it answered %s", resp.Status), err))
	}
	return nil, &e
}

func (c *Client) unreachable(err error) error {
	return &noon.Error{Kind: noon.Unavailable, Op: "reach the host part at", Subject: c.socket, Err: err, Hint: "Is noon serve running? noon doctor says what is wrong."}
}
