package sockets

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/noon-deploy/noon"
)

// accept answers callers until ctx ends.
func (h *holder) accept(ctx context.Context) {
	defer context.AfterFunc(ctx, func() { _ = h.control.Close() })()
	if h.reply != nil {
		h.wg.Go(func() { h.serve(ctx, h.reply, h.answerStatus) })
	}
	for {
		conn, err := h.control.AcceptUnix()
		switch {
		case err == nil:
			h.wg.Go(func() { h.serve(ctx, conn, h.answer) })
		case ctx.Err() != nil || errors.Is(err, net.ErrClosed):
			return
		default: // out of descriptors, say
			h.log.Error("call can not be taken", "err", err)
			h.sleep(ctx, askAgain)
		}
	}
}

// serve has one call answered. Its caller being gone is the caller's matter.
func (h *holder) serve(ctx context.Context, conn *net.UnixConn, answer func(context.Context, *net.UnixConn) error) {
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if err := answer(ctx, conn); err != nil && ctx.Err() == nil {
		h.log.Debug("call ended", "err", err)
	}
}

func (h *holder) answer(ctx context.Context, conn *net.UnixConn) error {
	if err := conn.SetReadDeadline(time.Now().Add(callLimit)); err != nil {
		return err
	}
	var c call
	fds, err := receive(conn, &c)
	if err != nil {
		return err
	}
	switch c.Say {
	case sayCandidate, sayServing:
		pid, err := peerOf(conn)
		if err != nil {
			closeAll(fds)
			return err
		}
		return send(conn, answerOf(Status{}, h.register(pid, c, fds)), nil)
	}
	closeAll(fds)
	switch c.Say {
	case sayStatus:
		return h.answerStatus(ctx, conn)
	case sayWatch:
		return h.answerWatch(ctx, conn)
	case sayBecome:
		return send(conn, answerOf(Status{}, h.become(c.Command.Argv, conn)), nil)
	}
	return send(conn, answerOf(Status{}, &noon.Error{
		Kind: noon.Invalid, Op: "answer", Subject: c.Say, Err: errors.New("this holder does not know the call"), Hint: "It may be of another version; upgrade it.",
	}), nil)
}

func answerOf(s Status, err error) answer {
	if err != nil {
		return answer{Error: noon.AsError(err)}
	}
	return answer{Status: s}
}

// answerStatus waits until there are sockets: a holder that can not have them
// ends instead.
func (h *holder) answerStatus(ctx context.Context, conn *net.UnixConn) error {
	select {
	case <-h.settled:
	case <-ctx.Done():
		return nil
	}
	st, _ := h.status()
	return send(conn, answerOf(st, nil), nil)
}

// answerWatch tells of changes until the caller has enough.
func (h *holder) answerWatch(ctx context.Context, conn *net.UnixConn) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := conn.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	h.wg.Go(func() {
		defer cancel()
		_, _ = conn.Read(make([]byte, 1)) // its end is all that comes
	})
	for {
		st, changed := h.status()
		if err := conn.SetWriteDeadline(time.Now().Add(callLimit)); err != nil {
			return err
		}
		if err := send(conn, answerOf(st, nil), nil); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}
