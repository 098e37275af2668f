package soak_test

import (
	"context"
	"net"
	"sync"
)

// acceptAll serves every connection in a goroutine of its own and returns when
// the listener is closed and all have ended.
func acceptAll(ctx context.Context, l net.Listener, serve func(context.Context, net.Conn)) {
	var all sync.WaitGroup
	defer all.Wait()
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		all.Go(func() {
			defer conn.Close()
			defer context.AfterFunc(ctx, func() { conn.Close() })()
			serve(ctx, conn)
		})
	}
}
