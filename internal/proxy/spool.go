package proxy

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"os"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/proxy/h1"
)

// usualReplayMemory is what Replay.Memory is if nobody has set it.
const usualReplayMemory = 64 << 10

// spool is a body that was read as a whole before any of it is sent, so that
// it can be sent again: its beginning is in memory, the rest in a file that has
// no name any more.
type spool struct {
	memory []byte
	file   *os.File // nil: all is in memory
	behind int64    // bytes in it

	sending chan struct{} // closed when nothing is sent any more; nil: nothing is
	sent    int64         // bytes, once that is closed
}

// spools reports whether the body is to be read as a whole first: it is too
// long for the buffer, may be sent twice, and there is room for it.
func (t *turn) spools() bool {
	length := t.req.Length
	if int64(t.head)+length <= bigSize || t.req.Upgrade != nil || !t.replays() {
		return false
	}
	return length <= memoryOf(t.target.site.traffic.Replay)+t.target.site.traffic.Replay.Spool
}

func memoryOf(r noon.Replay) int64 {
	if r.Memory == 0 {
		return usualReplayMemory
	}
	return r.Memory
}

// takeWhole reads the body into memory, and on into a file.
func (t *turn) takeWhole() error {
	b := &t.body
	part := min(int64(t.have-t.head), b.length)
	t.end = t.head + int(part)
	if t.req.Expect100 && part == 0 {
		t.within(writeLimit)
		if _, err := t.conn.Write([]byte("HTTP/1.1 100 Continue\r\n\r\n")); err != nil {
			return err
		}
	}
	body := io.MultiReader(bytes.NewReader(t.in.b[t.head:t.end]), &patient{t})
	s := &spool{memory: make([]byte, min(b.length, memoryOf(t.target.site.traffic.Replay)))}
	b.spool = s
	if _, err := io.ReadFull(body, s.memory); err != nil {
		return err
	}
	if s.behind = b.length - int64(len(s.memory)); s.behind > 0 {
		if err := t.takeIntoFile(body); err != nil {
			return err
		}
	}
	b.done = true
	return nil
}

// takeIntoFile reads what does not fit into memory.
func (t *turn) takeIntoFile(body io.Reader) error {
	s := t.body.spool
	file, err := os.CreateTemp(t.proxy.cfg.Dir, ".body-*")
	if err != nil {
		return t.noDisk(err)
	}
	s.file = file
	if err := os.Remove(file.Name()); err != nil {
		return t.noDisk(err)
	}
	buf := t.conn.slabs.get(bigSize)
	defer t.conn.slabs.put(buf)
	for left := s.behind; left > 0; {
		n, err := body.Read(buf.b[:min(left, int64(len(buf.b)))])
		if _, werr := file.Write(buf.b[:n]); werr != nil {
			return t.noDisk(werr)
		}
		if left -= int64(n); err != nil && left > 0 {
			return err
		}
	}
	return nil
}

func (t *turn) noDisk(err error) error {
	t.proxy.log.Warn("a request can not be kept", "path", t.query.path, "err", err)
	return &h1.Error{Status: http.StatusServiceUnavailable, Reason: "There is no room for the request just now. Please try again in a moment."}
}

// patient reads what the user sends, each part within the limit for it.
type patient struct{ turn *turn }

// Read implements io.Reader.
func (p *patient) Read(b []byte) (int, error) {
	p.turn.within(uploadIdle)
	return p.turn.conn.Read(b)
}

// sendSpool sends the body while the answer is waited for: an instance may
// answer without taking all of it.
func (t *turn) sendSpool(up *upConn) {
	s := t.body.spool
	s.sending, s.sent = make(chan struct{}), 0
	go func() {
		defer close(s.sending)
		s.send(up.Conn, t.awaitBegin)
	}()
}

// spoolPart is how much is sent until the instance is seen to take it, in
// bytes.
const spoolPart = 1 << 20

// send writes everything; the connection tells whoever reads the answer what
// went wrong.
func (s *spool) send(to net.Conn, moves func()) {
	n, err := to.Write(s.memory)
	s.sent = int64(n)
	if err != nil || s.file == nil {
		return
	}
	if _, err = s.file.Seek(0, io.SeekStart); err == nil {
		for left := s.behind; left > 0 && err == nil; {
			moves()
			var n int64
			n, err = io.CopyN(to, s.file, min(left, spoolPart)) // the kernel moves it
			s.sent += n
			left -= n
		}
	}
	if err != nil {
		_ = to.Close() // the instance must not take half a body for a whole one
		return
	}
	moves()
}

// whole reports that everything was sent; up can then be kept.
func (s *spool) whole(up *upConn, length int64) bool {
	if s == nil || s.sending == nil {
		return true
	}
	select {
	case <-s.sending:
		if s.sent < length {
			return false
		}
		up.written += uint64(s.sent) //nolint:gosec // never negative
		return true
	default:
		return false
	}
}

// wait returns when nothing is sent any more; the connection was closed.
func (s *spool) wait() {
	if s != nil && s.sending != nil {
		<-s.sending
		s.sending = nil
	}
}

// drop gives the file back.
func (s *spool) drop() {
	if s != nil && s.file != nil {
		_ = s.file.Close() // it has no name: its content is nobody's any more
	}
}
