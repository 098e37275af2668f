package proxy

import (
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/noon-deploy/noon/internal/proxy/h1"
)

// tunnel is a connection after a switch of protocols. It holds no more than
// that needs: there may be many.
type tunnel struct {
	exchange
	user *userConn
	up   *upConn
	out  upgradedConn // to the user
	left atomic.Int32 // directions that have not ended
	once sync.Once
}

// tunnel hands both connections on to goroutines of their own: the stack of
// this one has grown by the request.
func (t *turn) tunnel() outcome {
	t.out = t.appendStatus(t.out[:0])
	for i := range t.res.Fields {
		f := &t.res.Fields[i]
		if f.Kind != h1.Hop && f.Kind != h1.UpgradeTo && f.Kind != h1.Noon {
			t.out = appendField(t.out, f)
		}
	}
	t.out = append(append(append(t.out, "Connection: Upgrade\r\nUpgrade: "...), t.res.Upgrade...), "\r\n"...)
	t.out = append(append(t.out, t.endpoint.mark...), "\r\n"...)
	t.account.answered(t.res.Status, t.proxy.cfg.Access != nil)
	t.becomeStream()
	n := t.tunnelOf()
	n.user.within(0)
	n.user.lookAt.Store(0)
	if _, err := n.user.Write(t.out); err != nil {
		n.left.Store(1)
		n.end()
		return handed
	}
	early, late := t.in.b[t.end:t.have], t.ans.b[t.ansHead:t.ansHave]
	if len(early) > 0 {
		_, _ = n.up.Write(early) // the pump finds out
	}
	if len(late) > 0 {
		_, _ = n.out.Write(late) // the same
	}
	n.left.Store(2)
	go n.pump(&n.up.wire, &n.out)
	go n.pump(&n.user.wire, n.up)
	return handed
}

// tunnelOf moves what the turn holds into a tunnel. An order to end that came
// meanwhile is seen when the exchange enters.
func (t *turn) tunnelOf() *tunnel {
	n := &tunnel{user: t.conn, up: t.up}
	n.exchange = exchange{proxy: t.proxy, endpoint: t.endpoint, target: t.target, streams: true}
	n.ender = n
	n.out = upgradedConn{Conn: t.conn.Conn, websocket: strings.EqualFold(string(t.req.Upgrade), "websocket")}
	n.proxy.active.add(1)
	e := t.endpoint
	t.conn.mu.Lock()
	t.up = nil
	t.conn.mu.Unlock()
	e.leave(&t.exchange)
	t.endpoint, t.streams = nil, false
	n.gentle = n.out.websocket
	e.enter(&n.exchange)
	return n
}

// stop implements exchange's end.
func (n *tunnel) stop() {
	n.once.Do(func() { n.out.goAway(n.cut) })
}

func (n *tunnel) cut() {
	_ = n.user.Close() // both pumps end
	_ = n.up.Close()
}

// pump moves what comes on one side to the other until its end.
func (n *tunnel) pump(from *wire, to io.Writer) {
	defer n.end()
	for {
		s, got, err := from.await()
		if err != nil {
			half, ok := to.(interface{ CloseWrite() error })
			if !errors.Is(err, io.EOF) || !ok || half.CloseWrite() != nil {
				n.cut()
			}
			return
		}
		_, err = to.Write(s.b[:got])
		from.slabs.put(s)
		if err != nil {
			n.cut()
			return
		}
	}
}

// end is called by both directions; the last one clears up.
func (n *tunnel) end() {
	if n.left.Add(-1) > 0 {
		return
	}
	n.cut()
	n.user.end()
	n.drop()
	n.proxy.active.add(-1)
}
