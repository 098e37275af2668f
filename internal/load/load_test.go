package load_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/noon-deploy/noon/examples/shop/store"
	"github.com/noon-deploy/noon/examples/shop/web"
	"github.com/noon-deploy/noon/internal/load"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const adminToken = "the owner's own token"

// shop is the real example shop with a handler around it that can do harm.
type shop struct {
	dir    string
	store  *store.Store
	server *httptest.Server
	around atomic.Pointer[func(http.ResponseWriter, *http.Request, http.Handler)]
}

func openShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{dir: t.TempDir()}
	var err error
	if s.store, err = store.SQLite(t.Context(), s.dir, "r1"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { check(t, s.store.Close()) })
	if _, err := s.store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.server = httptest.NewServer(s.release(t, "r1"))
	t.Cleanup(s.server.Close)
	return s
}

// release is a web process of the shop without its process.
func (s *shop) release(t *testing.T, name string) http.Handler {
	t.Helper()
	w, err := web.New(web.Config{DataDir: s.dir, SessionKey: "sixteen letters!", AdminToken: adminToken, Release: name},
		s.store, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	inner := w.Handler()
	return http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if harm := s.around.Load(); harm != nil {
			(*harm)(out, r, inner)
			return
		}
		inner.ServeHTTP(out, r)
	})
}

func (s *shop) harm(h func(http.ResponseWriter, *http.Request, http.Handler)) { s.around.Store(&h) }

func (s *shop) file() string { return filepath.Join(s.dir, "shop.db") }

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// visit lets customers come until enough says so.
func visit(t *testing.T, s *shop, c load.Config, enough func(load.Result) bool) *load.Load {
	t.Helper()
	c.Base = s.server.URL
	if c.Seed == 0 {
		c.Seed = 7
	}
	l := load.New(c)
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for !enough(l.Result()) {
		select {
		case <-look.C:
		case <-ctx.Done():
			t.Errorf("never enough: %+v", l.Result())
		}
		if ctx.Err() != nil {
			break
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	return l
}

// Tests that visit the real shop are not parallel: customers who come whatever
// the answers take would overrun a machine that has other things to do.
func TestAShopThatLosesNothing(t *testing.T) {
	s := openShop(t)
	l := visit(t, s, load.Config{Rate: 6, Streams: 4}, func(r load.Result) bool {
		return r.OrdersAcknowledged >= 6 && r.UploadsSent >= 2 && r.StreamsOpened >= 6
	})
	for name, orders := range map[string]load.Orders{
		"file": load.OrdersInFile(s.file()), "http": load.OrdersOverHTTP(s.server.URL, "", adminToken),
	} {
		v, err := l.Verify(t.Context(), orders)
		if err != nil {
			t.Fatal(name, err)
		}
		if v.Acknowledged < 6 || v.Stored != v.Acknowledged || v.Missing+v.Duplicated+v.Resent+v.HandledTwice+v.UploadsLost != 0 || v.Uploads < 2 {
			t.Errorf("%s: %+v", name, v)
		}
	}
	r := l.Result()
	if r.Failed+r.WrongRelease+r.StreamsCut+r.UploadsLost != 0 || r.PerRelease["r1"] != r.Requests {
		t.Errorf("%+v", r)
	}
	if r.LastAnswer["r1"].IsZero() || r.Latency.P50 <= 0 || r.Latency.P99 < r.Latency.P50 || r.Latency.Max < r.Latency.P99 {
		t.Errorf("latency %+v, last answer %v", r.Latency, r.LastAnswer)
	}
}
