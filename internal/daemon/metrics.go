package daemon

import (
	"context"
	"errors"
	"net"
	"net/netip"

	"github.com/noon-deploy/noon"
)

// listenMetrics binds the address for Prometheus; nil if there is none. It is
// of this machine only: what is told there names apps, paths and releases, and
// nobody is asked who he is.
func listenMetrics(ctx context.Context, address string) (net.Listener, error) {
	if address == "" {
		return nil, nil //nolint:nilnil // none was asked for
	}
	problem := func(kind noon.ErrorKind, err error) error {
		return &noon.Error{
			Kind: kind, Op: "serve metrics on", Subject: address, Err: err,
			Hint: "Give an address of this machine only, for example --metrics 127.0.0.1:9180.",
		}
	}
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, problem(noon.Invalid, err)
	}
	if !at.Addr().IsLoopback() {
		return nil, problem(noon.Invalid, errors.New("others could reach it"))
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, problem(noon.Unavailable, err)
	}
	return l, nil
}
