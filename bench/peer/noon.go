//go:build linux

package peer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/noon-deploy/noon"
)

// noonCommand starts the proxy as noon serve does. Its access log is off, as it
// is for users who do not ask for it.
func noonCommand(s Setup) (*exec.Cmd, error) {
	if s.Noon == "" {
		return nil, errors.New("its binary was not built")
	}
	address := s.Address
	if s.Secure {
		address = "tls:" + address
	}
	return prepare(s, s.Noon, "", "proxy", "--data", s.Dir, "--run", s.Dir, "--listen", address)
}

// noonSecure is the part of the routing that gives TLS its certificate.
func noonSecure(s Setup) *noon.TLS {
	if !s.Secure {
		return nil
	}
	return &noon.TLS{Certificates: []noon.CertificateFiles{{Cert: s.Cert, Key: s.Key}}, MinVersion: "1.3"}
}

// pathsPerSite is how noon's many routes are divided: apps with paths.
const pathsPerSite = 10

// noonConfigure gives noon its only route, and as many others as are wanted.
func noonConfigure(ctx context.Context, s Setup) error {
	c := NewControl(s)
	if err := c.Route(ctx, Served, 1); err != nil {
		return err
	}
	const atOnce = 8
	errs := make([]error, atOnce)
	var wg sync.WaitGroup
	for part := range atOnce {
		wg.Go(func() {
			for n := 1 + part; n <= s.Sites() && errs[part] == nil; n += atOnce {
				errs[part] = c.Route(ctx, n, 1)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Served is the number of the site that the load goes to; the others begin at 1.
const Served = 0

// Control speaks to the control socket of noon's proxy as the host part does: a
// connection for every call.
type Control struct {
	setup  Setup
	client http.Client
}

// NewControl makes a client; nothing is sent yet.
func NewControl(s Setup) *Control {
	return &Control{setup: s, client: http.Client{Timeout: time.Minute, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(s.Dir, "proxy.sock"))
		},
	}}}
}

// routing is what site n has.
func (c *Control) routing(n int, sequence int64) noon.Routing {
	revision := noon.Revision{Release: 1, Config: 1}
	r := noon.Routing{
		Site: noon.Site{App: fmt.Sprintf("app%d", n), Environment: "production"}, Fence: noon.Fence{Epoch: 1, Generation: 1}, Sequence: sequence,
		Shares: []noon.Share{{Revision: revision, Points: noon.PointsWhole}},
	}
	if n == Served {
		r.TLS = noonSecure(c.setup)
		r.Domains, r.Paths = []string{c.setup.Host}, []noon.Path{{Prefix: "/", Service: "web"}}
	} else {
		r.Domains = []string{fmt.Sprintf("app%d.example.com", n)}
		for i := range pathsPerSite {
			r.Paths = append(r.Paths, noon.Path{Prefix: fmt.Sprintf("/part%d", i), Service: "web"})
		}
	}
	for i, origin := range c.setup.Origins {
		r.Endpoints = append(r.Endpoints, noon.Endpoint{ID: fmt.Sprintf("app%d-web-%d", n, i), Revision: revision, Service: "web", Address: origin, Drain: 10 * time.Second})
	}
	return r
}

// Route gives the proxy a new snapshot of site n.
func (c *Control) Route(ctx context.Context, n int, sequence int64) error {
	r := c.routing(n, sequence)
	data, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode a routing: %w", err)
	}
	_, err = c.call(ctx, http.MethodPut, "/v1/sites/"+r.Site.App+"/"+r.Site.Environment, data)
	return err
}

// Profile writes a CPU profile of what the proxy does meanwhile.
func (c *Control) Profile(ctx context.Context, d time.Duration, file string) error {
	data, err := c.call(ctx, http.MethodGet, fmt.Sprintf("/v1/debug/profile?seconds=%d", max(1, int(d.Seconds()))), nil)
	if err != nil {
		return err
	}
	return os.WriteFile(file, data, 0o600)
}

func (c *Control) call(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://proxy"+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make a call: %w", err)
	}
	res, err := c.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("call noon's proxy: %w", err)
	}
	data, err := io.ReadAll(res.Body)
	err = errors.Join(err, res.Body.Close())
	if err != nil {
		return nil, fmt.Errorf("read the answer of noon's proxy: %w", err)
	}
	if res.StatusCode >= http.StatusBadRequest {
		return nil, fmt.Errorf("%s %s of noon's proxy: %s: %.300s", method, path, res.Status, data)
	}
	return data, nil
}

// Sites is how many sites noon has beside the one that the load goes to.
func (s Setup) Sites() int { return s.Routes / pathsPerSite }
