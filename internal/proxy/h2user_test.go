package proxy_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// h2user is one connection of a user who speaks HTTP/2 and takes every word of
// the proxy for what it says: nothing is ever sent again.
type h2user struct {
	conn   net.Conn
	framer *http2.Framer
	done   chan struct{}

	mu      sync.Mutex // of what is sent
	block   bytes.Buffer
	encoder *hpack.Encoder
	next    uint32
	open    map[uint32]*h2answer
	leaving bool   // no more streams are taken
	deaf    bool   // no window is opened
	last    uint32 // the highest stream that is taken
	goAways []uint32
	err     error
}

// h2answer is what a stream was answered with.
type h2answer struct {
	status  int
	body    bytes.Buffer
	trailer map[string]string
	err     error
	ended   chan struct{}
}

// dialH2 connects, over TLS unless config is nil.
func dialH2(t *testing.T, address string, config *tls.Config) *h2user {
	t.Helper()
	u, err := tryH2(address, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(u.close)
	return u
}

func tryH2(address string, config *tls.Config) (*h2user, error) {
	var conn net.Conn
	var err error
	if config == nil {
		conn, err = net.Dial("tcp", address)
	} else {
		conn, err = tls.Dial("tcp", address, config)
	}
	if err != nil {
		return nil, err
	}
	u := &h2user{conn: conn, framer: http2.NewFramer(conn, conn), done: make(chan struct{}), next: 1, open: map[uint32]*h2answer{}, last: 1<<31 - 1}
	u.encoder = hpack.NewEncoder(&u.block)
	u.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_, err = io.WriteString(conn, http2.ClientPreface)
	err = errors.Join(err, u.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20}), u.framer.WriteWindowUpdate(0, 1<<30))
	if err != nil {
		conn.Close()
		return nil, err
	}
	go u.receive()
	return u, nil
}

func (u *h2user) close() {
	u.conn.Close()
	<-u.done
}

var errLeaving = errors.New("the connection takes no more")

// send begins a request; its body may follow. errLeaving: nothing was sent, for
// the connection takes no more, or no more at a time.
func (u *h2user) send(end bool, fields ...string) (uint32, *h2answer, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.leaving || u.err != nil || len(u.open) >= 200 {
		return 0, nil, errLeaving
	}
	u.block.Reset()
	for i := 0; i < len(fields); i += 2 {
		_ = u.encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	id, a := u.next, &h2answer{ended: make(chan struct{}), trailer: map[string]string{}}
	u.next += 2
	u.open[id] = a
	return id, a, u.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: u.block.Bytes(), EndHeaders: true, EndStream: end})
}

func (u *h2user) get(path string) (*h2answer, error) {
	_, a, err := u.send(true, ":method", "GET", ":scheme", "http", ":authority", "shop.example.com", ":path", path)
	return a, err
}

func (u *h2user) data(id uint32, end bool, p []byte) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.framer.WriteData(id, end, p)
}

// receive reads until the connection ends.
func (u *h2user) receive() {
	defer close(u.done)
	for {
		f, err := u.framer.ReadFrame()
		u.mu.Lock()
		if err != nil {
			u.err = err
			for id := range u.open {
				u.endLocked(id, fmt.Errorf("the connection has ended: %w", err))
			}
			u.mu.Unlock()
			return
		}
		u.takeLocked(f)
		u.mu.Unlock()
	}
}

func (u *h2user) takeLocked(f http2.Frame) {
	a := u.open[f.Header().StreamID]
	switch f := f.(type) {
	case *http2.SettingsFrame:
		if !f.IsAck() {
			_ = u.framer.WriteSettingsAck()
		}
	case *http2.PingFrame:
		if !f.IsAck() {
			_ = u.framer.WritePing(true, f.Data)
		}
	case *http2.GoAwayFrame:
		u.leaving, u.last = true, f.LastStreamID
		u.goAways = append(u.goAways, f.LastStreamID)
		for id := range u.open {
			if id > f.LastStreamID {
				u.endLocked(id, fmt.Errorf("stream %d is not taken, %d is the last", id, f.LastStreamID))
			}
		}
		if len(u.open) == 0 {
			u.conn.Close()
		}
	case *http2.RSTStreamFrame:
		u.endLocked(f.StreamID, fmt.Errorf("reset: %v", f.ErrCode))
	case *http2.MetaHeadersFrame:
		if a != nil {
			a.head(f)
		}
		if f.StreamEnded() {
			u.endLocked(f.StreamID, nil)
		}
	case *http2.DataFrame:
		if a != nil {
			a.body.Write(f.Data())
		}
		if n := uint32(len(f.Data())); n > 0 && !f.StreamEnded() && !u.deaf { //nolint:gosec // a frame is small
			_ = u.framer.WriteWindowUpdate(f.StreamID, n)
		}
		if f.StreamEnded() {
			u.endLocked(f.StreamID, nil)
		}
	}
}

func (a *h2answer) head(f *http2.MetaHeadersFrame) {
	if s := f.PseudoValue("status"); s != "" {
		a.status, _ = strconv.Atoi(s)
		return
	}
	for _, field := range f.Fields {
		a.trailer[field.Name] = field.Value
	}
}

func (u *h2user) endLocked(id uint32, err error) {
	a := u.open[id]
	if a == nil {
		return
	}
	delete(u.open, id)
	if a.err = err; err == nil && a.status != 200 {
		a.err = fmt.Errorf("status %d: %s", a.status, &a.body)
	}
	close(a.ended)
	if u.leaving && len(u.open) == 0 {
		u.conn.Close()
	}
}

// wait gives the answer once it has ended.
func (a *h2answer) wait(t *testing.T) *h2answer {
	t.Helper()
	select {
	case <-a.ended:
	case <-time.After(20 * time.Second):
		t.Fatal("no answer")
	}
	return a
}
