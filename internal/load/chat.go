package load

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
)

// sayEvery is the time between two lines of a customer in a chat.
const sayEvery = 250 * time.Millisecond

// chat is the shop's support desk. It repeats every line with its number.
type chat struct {
	load      *Load
	conn      *websocket.Conn
	transport *http.Transport
	seq       int
}

type line struct {
	Seq  int    `json:"seq"`
	From string `json:"from"`
	Text string `json:"text"`
}

func (c *chat) name() string { return "GET /chat" }

func (c *chat) open(ctx context.Context) error {
	c.close()
	// A connection of its own: net/http sends nothing twice on a fresh one.
	c.transport = &http.Transport{DisableKeepAlives: true, ResponseHeaderTimeout: c.load.config.Timeout}
	browser := &http.Client{
		Transport:     c.transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	opening, cancel := context.WithTimeout(ctx, c.load.config.Timeout)
	defer cancel()
	started := c.load.book.begin(c.name())
	conn, response, err := websocket.Dial(opening, "ws://"+c.load.address+"/chat", &websocket.DialOptions{HTTPClient: browser, Host: c.load.host}) //nolint:bodyclose // Dial has closed it, or it is the connection
	var header http.Header
	if response != nil {
		header = response.Header
	}
	c.load.book.end(started, header, err)
	if err != nil {
		return err
	}
	c.conn, c.seq = conn, 0
	return nil
}

func (c *chat) hold(ctx context.Context) error {
	// The connection outlives ctx by a moment: a read that is given a context
	// which ends would take the connection with it in the middle of a frame.
	reading, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	say := time.NewTicker(sayEvery)
	defer say.Stop()
	if _, err := c.read(reading); err != nil { // the greeting
		return ended(err)
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-say.C:
		}
		if err := c.exchange(reading); err != nil {
			return ended(err)
		}
	}
}

// exchange says one line and wants it back.
func (c *chat) exchange(ctx context.Context) error {
	c.seq++
	said := line{From: "customer", Text: fmt.Sprintf("line %d", c.seq)}
	writing, cancel := context.WithTimeout(ctx, c.load.config.Timeout)
	defer cancel()
	wrote := wsjson.Write(writing, c.conn, said)
	got, err := c.read(ctx) // a goodbye that crossed the line is read even if writing failed
	if err != nil {
		return errors.Join(err, wrote)
	}
	if got.Seq != c.seq || got.Text != said.Text {
		return fmt.Errorf("line %d was answered by line %d %q", c.seq, got.Seq, got.Text)
	}
	return nil
}

func (c *chat) read(ctx context.Context) (line, error) {
	limit, cancel := context.WithTimeout(ctx, c.load.config.Timeout)
	defer cancel()
	var got line
	err := wsjson.Read(limit, c.conn, &got)
	return got, err
}

// ended tells a goodbye from everything else.
func ended(err error) error {
	if websocket.CloseStatus(err) == websocket.StatusGoingAway {
		return errBye
	}
	return fmt.Errorf("ended without a goodbye: %w", err)
}

func (c *chat) close() {
	if c.conn != nil {
		c.conn.CloseNow() //nolint:errcheck,gosec // the customer does not care how it ends
		c.conn = nil
	}
	if c.transport != nil {
		c.transport.CloseIdleConnections()
		c.transport = nil
	}
}
