package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/noon-deploy/noon"
)

// tryLimit bounds one try: an answer that takes longer is no sign of health.
const tryLimit = 5 * time.Second

// question asks one incarnation whether it is ready.
type question struct {
	service noon.Service
	id      string
	port    int
	started time.Time
	root    string
	env     map[string]string
}

func needsPort(p noon.Probe) bool { return p.HTTP != "" || p.TCP || len(p.Command) > 0 }

// ask tries once. The error says in one line why it is not ready.
func (q question) ask(ctx context.Context) error {
	p := q.service.Ready
	limit := tryLimit
	if p.Timeout > 0 {
		limit = min(limit, p.Timeout)
	}
	ctx, stop := context.WithTimeout(ctx, limit)
	defer stop()
	switch {
	case p.HTTP != "":
		return q.http(ctx, limit)
	case p.TCP:
		return q.tcp(ctx)
	case len(p.Command) > 0:
		return q.command(ctx, limit)
	}
	if left := p.Interval - time.Since(q.started); left > 0 && left <= p.Interval {
		return &againError{after: left}
	}
	return nil
}

func (q question) address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(q.port)) }

func (q question) http(ctx context.Context, limit time.Duration) error {
	path := q.service.Ready.HTTP
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+q.address()+path, nil)
	if err != nil {
		return fmt.Errorf("GET %s: %w", path, err)
	}
	req.Header.Set("User-Agent", "noon-ready")
	req.Close = true
	transport := &http.Transport{DisableKeepAlives: true} // no proxy of the environment either
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("GET %s: no answer within %s", path, limit)
		}
		return fmt.Errorf("GET %s: %w", path, cause(err))
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 200)) // of a broken answer what there is
	switch {
	case resp.StatusCode >= 200 && resp.StatusCode < 300:
		return nil
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return fmt.Errorf("GET %s: %s to %q; redirects are not followed: name the final path in ready.http", path, resp.Status, resp.Header.Get("Location"))
	}
	return fmt.Errorf("GET %s: %s%s", path, resp.Status, excerpt(body))
}

// cause leaves out what the reader knows: method and address.
func cause(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}

// excerpt gives the beginning of what was answered as the end of a line.
func excerpt(body []byte) string {
	text := strings.Join(strings.Fields(strings.ToValidUTF8(string(body), "")), " ")
	if text == "" {
		return ""
	}
	return ": " + text
}

func (q question) tcp(ctx context.Context) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", q.address())
	if err != nil {
		return fmt.Errorf("connect to port %d: %w", q.port, cause(err))
	}
	return conn.Close()
}

// command runs in the directory and with the environment of the instance.
func (q question) command(ctx context.Context, limit time.Duration) error {
	argv := q.service.Ready.Command
	name := argv[0]
	if strings.Contains(name, "/") && !filepath.IsAbs(name) {
		name = filepath.Join(q.root, name)
	}
	cmd := exec.CommandContext(ctx, name, argv[1:]...) //nolint:gosec // the app's own command
	cmd.Dir = filepath.Join(q.root, q.service.Dir)
	cmd.Env = []string{"HOST=127.0.0.1", "PORT=" + strconv.Itoa(q.port)}
	for name, value := range q.env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	slices.Sort(cmd.Env)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &limited{w: &out, left: 4096}, &limited{w: &out, left: 4096}
	cmd.WaitDelay = time.Second
	if err := ownGroup(cmd, q.service.User); err != nil {
		return fmt.Errorf("%s: %w", argv[0], err)
	}
	err := cmd.Run()
	if ctx.Err() != nil {
		return fmt.Errorf("%s: did not end within %s", argv[0], limit)
	}
	if err != nil {
		return fmt.Errorf("%s: %w%s", argv[0], err, excerpt(out.Bytes()))
	}
	return nil
}

// limited passes on so many bytes and swallows the rest.
type limited struct {
	w    io.Writer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	part := p[:min(len(p), l.left)]
	l.left -= len(part)
	if _, err := l.w.Write(part); err != nil {
		return 0, err
	}
	return len(p), nil
}
