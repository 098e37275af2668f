package load_test

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	_ "modernc.org/sqlite"

	"github.com/noon-deploy/noon/internal/load"
)

// hangUp ends the connection without an answer.
func hangUp(http.ResponseWriter) { panic(http.ErrAbortHandler) }

// say answers a customer who may have gone.
func say(w io.Writer, text string) { _, _ = io.WriteString(w, text) }

func TestEveryKindOfFailureCounts(t *testing.T) {
	for name, tc := range map[string]struct {
		path, err string
		harm      func(http.ResponseWriter, *http.Request, http.Handler)
	}{
		"no answer": {"/", "EOF", func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { hangUp(w) }},
		"500": {"/", "answered 500 instead of 200: sorry", func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.Header().Set("Shop-Release", "r1")
			http.Error(w, "sorry", http.StatusInternalServerError)
		}},
		"other page": {"/", "does not contain", func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.Header().Set("Shop-Release", "r1")
			say(w, "It works!")
		}},
		"cut off": {"/", "cut off after", func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.Header().Set("Content-Length", "1000")
			say(w, "Sundial Shop")
		}},
		"nobody's answer": {"/", "names no release", func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			next.ServeHTTP(nameless{w}, r)
		}},
		"too late": {"/", "timeout", func(_ http.ResponseWriter, r *http.Request, _ http.Handler) { <-r.Context().Done() }},
		"asset of another content": {"/assets/", "not what its name says", func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			next.ServeHTTP(w, r)
			say(w, " ")
		}},
		"lost cart": {"/cart", "does not contain \"data-pieces=", func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if r.Method == http.MethodGet {
				r.Header.Del("Cookie")
			}
			next.ServeHTTP(w, r)
		}},
		"lost checkout": {"/checkout", "EOF", func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { hangUp(w) }},
		"bad picture": {"/uploads/", "not the one that was sent", func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.Header().Set("Shop-Release", "r1")
			say(w, "other bytes")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := openShop(t)
			s.harm(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if r.URL.Path == tc.path || tc.path != "/" && strings.HasPrefix(r.URL.Path, tc.path) {
					tc.harm(w, r, next)
					return
				}
				next.ServeHTTP(w, r)
			})
			timeout := 10 * time.Second
			if name == "too late" {
				timeout = 50 * time.Millisecond
			}
			l := visit(t, s, load.Config{Rate: 6, Timeout: timeout}, func(r load.Result) bool {
				return strings.Contains(fmt.Sprint(r.Failures), tc.err)
			})
			r := l.Result()
			if r.Failed == 0 || r.WrongRelease != 0 {
				t.Errorf("%+v", r)
			}
			if f := r.Failures[0]; f.At.IsZero() || f.What == "" || !strings.Contains(f.String(), f.Err) {
				t.Errorf("failure %+v", f)
			}
		})
	}
}

// nameless hides which release answers.
type nameless struct{ http.ResponseWriter }

func (n nameless) WriteHeader(status int) {
	n.Header().Del("Shop-Release")
	n.ResponseWriter.WriteHeader(status)
}

func TestNothingIsSentTwice(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	var arrived atomic.Int64
	s.harm(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		arrived.Add(1)
		hangUp(w)
	})
	l := visit(t, s, load.Config{Rate: 20}, func(r load.Result) bool { return r.Failed >= 20 })
	if r := l.Result(); arrived.Load() != r.Requests || r.Failed != r.Requests || len(r.Failures) != 20 {
		t.Errorf("%d arrived of %d requests, %d failed, %d in words", arrived.Load(), r.Requests, r.Failed, len(r.Failures))
	}
}

func TestARefusedConnectionCounts(t *testing.T) {
	t.Parallel()
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	l := visit(t, &shop{server: closed}, load.Config{Rate: 20, Streams: 2}, func(r load.Result) bool { return r.Failed >= 5 })
	if r := l.Result(); r.Failed != r.Requests || r.StreamsOpened != 0 || r.StreamsCut != 0 {
		t.Errorf("%+v", r)
	}
}

func TestWrongRelease(t *testing.T) {
	s := openShop(t)
	c := load.Config{Base: s.server.URL, Rate: 6, Seed: 3}
	l := load.New(c)
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	await := func(enough func(load.Result) bool) {
		t.Helper()
		look := time.NewTicker(5 * time.Millisecond)
		defer look.Stop()
		for !enough(l.Result()) {
			select {
			case <-look.C:
			case <-ctx.Done():
				t.Fatalf("never enough: %+v", l.Result())
			}
		}
	}
	await(func(r load.Result) bool { return r.Requests > 5 })
	l.SetAllowed("r1", "r2")
	before := l.Result().Requests
	await(func(r load.Result) bool { return r.Requests > before+10 })
	if r := l.Result(); r.WrongRelease != 0 {
		t.Errorf("%+v", r)
	}
	l.SetAllowed("r2")
	await(func(r load.Result) bool { return r.WrongRelease > 3 })
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprint(l.Result().Failures); !strings.Contains(text, "answered by r1, allowed is r2") {
		t.Error(text)
	}
}

func TestARequestMayBeAnsweredByWhatWasAllowedInItsLife(t *testing.T) {
	s := openShop(t)
	here, on := make(chan struct{}, 1000), make(chan struct{})
	s.harm(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		here <- struct{}{}
		<-on
		next.ServeHTTP(w, r)
	})
	l := load.New(load.Config{Base: s.server.URL, Rate: 1000, Seed: 3})
	l.SetAllowed("r1")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	<-here
	stop() // the few who are there finish; their later requests are begun under r2
	l.SetAllowed("r2")
	first := l.Result().Requests
	close(on)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if r := l.Result(); r.WrongRelease != r.Requests-first {
		t.Errorf("%d wrong of %d, %d of them begun before: %v", r.WrongRelease, r.Requests, first, r.Failures)
	}
}

func TestTheProxyAndTheShopMustAgree(t *testing.T) {
	s := openShop(t)
	s.harm(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		w.Header().Set("Noon-Release", "r2.c1")
		next.ServeHTTP(w, r)
	})
	l := visit(t, s, load.Config{Rate: 6}, func(r load.Result) bool { return r.WrongRelease > 3 })
	if r := l.Result(); r.WrongRelease != r.Requests || r.Failed != 0 {
		t.Errorf("%+v", r)
	}
	s.harm(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		w.Header().Set("Noon-Release", "r1.c4")
		next.ServeHTTP(w, r)
	})
	l = visit(t, s, load.Config{Rate: 6}, func(r load.Result) bool { return r.Requests > 10 })
	if r := l.Result(); r.WrongRelease != 0 {
		t.Errorf("%+v", r)
	}
}

func TestVerifyFindsLosses(t *testing.T) {
	s := openShop(t)
	l := visit(t, s, load.Config{Rate: 6}, func(r load.Result) bool { return r.OrdersAcknowledged >= 7 && r.UploadsSent >= 2 })
	db, err := sql.Open("sqlite", s.file()+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { check(t, db.Close()) }()
	left := func(n int) string { return fmt.Sprintf("(SELECT id FROM orders ORDER BY id LIMIT 1 OFFSET %d)", n) } // numbers have gaps
	for _, change := range []string{
		`DELETE FROM order_items`,
		`DELETE FROM orders WHERE id = ` + left(0),
		`INSERT INTO orders (key, session, name, email, total, pieces, release, placed_at)
			SELECT key || 'again', session, name, email, total, pieces, release, placed_at FROM orders WHERE id = ` + left(0),
		`UPDATE orders SET attempts = attempts + 1 WHERE id = ` + left(1),
		`INSERT INTO handlings (order_id, worker, at) SELECT id, worker, '' FROM orders, (SELECT 'a' AS worker UNION SELECT 'b') WHERE id = ` + left(2),
		`UPDATE orders SET email = 'somebody@else.example' WHERE id = ` + left(3),
		`UPDATE orders SET total = total * 100 WHERE id = ` + left(4),
		`UPDATE orders SET name = 'Customer' WHERE id = ` + left(5),
	} {
		if _, err := db.ExecContext(t.Context(), change); err != nil {
			t.Fatal(change, err)
		}
	}
	pictures, err := filepath.Glob(filepath.Join(s.dir, "uploads", "[0-9a-f]*"))
	if err != nil || len(pictures) < 2 {
		t.Fatal(pictures, err)
	}
	check(t, os.Remove(pictures[0]))
	check(t, os.WriteFile(pictures[1], []byte("other"), 0o600))

	v, err := l.Verify(t.Context(), load.OrdersInFile(s.file()))
	if err != nil {
		t.Fatal(err)
	}
	if v.Missing != 4 || v.Duplicated != 1 || v.Resent != 1 || v.HandledTwice != 1 || v.Stored != v.Acknowledged-4 || v.UploadsLost != 2 {
		t.Errorf("%+v", v)
	}
	if l.Result().UploadsLost != 2 || len(v.Details) < 9 {
		t.Errorf("uploads lost %d, details %q", l.Result().UploadsLost, v.Details)
	}
}

func TestVerifyTellsThatItCannotRead(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	l := load.New(load.Config{Base: s.server.URL})
	for name, orders := range map[string]load.Orders{
		"no file":     load.OrdersInFile(filepath.Join(t.TempDir(), "shop.db")),
		"wrong token": load.OrdersOverHTTP(s.server.URL, "", "guess"),
	} {
		if v, err := l.Verify(t.Context(), orders); err == nil {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

func TestAConfigurationThatCannotBe(t *testing.T) {
	t.Parallel()
	for _, c := range []load.Config{
		{Base: "https://127.0.0.1:1"},
		{Base: "127.0.0.1:1"},
		{Base: "http://127.0.0.1"},
		{Base: "http://a b:1"},
		{Base: "http://127.0.0.1:1", Rate: -1},
		{Base: "http://127.0.0.1:1", Streams: -1},
	} {
		if err := load.New(c).Run(t.Context()); err == nil {
			t.Errorf("%+v was taken", c)
		}
	}
}

// streams makes a harm that answers every stream itself.
func streams(sse func(http.ResponseWriter, *http.Request), chat func(*websocket.Conn, *http.Request)) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		w.Header().Set("Shop-Release", "r1")
		switch r.URL.Path {
		case "/stock":
			w.Header().Set("Content-Type", "text/event-stream")
			sse(w, r)
		case "/chat":
			conn, err := websocket.Accept(w, r, nil)
			if err == nil {
				chat(conn, r)
				conn.CloseNow() //nolint:errcheck // it may be closed already
			}
		default:
			next.ServeHTTP(w, r)
		}
	}
}

func TestAStreamThatBreaksIsCut(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	s.harm(streams(
		func(w http.ResponseWriter, _ *http.Request) {
			say(w, "id: 1\nevent: hello\ndata: {}\n\n")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		},
		func(conn *websocket.Conn, r *http.Request) {
			_ = conn.Write(r.Context(), websocket.MessageText, []byte(`{"text":"hello"}`))
		},
	))
	l := visit(t, s, load.Config{Streams: 2}, func(r load.Result) bool {
		text := fmt.Sprint(r.Failures)
		return strings.Contains(text, "/stock: stream cut") && strings.Contains(text, "/chat: stream cut")
	})
	if r := l.Result(); r.StreamsCut < 2 || r.StreamsMoved != 0 || r.Failed != 0 {
		t.Errorf("%+v", r)
	}
}

func TestAStreamThatMovesIsNotCut(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	var mu sync.Mutex
	resumed := map[string]int{}
	s.harm(streams(
		func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			resumed[r.Header.Get("Last-Event-ID")]++
			odd := resumed["7"]%2 == 1
			mu.Unlock()
			say(w, "id: 7\nevent: hello\ndata: {}\n\n")
			if odd { // else the body just ends, in good order
				say(w, "event: bye\ndata: {}\n\n")
			}
		},
		func(conn *websocket.Conn, r *http.Request) {
			_ = conn.Write(r.Context(), websocket.MessageText, []byte(`{"text":"hello"}`))
			_ = conn.Close(websocket.StatusGoingAway, "")
		},
	))
	l := visit(t, s, load.Config{Streams: 2}, func(r load.Result) bool { return r.StreamsMoved > 10 })
	mu.Lock()
	defer mu.Unlock()
	if r := l.Result(); r.StreamsCut != 0 || r.Failed != 0 || resumed["7"] == 0 {
		t.Errorf("%+v, resumed %v", r, resumed)
	}
}

func TestAStreamThatIsNotTakenUpAgainIsCut(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	var opened atomic.Bool
	s.harm(streams(
		func(w http.ResponseWriter, _ *http.Request) {
			if opened.Swap(true) {
				hangUp(w)
			}
			say(w, "event: bye\ndata: {}\n\n")
		},
		func(*websocket.Conn, *http.Request) {},
	))
	// The first place begins with an event stream.
	l := visit(t, s, load.Config{Streams: 1}, func(r load.Result) bool { return r.StreamsCut > 0 })
	if r := l.Result(); r.StreamsMoved != 0 || r.Failed == 0 {
		t.Errorf("%+v", r)
	}
}

func TestALostEventCounts(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	s.harm(streams(
		func(w http.ResponseWriter, r *http.Request) {
			say(w, "id: 1\nevent: hello\ndata: {}\n\nid: 2\nevent: stock\ndata: {}\n\nid: 4\nevent: stock\ndata: {}\n\n")
			check(t, http.NewResponseController(w).Flush())
			<-r.Context().Done()
		},
		func(*websocket.Conn, *http.Request) {},
	))
	l := visit(t, s, load.Config{Streams: 1}, func(r load.Result) bool { return r.Failed > 0 })
	if text := fmt.Sprint(l.Result().Failures); !strings.Contains(text, "event 4 follows event 2") {
		t.Error(text)
	}
}

func TestAWrongEchoIsCut(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	s.harm(streams(
		func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		func(conn *websocket.Conn, r *http.Request) {
			for range 2 {
				_ = conn.Write(r.Context(), websocket.MessageText, []byte(`{"seq":9,"text":"what?"}`))
			}
			for err := error(nil); err == nil; {
				_, _, err = conn.Read(r.Context())
			}
		},
	))
	l := visit(t, s, load.Config{Streams: 2}, func(r load.Result) bool { return r.StreamsCut > 0 })
	if text := fmt.Sprint(l.Result().Failures); !strings.Contains(text, "was answered by line 9") {
		t.Error(text)
	}
}
