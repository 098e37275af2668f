package daemon

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/proxy"
	"github.com/noon-deploy/noon/internal/sockets"
)

// maxSmokeBody bounds what is read of an answer to a smoke check.
const maxSmokeBody = 8 << 20

// dialProxy reaches the proxy whatever name a request is for.
func (c *Controller) dialProxy(ctx context.Context, _, wanted string) (net.Conn, error) {
	health, err := c.proxy.Health(ctx)
	if err != nil {
		return nil, err
	}
	address, secure, err := reachable(health)
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(host, port))
	if err != nil {
		return nil, &noon.Error{Kind: noon.Unavailable, Op: "reach the proxy", Err: err}
	}
	if !secure {
		return conn, nil
	}
	name, _, err := net.SplitHostPort(wanted)
	if err != nil {
		name = wanted
	}
	// This machine's own proxy, whose certificate may not have been issued yet.
	return tls.Client(conn, &tls.Config{ServerName: name, InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}), nil //nolint:gosec // see above
}

// reachable gives the address of the proxy at which smoke checks are asked:
// one in plain if there is, else one that speaks TLS.
func reachable(health proxy.Health) (address string, secure bool, err error) {
	for i, name := range health.Asked {
		kind := sockets.KindOf(name)
		switch {
		case i >= len(health.Addresses) || kind.Proxied:
		case !kind.TLS:
			return health.Addresses[i], false, nil
		case address == "":
			address = health.Addresses[i]
		}
	}
	if address == "" {
		return "", false, &noon.Error{
			Kind: noon.Unavailable, Op: "reach the proxy", Err: errors.New("it listens nowhere without the PROXY protocol"),
			Hint: "Add --listen 127.0.0.1:8080 to noon serve: smoke checks are asked there.",
		}
	}
	return address, true, nil
}

// smoke sends one request to a revision through the proxy's preview route and
// compares the answer with what is expected.
func (c *Controller) smoke(ctx context.Context, site noon.Site, preview string, s noon.Smoke) error {
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, s.Method, "http://"+c.domain(ctx, site)+s.Path, strings.NewReader(s.Body))
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("User-Agent", "noon-smoke-check")
	for name, value := range s.Headers {
		req.Header.Set(name, value)
	}
	if host := req.Header.Get("Host"); host != "" {
		req.Host = host
	}
	req.Header.Set("Noon-Preview", preview)
	res, err := c.preview.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("%s %s: no answer within %s", s.Method, s.Path, s.Timeout)
		}
		return fmt.Errorf("%s %s: %w", s.Method, s.Path, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxSmokeBody))
	if err != nil {
		return fmt.Errorf("%s %s: read answer: %w", s.Method, s.Path, err)
	}
	if err := judge(s.Expect, res.StatusCode, res.Header, string(body)); err != nil {
		return fmt.Errorf("%s %s: %w", s.Method, s.Path, err)
	}
	return nil
}

// domain names the host that a check asks for: the first of the environment.
func (c *Controller) domain(ctx context.Context, site noon.Site) string {
	releases, err := c.ledger.Releases(ctx, site.App)
	if err != nil || len(releases) == 0 {
		return "localhost"
	}
	_, app, err := c.catalog.app(ctx, site.App, releases[0].Number)
	env, _ := app.Environment(site.Environment)
	if err != nil || len(env.Domains) == 0 {
		return "localhost"
	}
	return strings.Replace(env.Domains[0], "*", "check", 1)
}

// judge compares an answer with what is expected, and tells all differences.
func judge(want noon.Expect, status int, header http.Header, body string) error {
	var wrong []string
	if status != want.Status {
		wrong = append(wrong, fmt.Sprintf("status %d instead of %d", status, want.Status))
	}
	for name, part := range want.Headers {
		if got := header.Get(name); !strings.Contains(got, part) {
			wrong = append(wrong, fmt.Sprintf("header %s is %q, expected %q in it", name, got, part))
		}
	}
	for _, part := range want.Body {
		if !strings.Contains(body, part) {
			wrong = append(wrong, fmt.Sprintf("body does not contain %q", part))
		}
	}
	for _, part := range want.NotBody {
		if strings.Contains(body, part) {
			wrong = append(wrong, fmt.Sprintf("body contains %q", part))
		}
	}
	wrong = append(wrong, judgeJSON(want.JSON, body)...)
	if wrong == nil {
		return nil
	}
	return fmt.Errorf("%s (answer begins %q)", strings.Join(wrong, "; "), excerpt(body))
}

func judgeJSON(want map[string]any, body string) []string {
	if len(want) == 0 {
		return nil
	}
	var got any
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		return []string{"body is not JSON: " + err.Error()}
	}
	var wrong []string
	for path, expected := range want {
		value, ok := lookUp(got, path)
		switch {
		case !ok:
			wrong = append(wrong, fmt.Sprintf("JSON has no %s", path))
		case !sameJSON(value, expected):
			wrong = append(wrong, fmt.Sprintf("JSON %s is %s instead of %s", path, asJSON(value), asJSON(expected)))
		}
	}
	return wrong
}

// lookUp follows a path such as "items.0.price".
func lookUp(v any, path string) (any, bool) {
	for step := range strings.SplitSeq(path, ".") {
		switch node := v.(type) {
		case map[string]any:
			var ok bool
			if v, ok = node[step]; !ok {
				return nil, false
			}
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(node) {
				return nil, false
			}
			v = node[i]
		default:
			return nil, false
		}
	}
	return v, true
}

func asJSON(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(data)
}

// sameJSON compares through JSON: YAML's 100 and JSON's 100.0 are one number.
func sameJSON(a, b any) bool {
	normal := func(v any) any {
		data, err := json.Marshal(v)
		var out any
		if err != nil || json.Unmarshal(data, &out) != nil {
			return v
		}
		return out
	}
	return reflect.DeepEqual(normal(a), normal(b))
}

func excerpt(body string) string {
	const most = 120
	if len(body) > most {
		return strings.ToValidUTF8(body[:most], "") + "…"
	}
	return body
}
