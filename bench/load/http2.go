//go:build linux

package load

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// RunHTTP2 sends GETs over HTTP/2 in TLS: Streams at once on each of the
// Connections.
func RunHTTP2(p Plan) (Result, error) {
	return runClients(p, func(ctx context.Context) (client, error) {
		c, err := dialTLS(ctx, p, http2.NextProtoTLS)
		if err != nil {
			return nil, err
		}
		h := newHTTP2Client(c, p)
		if err := h.greet(); err != nil {
			_ = c.Close()
			return nil, err
		}
		return h, nil
	})
}

// stream is one request under way.
type stream struct {
	started time.Time
	status  string
	body    int
}

type http2Client struct {
	conn    *tls.Conn
	plan    Plan
	in      *bufio.Reader
	out     *bufio.Writer
	framer  *http2.Framer
	encoder *hpack.Encoder
	block   bytes.Buffer
	next    uint32
	streams map[uint32]*stream
	unacked int // bytes of bodies that the server was not yet given back
}

// room is how much the server may send without being asked again.
const room = 1 << 30

func newHTTP2Client(c *tls.Conn, p Plan) *http2Client {
	h := &http2Client{conn: c, plan: p, in: bufio.NewReaderSize(c, 32<<10), out: bufio.NewWriterSize(c, 32<<10), next: 1, streams: map[uint32]*stream{}}
	h.framer = http2.NewFramer(h.out, h.in)
	h.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	h.encoder = hpack.NewEncoder(&h.block)
	return h
}

func (h *http2Client) close() { _ = h.conn.Close() } // nothing is lost with a client's connection

func (h *http2Client) greet() error {
	if _, err := io.WriteString(h.out, http2.ClientPreface); err != nil {
		return err
	}
	return errors.Join(
		h.framer.WriteSettings(http2.Setting{ID: http2.SettingEnablePush, Val: 0}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20}),
		h.framer.WriteWindowUpdate(0, room),
		h.out.Flush(),
	)
}

func (h *http2Client) exchange(end time.Time, seen func(started, now time.Time)) error {
	if err := h.conn.SetDeadline(end.Add(5 * time.Second)); err != nil {
		return err
	}
	for range h.plan.Streams {
		if err := h.ask(time.Now()); err != nil {
			return err
		}
	}
	for len(h.streams) > 0 {
		if h.in.Buffered() == 0 { // all that has come is answered in one write
			if err := h.out.Flush(); err != nil {
				return fmt.Errorf("send: %w", err)
			}
		}
		done, err := h.receive()
		if err != nil {
			return err
		}
		if done == nil {
			continue
		}
		now := time.Now()
		seen(done.started, now)
		if now.Before(end) {
			if err := h.ask(now); err != nil {
				return err
			}
		}
	}
	return h.out.Flush()
}

// ask sends one request.
func (h *http2Client) ask(now time.Time) error {
	h.block.Reset()
	for _, f := range []hpack.HeaderField{
		{Name: ":method", Value: "GET"},
		{Name: ":scheme", Value: "https"},
		{Name: ":authority", Value: h.plan.Host},
		{Name: ":path", Value: h.plan.Path},
		{Name: "user-agent", Value: "bench"},
		{Name: "accept", Value: "*/*"},
	} {
		if err := h.encoder.WriteField(f); err != nil {
			return fmt.Errorf("encode a header: %w", err)
		}
	}
	id := h.next
	h.next += 2
	h.streams[id] = &stream{started: now}
	return h.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: h.block.Bytes(), EndHeaders: true, EndStream: true})
}

// receive handles one frame, and gives the stream that ended with it.
func (h *http2Client) receive() (*stream, error) {
	frame, err := h.framer.ReadFrame()
	if err != nil {
		return nil, fmt.Errorf("receive: %w", err)
	}
	switch f := frame.(type) {
	case *http2.SettingsFrame:
		if !f.IsAck() {
			return nil, h.framer.WriteSettingsAck()
		}
	case *http2.PingFrame:
		if !f.IsAck() {
			return nil, h.framer.WritePing(true, f.Data)
		}
	case *http2.GoAwayFrame:
		return nil, fmt.Errorf("the server ended the connection with %v", f.ErrCode)
	case *http2.RSTStreamFrame:
		return nil, fmt.Errorf("the server ended a stream with %v", f.ErrCode)
	case *http2.MetaHeadersFrame:
		return h.headers(f)
	case *http2.DataFrame:
		return h.data(f)
	}
	return nil, nil
}

func (h *http2Client) headers(f *http2.MetaHeadersFrame) (*stream, error) {
	s := h.streams[f.StreamID]
	if s == nil {
		return nil, fmt.Errorf("an answer on stream %d, which is not open", f.StreamID)
	}
	if status := f.PseudoValue("status"); status != "" {
		s.status = status
	}
	if !f.StreamEnded() {
		return nil, nil
	}
	return h.finish(f.StreamID, s)
}

func (h *http2Client) data(f *http2.DataFrame) (*stream, error) {
	s := h.streams[f.StreamID]
	if s == nil {
		return nil, fmt.Errorf("data on stream %d, which is not open", f.StreamID)
	}
	s.body += len(f.Data())
	if h.unacked += int(f.Length); h.unacked > room/2 {
		if err := h.framer.WriteWindowUpdate(0, uint32(h.unacked)); err != nil { //nolint:gosec // it is just above room/2
			return nil, err
		}
		h.unacked = 0
	}
	if !f.StreamEnded() {
		return nil, nil
	}
	return h.finish(f.StreamID, s)
}

func (h *http2Client) finish(id uint32, s *stream) (*stream, error) {
	delete(h.streams, id)
	if s.status != "200" || s.body != h.plan.Body {
		return nil, fmt.Errorf("it was answered %s with %d bytes", s.status, s.body)
	}
	return s, nil
}
