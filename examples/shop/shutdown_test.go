package main_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
)

// dial opens a connection that speaks HTTP by hand.
func dial(t *testing.T, p *process) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn, bufio.NewReader(conn)
}

func send(t *testing.T, to io.Writer, format string, args ...any) {
	t.Helper()
	if _, err := fmt.Fprintf(to, format, args...); err != nil {
		t.Error(err)
	}
}

func answer(t *testing.T, in *bufio.Reader) *http.Response {
	t.Helper()
	r, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(r.Body); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestShutdownLosesNothing asks a shop to end while a picture is on its way,
// a connection is kept, and two streams are held.
func TestShutdownLosesNothing(t *testing.T) {
	t.Parallel()
	at := sqlite(t)
	shop := startWeb(t, at)

	stock, events := dial(t, shop)
	send(t, stock, "GET /stock HTTP/1.1\r\nHost: x\r\n\r\n")
	stream, err := http.ReadResponse(events, nil)
	if err != nil || stream.Header.Get("Content-Type") != "text/event-stream" || stream.Header.Get("Shop-Release") != "r1" {
		t.Fatal(stream, err)
	}
	told := bufio.NewReader(stream.Body)
	if line, err := told.ReadString('\n'); err != nil || line != "retry: 500\n" {
		t.Fatal(line, err)
	}
	chat, _, err := websocket.Dial(t.Context(), strings.Replace(shop.base, "http", "ws", 1)+"/chat", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer chat.CloseNow() //nolint:errcheck // it is closed already
	var m map[string]any
	if err := wsjson.Read(t.Context(), chat, &m); err != nil {
		t.Fatal(err)
	}
	for seq := 1; seq <= 2; seq++ {
		if err := wsjson.Write(t.Context(), chat, map[string]any{"text": "hello"}); err != nil {
			t.Fatal(err)
		}
		if err := wsjson.Read(t.Context(), chat, &m); err != nil || m["seq"] != float64(seq) || m["text"] != "hello" {
			t.Fatal(m, err)
		}
	}
	kept, keptIn := dial(t, shop)
	send(t, kept, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
	answer(t, keptIn)
	kind, form := multi(t, png)
	upload, uploadIn := dial(t, shop)
	send(t, upload, "POST /products/kite/images HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", kind, len(form), form[:9000])

	if err := shop.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(told)
	if err != nil || !strings.HasSuffix(string(rest), "event: bye\ndata: {}\n\n") {
		t.Errorf("the stock ticker ended with %q, %v", rest, err)
	}
	if err := wsjson.Read(t.Context(), chat, &m); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("the chat ended with %v", err)
	}
	// The upload keeps the process alive, so the kept connection is not idle
	// with nobody at home: it is answered, and told to close.
	send(t, kept, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if r := answer(t, keptIn); r.StatusCode != http.StatusOK || !r.Close {
		t.Errorf("the kept connection: %d, close %v", r.StatusCode, r.Close)
	}
	if _, err := upload.Write(form[9000:]); err != nil {
		t.Fatal(err)
	}
	if r := answer(t, uploadIn); r.StatusCode != http.StatusCreated {
		t.Errorf("the upload: %d", r.StatusCode)
	}
	shop.wait(t)
}

// TestStockIsToldToEveryProcess also comes back with the id of the last event
// to another process, and misses nothing.
func TestStockIsToldToEveryProcess(t *testing.T) {
	t.Parallel()
	at := sqlite(t)
	one, two := startWeb(t, at), startWeb(t, at)
	listen := func(p *process, last string) *bufio.Reader {
		conn, in := dial(t, p)
		send(t, conn, "GET /stock HTTP/1.1\r\nHost: x\r\n%s\r\n", last)
		r, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		return bufio.NewReader(r.Body)
	}
	expect := func(in *bufio.Reader, want string) {
		t.Helper()
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(line, "data: {\"") {
				if strings.TrimSpace(line) != want {
					t.Errorf("%s instead of %s", line, want)
				}
				return
			}
		}
	}
	live := listen(two, "")
	c := browser(t)
	for i := range 3 {
		fill(t, c, one.base)
		if status, text := checkout(t, c, one.base, fmt.Sprintf("0123456789abcdef%d", i)); status != http.StatusCreated {
			t.Fatal(status, text)
		}
	}
	for i := range 3 {
		expect(live, fmt.Sprintf(`data: {"product":"kite","delta":-2,"stock":%d}`, 898-2*i))
	}
	back := listen(one, "Last-Event-ID: 1\r\n")
	expect(back, `data: {"product":"kite","delta":-2,"stock":896}`)
	expect(back, `data: {"product":"kite","delta":-2,"stock":894}`)
}

func TestPages(t *testing.T) {
	t.Parallel()
	at := sqlite(t)
	shop := startWeb(t, at)
	c := browser(t)
	fill(t, c, shop.base)
	r, err := c.Get(shop.base + "/checkout")
	_, page := body(t, r, err)
	_, key, _ := strings.Cut(page, `name="key" value="`)
	key, _, _ = strings.Cut(key, `"`)
	buy := func(base, key, email string) (int, string, string) {
		r, err := c.PostForm(base+"/checkout", url.Values{"key": {key}, "name": {"<b>Ada</b>"}, "email": {email}})
		status, text := body(t, r, err)
		return status, r.Header.Get("Location"), text
	}
	if status, _, text := buy(shop.base, key, "no address"); status != http.StatusBadRequest || !strings.Contains(text, "e-mail") || !strings.Contains(text, key) {
		t.Error(status, text)
	}
	for range 2 { // pressed twice
		if status, to, text := buy(shop.base, key, "ada@shop.example"); status != http.StatusSeeOther || to != "/orders/1" {
			t.Error(status, to, text)
		}
	}
	if _, text := get(t, c, shop.base+"/orders/1"); !strings.Contains(text, `data-order="1"`) || !strings.Contains(text, "&lt;b&gt;Ada") {
		t.Error(text)
	}
	for path, want := range map[string]int{
		"/": 200, "/products/kite": 200, "/products/none": 404, "/cart": 200, "/support": 200, "/checkout": 303,
		"/nowhere": 404, "/orders/2": 404, "/orders.json": 401, "/assets/style.css": 404, "/assets/..%2fshop.db": 404, "/healthz": 200,
	} {
		if status, text := get(t, c, shop.base+path); status != want {
			t.Errorf("%s: %d instead of %d: %s", path, status, want, text)
		}
	}
	if status, text := get(t, browser(t), shop.base+"/orders/1"); status != http.StatusNotFound {
		t.Error("somebody else's order:", status, text)
	}
	forged := &http.Cookie{Name: "shop_session", Value: "ADA.forged"}
	q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, shop.base+"/cart", nil)
	if err != nil {
		t.Fatal(err)
	}
	q.AddCookie(forged)
	r, err = http.DefaultClient.Do(q)
	if _, text := body(t, r, err); !strings.Contains(text, "nothing in it") {
		t.Error(text)
	}
	q, err = http.NewRequestWithContext(t.Context(), http.MethodPost, shop.base+"/cart", strings.NewReader("product=kite&quantity=1"))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	q.Header.Set("Sec-Fetch-Site", "cross-site")
	r, err = c.Do(q)
	if status, text := body(t, r, err); status != http.StatusForbidden {
		t.Error("from another site:", status, text)
	}
	if status, _, _ := buy(shop.base, "short", "ada@shop.example"); status != http.StatusBadRequest {
		t.Error("a key that is too short:", status)
	}
}
