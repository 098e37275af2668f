package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// silence is how long an event stream may say nothing at all: the shop's
// heart beats every ten seconds.
const silence = 25 * time.Second

// ticker is the shop's stock ticker. Its event ids count the stock moves
// without a gap, whichever release tells them: a customer who comes back with
// the last id sees whether anything was lost.
type ticker struct {
	load   *Load
	client client
	body   *bufio.Reader
	last   string // id of the last event
}

func (t *ticker) name() string { return "GET /stock" }

func (t *ticker) open(ctx context.Context) error {
	t.close()
	q := request{method: http.MethodGet, path: "/stock", header: http.Header{"Accept": {"text/event-stream"}}}
	if t.last != "" {
		q.header.Set("Last-Event-ID", t.last)
	}
	started := t.load.book.begin(t.name())
	response, done, err := t.client.start(ctx, q) //nolint:bodyclose // it ends with the connection
	if err != nil {
		t.load.book.end(started, nil, err)
		return err
	}
	kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if response.StatusCode != http.StatusOK || kind != "text/event-stream" {
		err = fmt.Errorf("answered %d %q instead of an event stream", response.StatusCode, kind)
	}
	t.load.book.end(started, response.Header, err)
	done() // opening is over: holding has its own end
	if err != nil {
		t.close()
		return err
	}
	t.body = bufio.NewReaderSize(response.Body, maxEvent)
	return nil
}

func (t *ticker) hold(ctx context.Context) error {
	conn := t.client.conn
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) }) //nolint:errcheck // it fails on a closed connection, which is as good
	defer stop()
	for {
		// Extending must not undo what AfterFunc has done: look again after it.
		if err := conn.SetDeadline(time.Now().Add(silence)); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
		e, err := readEvent(t.body)
		switch {
		case ctx.Err() != nil && errors.Is(err, os.ErrDeadlineExceeded):
			return nil // nothing was wrong when the customer left
		case errors.Is(err, io.EOF):
			return errBye // the body was ended as it should be, between events: a browser comes back with the last id
		case err != nil:
			return fmt.Errorf("ended without a goodbye: %w", err)
		case e.name == "bye":
			return errBye
		}
		t.follow(e)
	}
}

// follow checks that an event is the one after the last.
func (t *ticker) follow(e event) {
	if e.id == "" {
		return
	}
	if t.last != "" && e.name == "stock" {
		before, err1 := strconv.ParseInt(t.last, 10, 64)
		now, err2 := strconv.ParseInt(e.id, 10, 64)
		if err := errors.Join(err1, err2); err != nil || now != before+1 {
			t.load.book.fail(t.name(), fmt.Errorf("event %s follows event %s", e.id, t.last))
		}
	}
	t.last = e.id
}

func (t *ticker) close() {
	t.client.close()
	t.body = nil
}

// event is one server-sent event.
type event struct{ name, id, data string }

// maxEvent is the longest event that is read.
const maxEvent = 64 << 10

// readEvent reads up to the end of an event that has at least one field;
// comments are skipped.
func readEvent(in *bufio.Reader) (event, error) {
	var e event
	var data []string
	size, any := 0, false
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			if errors.Is(err, io.EOF) && (len(line) > 0 || any) {
				err = io.ErrUnexpectedEOF
			}
			return event{}, err
		}
		if size += len(line); size > maxEvent {
			return event{}, fmt.Errorf("an event is longer than %d bytes", maxEvent)
		}
		text := strings.TrimSuffix(strings.TrimSuffix(string(line), "\n"), "\r")
		if text == "" {
			if any {
				e.data = strings.Join(data, "\n")
				return e, nil
			}
			size = 0
			continue
		}
		field, value, _ := strings.Cut(text, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "":
			continue // a comment
		case "event":
			e.name = value
		case "id":
			e.id = value
		case "data":
			data = append(data, value)
		}
		any = true
	}
}
