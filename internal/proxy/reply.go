package proxy

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/noon-deploy/noon/internal/proxy/h1"
	"github.com/noon-deploy/noon/internal/proxy/meter"
)

const (
	// writeLimit is how long a user may take nothing of what is sent.
	writeLimit = 5 * time.Minute
	// spliceFrom is the size of a body from which on the kernel moves it from
	// one socket to the other, in parts of spliceMost: each has writeLimit.
	spliceFrom = 32 << 10
	spliceMost = 512 << 10
)

// readAnswer reads the head of the final answer. Interim ones are passed on.
func (t *turn) readAnswer(up *upConn) error {
	t.conn.slabs.put(t.ans)
	t.ans = nil
	s, n, err := t.awaitAnswer(up)
	if err != nil {
		return err
	}
	t.ans, t.ansHave = s, n
	for {
		head, err := t.res.Parse(t.ans.b[:t.ansHave], t.req.Head)
		switch {
		case err != nil:
			return err
		case head == 0:
			err = t.moreAnswer(up)
		case t.res.Status < http.StatusOK && t.res.Status != http.StatusSwitchingProtocols:
			err = t.interim(head)
		case t.res.Status == http.StatusSwitchingProtocols && t.req.Upgrade == nil:
			return &h1.Error{Status: http.StatusBadGateway, Reason: "The application switched protocols without being asked."}
		default:
			t.ansHead = head
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (t *turn) moreAnswer(up *upConn) error {
	if len(t.ans.room(t.ansHave)) == 0 {
		if len(t.ans.b) > slabSize+spare {
			return &h1.Error{Status: http.StatusBadGateway, Reason: fmt.Sprintf("The head of the application's answer is longer than %d bytes.", bigSize)}
		}
		large := t.conn.slabs.get(bigSize)
		copy(large.b, t.ans.b[:t.ansHave])
		t.conn.slabs.put(t.ans)
		t.ans = large
	}
	n, err := up.Read(t.ans.room(t.ansHave))
	t.ansHave += n
	if n > 0 {
		return nil
	}
	return err
}

// interim passes on an answer such as 100 or 103, and goes on behind it.
func (t *turn) interim(head int) error {
	if t.req.Minor > 0 {
		t.out = t.appendStatus(t.out[:0])
		for i := range t.res.Fields {
			if f := &t.res.Fields[i]; f.Kind != h1.Hop {
				t.out = appendField(t.out, f)
			}
		}
		t.out = append(t.out, "\r\n"...)
		if _, err := t.conn.Write(t.out); err != nil {
			return err
		}
	}
	t.ansHave = copy(t.ans.b, t.ans.b[head:t.ansHave])
	return nil
}

// firstByte is how long an instance may take to begin its answer.
func (t *turn) firstByte() time.Duration {
	if t.req.Upgrade != nil {
		return 0
	}
	limit := t.proxy.limits.FirstByte
	if t.target.site != nil && t.target.site.traffic.Limits.FirstByte > 0 {
		limit = t.target.site.traffic.Limits.FirstByte
	}
	if accept := t.req.Value(h1.Accept); accept != nil && isEventStream(view(accept)) {
		return 0
	}
	return limit
}

func (t *turn) appendStatus(b []byte) []byte {
	b = strconv.AppendInt(append(b, "HTTP/1.1 "...), int64(t.res.Status), 10)
	return append(append(append(b, ' '), t.res.Reason...), "\r\n"...)
}

// reply sends the answer that has begun to the user.
func (t *turn) reply() outcome {
	t.replying.Store(true)
	if t.res.Status == http.StatusSwitchingProtocols {
		return t.tunnel()
	}
	if isEventStream(view(t.res.Value(h1.ContentType))) {
		t.becomeStream()
		t.deadline.Store(0)
		if t.chunked() {
			t.soften()
		}
	}
	t.account.answered(t.res.Status, t.proxy.cfg.Access != nil)
	how := kept
	if t.req.Close || t.proxy.draining.Load() || t.uploading() {
		how = over
	}
	if err := t.sendReply(&how); err != nil {
		if t.endsProperly() {
			_ = t.conn.SetWriteDeadline(time.Now().Add(endGrace)) // a busy machine may be late
			_, _ = t.conn.Write([]byte("0\r\n\r\n"))              // the user may have left
		} else {
			t.account.fail(t.cutBy(err))
		}
		return over
	}
	return how
}

// cutBy tells whose fault it is that an answer has no end.
func (t *turn) cutBy(err error) meter.Failure {
	t.conn.mu.Lock()
	defer t.conn.mu.Unlock()
	switch {
	case t.ended:
		return meter.Ended
	case t.conn.due.Load() == expired && (t.silent || t.overdue()):
		return meter.Timeout
	case t.conn.due.Load() == expired:
		return meter.ClientSlow
	case errors.Is(err, io.ErrUnexpectedEOF):
		return meter.Cut
	}
	return meter.ClientGone
}

func isEventStream(contentType string) bool {
	if !strings.Contains(contentType, "event-stream") {
		return false
	}
	kind, _, _ := mime.ParseMediaType(contentType) // an unreadable parameter does not change the kind
	return kind == "text/event-stream"
}

// endsProperly reports an event stream that a drain has ended: the user
// connects again and goes on from the last event.
func (t *turn) endsProperly() bool {
	return t.streams && t.chunked() && t.wasEnded()
}

// chunked reports that the user gets the body in chunks.
func (t *turn) chunked() bool { return t.res.Length < 0 && t.req.Minor > 0 && !t.req.Head }

// sendReply returns nil once the last byte of the answer is the kernel's.
func (t *turn) sendReply(how *outcome) error {
	if t.res.Length < 0 && t.req.Minor == 0 && !t.req.Head {
		*how = over // the end of the connection is the end of the body
	}
	t.begun = true
	t.out = t.appendReply(t.out[:0], *how == over)
	switch {
	case t.req.Head || t.res.Length == 0:
		t.sending()
		t.account.out = int64(len(t.out))
		if _, err := t.conn.Write(t.out); err != nil {
			return err
		}
		if t.ansHave == t.ansHead && !t.res.Close {
			t.release()
		}
		return nil
	case t.res.Length > 0:
		return t.copyLength()
	case t.res.Length == h1.LengthChunked:
		return t.copyChunked()
	default:
		return t.copyUntilClose()
	}
}

// appendReply writes the head of the answer for the user.
func (t *turn) appendReply(b []byte, last bool) []byte {
	b = t.appendStatus(b)
	chunked := t.chunked()
	changes := &t.target.site.rules.Response
	changed := !changes.Empty()
	for i := range t.res.Fields {
		f := &t.res.Fields[i]
		if changed && changes.Removes(f.Name) {
			continue
		}
		switch f.Kind { //nolint:exhaustive // all others go on as they are
		case h1.Hop, h1.Transfer, h1.UpgradeTo, h1.Noon:
			continue
		case h1.Length:
			if t.res.Length < 0 {
				continue
			}
		case h1.Trailer:
			if !chunked {
				continue
			}
		}
		b = appendField(b, f)
	}
	b = append(changes.AppendSet(b), t.endpoint.mark...)
	if t.conn.secure {
		b = append(b, t.target.site.hsts...)
	}
	if t.target.shared && t.query.issued && t.query.preview == "" {
		b = append(append(append(b, "Set-Cookie: "...), t.query.visitorCookie(t.conn.secure)...), "\r\n"...)
	}
	if chunked {
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	}
	if last {
		b = append(b, "Connection: close\r\n"...)
	}
	return append(b, "\r\n"...)
}

// copyLength sends a body whose length is known.
func (t *turn) copyLength() error {
	first := t.ans.b[t.ansHead:t.ansHave]
	surplus := int64(len(first)) > t.res.Length
	if surplus {
		first = first[:t.res.Length]
	}
	t.sending()
	sent, err := t.conn.writePair(t.out, first)
	t.account.out = sent
	if err != nil {
		return err
	}
	if err := t.copyBytes(t.res.Length - int64(len(first))); err != nil {
		return err // how much came of the rest is the kernel's knowledge
	}
	t.account.out += t.res.Length - int64(len(first))
	if !surplus && !t.res.Close {
		t.release()
	}
	return nil
}

// copyBytes moves exactly left bytes from the instance to the user.
func (t *turn) copyBytes(left int64) error {
	// The kernel does not tell who of the two it waits for.
	if left >= spliceFrom && t.up.plain && t.conn.plain && t.target.site.traffic.Limits.Idle == 0 {
		return t.splice(left)
	}
	for left > 0 {
		t.awaitRest()
		n, err := t.up.Read(t.ans.room(0)[:min(left, int64(len(t.ans.room(0))))])
		if n > 0 {
			left -= int64(n)
			t.sending()
			if _, werr := t.conn.Write(t.ans.b[:n]); werr != nil {
				return werr
			}
		}
		if err != nil && left > 0 {
			return noEnd(err)
		}
	}
	return nil
}

// splice lets the kernel move the bytes.
func (t *turn) splice(left int64) error {
	user, ok := t.conn.Conn.(*net.TCPConn)
	if !ok {
		return errors.ErrUnsupported // not reached: plain says so
	}
	part := io.LimitedReader{R: t.up.Conn}
	for left > 0 {
		part.N = min(left, spliceMost)
		t.sending()
		n, err := user.ReadFrom(&part)
		left -= n
		if err != nil {
			return err
		}
		if part.N > 0 {
			return io.ErrUnexpectedEOF
		}
	}
	return nil
}

// copyChunked sends a body that comes in chunks: each as soon as it comes.
func (t *turn) copyChunked() error {
	d := &t.decoder
	d.Reset()
	at, n := t.ansHead, t.ansHave-t.ansHead
	for {
		part := t.ans.b[at : at+n]
		payload, used, done, err := d.Decode(part)
		if err != nil {
			return err
		}
		if err := t.sendPart(at+offset(part, payload), len(payload), done); err != nil {
			return err
		}
		if done {
			if used == n && !t.res.Close {
				t.release()
			}
			return nil
		}
		at = spare
		t.awaitRest()
		if n, err = t.up.Read(t.ans.room(at)); n == 0 && err != nil {
			return noEnd(err)
		}
	}
}

// copyUntilClose sends a body that ends with the instance's connection.
func (t *turn) copyUntilClose() error {
	t.decoder.Reset()
	at, n := t.ansHead, t.ansHave-t.ansHead
	for {
		if err := t.sendPart(at, n, false); err != nil {
			return err
		}
		var err error
		at = spare
		t.awaitRest()
		n, err = t.up.Read(t.ans.room(at))
		if n == 0 && errors.Is(err, io.EOF) {
			return t.sendPart(at, 0, true)
		}
		if n == 0 && err != nil {
			return err
		}
	}
}

// sendPart sends the n bytes at ans.b[at:], after what is still in out, in the
// form the user takes.
func (t *turn) sendPart(at, n int, last bool) error {
	part := t.ans.b[at : at+n]
	if t.chunked() {
		part = frameChunk(t.ans, at, n)
		if last && len(t.decoder.Trailer()) == 0 {
			part = append(part, "0\r\n\r\n"...)
		} else if last {
			t.out = append(t.out, part...)
			part = h1.AppendLastChunk(t.out[len(t.out):], t.decoder.Trailer())
		}
	}
	if len(t.out)+len(part) == 0 {
		return nil
	}
	t.sending()
	sent, err := t.conn.writePair(t.out, part)
	t.account.out += sent
	t.out = t.out[:0]
	return err
}

// noEnd makes the end of a body that has not ended an error.
func noEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}
