package proxy

import (
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/noon-deploy/noon/internal/proxy/h1"
)

// uploadIdle is how long a user may send nothing of a body that was begun;
// unreadFor is how long the rest of one is taken that nobody wants, so that
// the answer is not lost with the connection.
const (
	uploadIdle = time.Minute
	unreadFor  = 2 * time.Second
)

// requestBody is the body of a request on its way to an instance.
type requestBody struct {
	payload []byte // what is sent with the head: framed already if the length is not known
	length  int64  // as the instance is told; -1: chunked
	left    int64  // bytes that are still to be read, if the length is known
	done    bool   // nothing is still to be read
	decoder h1.Chunked
	sending chan struct{} // closed when the rest was sent; nil if there is none
	sent    bool          // to the end; set before sending is closed
	behind  bool          // part of the next request was read with it, and is lost
	spool   *spool        // all of it, if it was read first but does not fit into the buffer
}

// streams reports that the body is sent as it comes: it can not be sent again.
func (b *requestBody) streams() bool { return !b.done }

// takeBody reads a body that fits into a buffer, so that a slow user occupies
// no instance and the request can be sent again. Of others it takes what has
// come.
func (t *turn) takeBody() error {
	b := &t.body
	b.length = t.req.Length
	switch {
	case b.length == 0:
		b.done = true
		return nil
	case b.length < 0:
		return t.takeChunked()
	case t.spools():
		return t.takeWhole()
	case t.req.Expect100 || int64(t.head)+b.length > bigSize:
		part := min(int64(t.have-t.head), b.length)
		t.end = t.head + int(part)
		b.payload, b.left = t.in.b[t.head:t.end], b.length-part
		b.done = b.left == 0
		return nil
	}
	t.end = t.head + int(b.length)
	if t.end > len(t.in.room(0)) {
		t.grow()
		if _, err := t.req.Parse(t.in.b[:t.have]); err != nil { // the head has moved
			return err
		}
	}
	for t.have < t.end {
		t.within(uploadIdle)
		if err := t.more(); err != nil {
			return err
		}
	}
	b.payload, b.done = t.in.b[t.head:t.end], true
	return nil
}

// takeChunked decodes what has come of a chunked body. One that has come as a
// whole is sent with its length.
func (t *turn) takeChunked() error {
	b := &t.body
	b.decoder.Reset()
	payload, n, done, err := b.decoder.Decode(t.in.b[t.head:t.have])
	if err == nil {
		err = t.fits()
	}
	if err != nil {
		return err
	}
	t.end = t.head + n
	if done && len(b.decoder.Trailer()) == 0 {
		b.payload, b.length, b.done = payload, int64(len(payload)), true
		return nil
	}
	framed := make([]byte, 0, len(payload)+spare)
	if len(payload) > 0 {
		framed = append(append(h1.AppendChunkSize(framed, len(payload)), payload...), "\r\n"...)
	}
	if done {
		framed = h1.AppendLastChunk(framed, b.decoder.Trailer())
	}
	b.payload, b.done = framed, done
	return nil
}

// startUpload sends the rest of the body while the answer is waited for.
func (t *turn) startUpload(up *upConn) {
	t.body.sending = make(chan struct{})
	go func() {
		defer close(t.body.sending)
		t.upload(up)
	}()
}

// uploading reports that nobody can tell where the next request begins: the
// user has not sent everything, or more was taken than the body.
func (t *turn) uploading() bool {
	if t.body.sending == nil {
		return false
	}
	select {
	case <-t.body.sending:
		return !t.body.sent || t.body.behind
	default:
		return true
	}
}

// upload ends with the body, with the user, or when endUpload interrupts it.
// What an instance does not want any more is read nevertheless.
func (t *turn) upload(up *upConn) {
	s := t.conn.slabs.get(bigSize)
	defer t.conn.slabs.put(s)
	wanted := true
	for {
		if !t.replying.Load() { // else both go on as long as either likes, as in gRPC
			t.within(uploadIdle)
		}
		n, err := t.conn.Read(s.room(spare)[:t.uploadPart(len(s.room(spare)))])
		if n > 0 {
			framed, done, ferr := t.frame(s, n)
			if ferr != nil {
				_ = up.Close() // the instance must not take half a body for a whole one
				return
			}
			if wanted {
				_, werr := up.Write(framed)
				wanted = werr == nil
			}
			if done {
				t.awaitBegin()
				t.body.sent = true
				return
			}
		}
		if err != nil {
			if !errors.Is(err, io.EOF) || !t.interrupted() {
				_ = up.Close() // the same
			}
			return
		}
	}
}

func (t *turn) uploadPart(room int) int {
	if t.body.length < 0 {
		return room
	}
	return int(min(int64(room), t.body.left))
}

// frame makes s.b[spare:spare+n], which was read, what is sent on.
func (t *turn) frame(s *slab, n int) (framed []byte, done bool, err error) {
	b := &t.body
	part := s.b[spare : spare+n]
	if b.length >= 0 {
		b.left -= int64(n)
		return part, b.left == 0, nil
	}
	payload, used, done, err := b.decoder.Decode(part)
	if err == nil {
		err = t.fits()
	}
	if err != nil {
		return nil, false, err
	}
	b.behind = done && used < n
	framed = frameChunk(s, spare+offset(part, payload), len(payload))
	if done {
		framed = h1.AppendLastChunk(framed, b.decoder.Trailer())
	}
	return framed, done, nil
}

// frameChunk puts the size before and the line end behind the payload at
// s.b[at:at+n]; at least spare bytes before it are free.
func frameChunk(s *slab, at, n int) []byte {
	if n == 0 {
		return s.b[at:at]
	}
	var size [20]byte
	line := h1.AppendChunkSize(size[:0], n)
	start := at - len(line)
	copy(s.b[start:], line)
	copy(s.b[at+n:], "\r\n")
	return s.b[start : at+n+2]
}

// offset is where in p the payload lies that was decoded from it.
func offset(p, payload []byte) int {
	if len(payload) == 0 {
		return 0
	}
	return cap(p) - cap(payload)
}

// interrupted reports that the turn itself has ended the upload.
func (t *turn) interrupted() bool {
	t.conn.mu.Lock()
	defer t.conn.mu.Unlock()
	return t.ended || t.abandoned || t.answered
}

// endUpload returns when nothing of the body is read or sent any more. What
// the user is just sending is taken for a moment, without being sent on.
func (t *turn) endUpload() {
	t.conn.mu.Lock()
	t.answered = true
	t.conn.mu.Unlock()
	patience := unreadFor
	if _, ok := t.conn.Conn.(*stream); ok {
		patience = 0 // its answer is not lost with what is unread, and comes when the turn is over
	}
	limit := time.NewTimer(patience)
	defer limit.Stop()
	if half, ok := t.conn.Conn.(interface{ CloseWrite() error }); ok && t.begun {
		_ = half.CloseWrite() // the user has everything
	}
	select {
	case <-t.body.sending:
	case <-limit.C:
		_ = t.conn.SetReadDeadline(time.Unix(1, 0)) // closed: nothing is read
		<-t.body.sending
	}
	t.body.sending = nil
}

// statusOf is what a request is refused with when reading it ended so.
func statusOf(err error) (int, string) {
	var wrong *h1.Error
	switch {
	case errors.As(err, &wrong):
		return wrong.Status, wrong.Reason
	case errors.Is(err, errTooLarge):
		return http.StatusRequestEntityTooLarge, tooLargeText
	case isTimeout(err):
		return http.StatusRequestTimeout, "The request did not come in time."
	default:
		return 0, ""
	}
}
