package soak_test

import (
	"bufio"
	"context"
	"crypto/sha1" //nolint:gosec // RFC 6455 asks for it
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// errBye is the end of a stream that the server has announced.
var errBye = errors.New("told to leave")

// holders are users that hold a connection for as long as they are let.
type holders struct {
	book *book
	stop context.CancelFunc
	done sync.WaitGroup
}

// startHolders holds n WebSockets and n event streams.
func startHolders(address string, b *book, n int) *holders {
	ctx, stop := context.WithCancel(context.Background())
	h := &holders{book: b, stop: stop}
	for range n {
		h.done.Go(func() { h.keep(ctx, "ws", (&chat{address: address}).hold) })
		h.done.Go(func() { h.keep(ctx, "sse", (&ticker{address: address}).hold) })
	}
	return h
}

func (h *holders) end(t *testing.T) {
	t.Helper()
	h.stop()
	h.done.Wait()
}

// keep opens a stream again whenever the server has ended it.
func (h *holders) keep(ctx context.Context, kind string, hold func(context.Context, func(int)) error) {
	moved := false
	for ctx.Err() == nil {
		acked := h.book.acked.Load()
		err := hold(ctx, func(release int) { h.book.opened(kind, release, acked, moved) })
		moved = errors.Is(err, errBye)
		if !moved && ctx.Err() == nil {
			h.book.cut(kind, err)
			pause(ctx, 50*time.Millisecond)
		}
	}
}

// open sends a request on a connection of its own, which ends with ctx.
func open(ctx context.Context, address, head string) (*wire, *http.Response, func(), error) {
	w, err := (&wires{address: address}).dial(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	unhook := context.AfterFunc(ctx, func() { w.Close() })
	end := func() { unhook(); w.Close() }
	_ = w.SetDeadline(time.Now().Add(patience))
	if _, err = io.WriteString(w, head); err == nil {
		var res *http.Response
		if res, err = http.ReadResponse(w.in, &http.Request{Method: http.MethodGet}); err == nil {
			return w, res, end, nil
		}
	}
	end()
	return nil, nil, nil, fmt.Errorf("opening: %w", err)
}

// ticker is an event stream: no id may be missing, whoever sends them.
type ticker struct {
	address string
	last    int
}

func (k *ticker) hold(ctx context.Context, opened func(int)) error {
	head := "GET /events HTTP/1.1\r\nHost: shop\r\nAccept: text/event-stream\r\n"
	if k.last > 0 {
		head += "Last-Event-ID: " + strconv.Itoa(k.last) + "\r\n"
	}
	w, res, end, err := open(ctx, k.address, head+"\r\n")
	if err != nil {
		return err
	}
	defer end()
	defer res.Body.Close()
	release, err := releaseOf(res.Header)
	if err != nil || res.StatusCode != http.StatusOK {
		return fmt.Errorf("opening: %s, %w", res.Status, err)
	}
	opened(release)
	in := bufio.NewReader(res.Body)
	for {
		_ = w.SetDeadline(time.Now().Add(patience))
		id, err := in.ReadString('\n')
		if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return errBye // the answer was ended as it should be
		}
		if err != nil {
			return err
		}
		k.last++
		want := fmt.Sprintf("id: %d\n", k.last)
		if id != want {
			return fmt.Errorf("event %q, want %q", id, want)
		}
		if err := k.rest(in); errors.Is(err, io.EOF) {
			k.last-- // it was not whole
			return errBye
		} else if err != nil {
			k.last--
			return err
		}
	}
}

// rest reads an event to its end.
func (k *ticker) rest(in *bufio.Reader) error {
	for _, want := range []string{fmt.Sprintf("data: %d\n", k.last), "\n"} {
		got, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		if got != want {
			return fmt.Errorf("event %d: %q, want %q", k.last, got, want)
		}
	}
	return nil
}

// chat is a WebSocket on which every message is numbered and comes back.
type chat struct {
	address string
	said    uint64
}

const (
	opText  = 1
	opClose = 8
	opPing  = 9
)

// wsHead is a handshake; wsKey is what a server makes of its key.
const wsHead = "GET /chat HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

func wsKey() string {
	sum := sha1.Sum([]byte("dGhlIHNhbXBsZSBub25jZQ==" + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // the same
	return base64.StdEncoding.EncodeToString(sum[:])
}

// openChat opens a WebSocket.
func openChat(ctx context.Context, address string) (*wire, int, func(), error) {
	w, res, end, err := open(ctx, address, wsHead) //nolint:bodyclose // the connection is it
	if err != nil {
		return nil, 0, nil, err
	}
	release, err := releaseOf(res.Header)
	if err == nil && (res.StatusCode != http.StatusSwitchingProtocols || res.Header.Get("Sec-WebSocket-Accept") != wsKey()) {
		dump, _ := httputil.DumpResponse(res, false)
		err = fmt.Errorf("%w: %q", errStatus, dump)
	}
	if err != nil {
		end()
		return nil, 0, nil, fmt.Errorf("opening: %w", err)
	}
	return w, release, end, nil
}

func (c *chat) hold(ctx context.Context, opened func(int)) error {
	w, release, end, err := openChat(ctx, c.address)
	if err != nil {
		return err
	}
	defer end()
	opened(release)
	for ctx.Err() == nil {
		text := strconv.FormatUint(c.said, 10)
		_ = w.SetDeadline(time.Now().Add(patience))
		if err := w.writeFrame(opText, []byte(text)); err != nil && !errors.Is(err, net.ErrClosed) {
			// What the server has said before it went is still to be read.
			_, _, rerr := w.readFrame()
			return errors.Join(rerr, err)
		}
		op, data, err := w.readFrame()
		if err != nil {
			return err
		}
		if op != opText || string(data) != text {
			return fmt.Errorf("said %s, got %d %q", text, op, data)
		}
		c.said++
		if err := w.quiet(100 * time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// quiet waits for a moment in which nothing but a goodbye may come.
func (w *wire) quiet(d time.Duration) error {
	_ = w.SetReadDeadline(time.Now().Add(d))
	_, err := w.in.Peek(1)
	if isTimeout(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("no close frame: %w", err)
	}
	_ = w.SetReadDeadline(time.Now().Add(patience))
	op, data, err := w.readFrame()
	if err == nil {
		err = fmt.Errorf("unasked: %d %q", op, data)
	}
	return err
}

// writeFrame sends a masked frame; the mask is none, which is one too.
func (w *wire) writeFrame(op byte, data []byte) error {
	_, err := w.Write(append([]byte{0x80 | op, 0x80 | byte(len(data)), 0, 0, 0, 0}, data...))
	return err
}

// readFrame reads one frame of data. A close frame is answered, and is errBye
// if its status is 1001.
func (w *wire) readFrame() (op byte, data []byte, err error) {
	var head [2]byte
	if _, err := io.ReadFull(w.in, head[:]); err != nil {
		return 0, nil, fmt.Errorf("no close frame: %w", err)
	}
	op, n := head[0]&0x0f, int(head[1])
	if head[0]&0xf0 != 0x80 || n > 125 {
		return 0, nil, fmt.Errorf("frame %x: want a whole, short, unmasked one", head)
	}
	data = make([]byte, n)
	if _, err := io.ReadFull(w.in, data); err != nil {
		return 0, nil, fmt.Errorf("no close frame: %w", err)
	}
	switch {
	case op == opPing:
		return w.readFrame()
	case op != opClose:
		return op, data, nil
	}
	_ = w.writeFrame(opClose, data) // the server may have gone
	if n < 2 || binary.BigEndian.Uint16(data) != 1001 {
		return 0, nil, fmt.Errorf("closed with %q", strings.ToValidUTF8(string(data), "?"))
	}
	return 0, nil, errBye
}
