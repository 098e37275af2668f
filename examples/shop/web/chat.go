package web

import (
	"context"
	"errors"
	"net/http"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
)

// message is one line of a chat.
type message struct {
	Seq  int    `json:"seq"`
	From string `json:"from"`
	Text string `json:"text"`
}

// chat is the support desk: it answers every line with what was said and the
// line's number, which is all that our support knows how to do.
func (s *Server) chat(w http.ResponseWriter, r *http.Request) {
	s.streams.Add(1)
	defer s.streams.Done()
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // Accept has answered
	}
	defer conn.CloseNow() //nolint:errcheck // it is closed already, if all went well
	conn.SetReadLimit(16 << 10)

	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	talked := make(chan error, 1)
	go func() { talked <- talk(ctx, conn) }()
	select {
	case err = <-talked:
		cancel()
	case <-s.leaving:
		// Close waits for the customer's side of the goodbye, which the
		// reader in talk sees as well.
		_ = conn.Close(websocket.StatusGoingAway, "we will be right back")
		cancel()
		err = <-talked
	}
	var closed websocket.CloseError
	if err != nil && !errors.As(err, &closed) && !s.draining.Load() {
		s.log.DebugContext(r.Context(), "chat ended", "err", err)
	}
}

func talk(ctx context.Context, conn *websocket.Conn) error {
	hello := message{From: "support", Text: "Good day! How can we help?"}
	if err := wsjson.Write(ctx, conn, hello); err != nil {
		return err
	}
	for seq := 1; ; seq++ {
		var m message
		if err := wsjson.Read(ctx, conn, &m); err != nil {
			return err
		}
		answer := message{Seq: seq, From: "support", Text: m.Text}
		if err := wsjson.Write(ctx, conn, answer); err != nil {
			return err
		}
	}
}
