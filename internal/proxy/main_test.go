package proxy_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/fault"
	"github.com/noon-deploy/noon/internal/proxy"
	"github.com/noon-deploy/noon/internal/sockets"
)

// envChild makes the test binary a proxy: its value is a childConfig.
const envChild = "NOON_PROXY_TEST_CHILD"

type childConfig struct {
	Dir     string
	Listen  []string
	Control string
	Holder  string
	Limits  proxy.Limits
}

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == holdWord {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		os.Exit(sockets.Main(ctx, "test", os.Args[2:]))
	}
	if value := os.Getenv(envChild); value != "" {
		if err := runChild(value); err != nil {
			fmt.Fprintln(os.Stderr, "proxy:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func runChild(value string) error {
	var c childConfig
	if err := json.Unmarshal([]byte(value), &c); err != nil {
		return err
	}
	inherited, err := proxy.Inherit()
	if err != nil {
		return err
	}
	points, err := fault.FromEnv()
	if err != nil {
		return err
	}
	p, err := proxy.Open(proxy.Config{
		Dir: c.Dir, Listen: c.Listen, Control: c.Control, Holder: c.Holder, Limits: c.Limits, Faults: points,
		Inherited: inherited, Version: "test", Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	return p.Run(ctx)
}

// running is a proxy under test.
type running struct {
	*proxy.Client
	proxy   *proxy.Proxy // nil in a process of its own
	url     string
	dir     string
	control string
}

// shortDir is a directory whose path leaves room for a socket; t.TempDir has
// the name of the test in it.
func shortDir(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "noon") //nolint:usetesting // see above
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			tb.Error(err)
		}
	})
	return dir
}

// start runs a proxy in this process.
func start(t *testing.T, limits proxy.Limits) *running {
	t.Helper()
	return startIn(t, shortDir(t), limits)
}

func startIn(t *testing.T, dir string, limits proxy.Limits) *running {
	t.Helper()
	return startListening(t, dir, limits, "127.0.0.1:0")
}

func startListening(t *testing.T, dir string, limits proxy.Limits, addresses ...string) *running {
	t.Helper()
	control := filepath.Join(dir, "p.sock")
	if limits.Stop == 0 {
		limits.Stop = 100 * time.Millisecond
	}
	p, err := proxy.Open(proxy.Config{Dir: dir, Listen: addresses, Control: control, Limits: limits, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return &running{Client: proxy.NewClient(control), proxy: p, url: "http://" + p.Addrs()[0].String(), dir: dir, control: control}
}

var shop = noon.Site{App: "shop", Environment: "production"}

func rev(release int) noon.Revision { return noon.Revision{Release: release} }

// routing sends everything to one release.
func routing(sequence int64, release int, addresses ...string) noon.Routing {
	return noon.Routing{
		Site: shop, Fence: noon.Fence{Epoch: 1, Generation: sequence}, Sequence: sequence,
		Paths:     []noon.Path{{Prefix: "/", Service: "web"}},
		Shares:    []noon.Share{{Revision: rev(release), Points: noon.PointsWhole}},
		Endpoints: endpoints(release, addresses...),
	}
}

func endpoints(release int, addresses ...string) []noon.Endpoint {
	list := []noon.Endpoint{}
	for _, a := range addresses {
		list = append(list, noon.Endpoint{ID: fmt.Sprintf("r%d_%s", release, a), Revision: rev(release), Service: "web", Address: a})
	}
	return list
}

func mustRoute(t *testing.T, r *running, routing noon.Routing) {
	t.Helper()
	if err := r.Route(t.Context(), routing); err != nil {
		t.Fatal(err)
	}
}

// backend is an instance; by default it answers with its name.
func backend(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	return serveOn(t, handler).Listener.Addr().String()
}

func serveOn(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = fmt.Fprint(w, text)
	}
}

// client makes connections of its own.
func client(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

type answer struct {
	status int
	header http.Header
	body   string
}

func do(c *http.Client, req *http.Request) (answer, error) {
	res, err := c.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, string(body)}, err
}

func get(t *testing.T, c *http.Client, url string, set ...func(*http.Request)) answer {
	t.Helper()
	a, err := do(c, request(t, http.MethodGet, url, nil, set...))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func request(t *testing.T, method, url string, body io.Reader, set ...func(*http.Request)) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range set {
		f(req)
	}
	return req
}

func withHeader(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func withHost(host string) func(*http.Request) { return func(r *http.Request) { r.Host = host } }

// eventually waits for a condition that something else brings about.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	limit := time.After(20 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("never: %s", what)
		}
	}
}

// work returns what is in flight at an endpoint.
func work(t *testing.T, r *running, id string) (requests, streams int) {
	t.Helper()
	st, err := r.Status(t.Context(), shop)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range st.Endpoints {
		if e.ID == id {
			return e.Requests, e.Streams
		}
	}
	return 0, 0
}

func wantKind(t *testing.T, err error, kind noon.ErrorKind) {
	t.Helper()
	if err == nil || noon.KindOf(err) != kind {
		t.Fatalf("got %v (%s), want an error of kind %s", err, noon.KindOf(err), kind)
	}
	if noon.HintOf(err) == "" {
		t.Errorf("%v: no hint", err)
	}
}

// load sends requests until it is stopped and collects what went wrong.
type load struct {
	wg     sync.WaitGroup
	stop   chan struct{}
	mu     sync.Mutex
	sent   int
	errors []string
}

func newLoad() *load { return &load{stop: make(chan struct{})} }

// run calls send again and again in n goroutines.
func (l *load) run(n int, send func() error) {
	for range n {
		l.wg.Go(func() {
			for {
				select {
				case <-l.stop:
					return
				default:
				}
				err := send()
				l.mu.Lock()
				l.sent++
				if err != nil {
					l.errors = append(l.errors, err.Error())
				}
				l.mu.Unlock()
			}
		})
	}
}

func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sent
}

func (l *load) end(t *testing.T) {
	t.Helper()
	close(l.stop)
	l.wg.Wait()
	if len(l.errors) > 0 {
		slices.Sort(l.errors)
		t.Errorf("%d of %d failed: %s", len(l.errors), l.sent, strings.Join(slices.Compact(l.errors), "\n"))
	}
	if l.sent == 0 {
		t.Error("nothing was sent")
	}
}

func wantOK(a answer, err error) error {
	if err != nil {
		return err
	}
	if a.status != http.StatusOK {
		return fmt.Errorf("status %d: %s", a.status, a.body)
	}
	return nil
}

// refusing is an address at which nobody listens.
func refusing(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

var errWrongRelease = errors.New("wrong release")
