//go:build !linux

package daemon

import (
	"context"
	"errors"

	"github.com/noon-deploy/noon"
)

// peer needs Linux, as all hosts do.
func peer(_ context.Context, socket string) (int, error) {
	return 0, &noon.Error{Kind: noon.Invalid, Op: "find the process behind", Subject: socket, Err: errors.New("hosts are Linux")}
}
