// Package daemon is the composition root: it opens and wires everything, runs
// the three parts of noon (controller, host, proxy) and takes them through
// upgrades. It is the only package that sees all others.
package daemon

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/noon-deploy/noon"
)

// maxSocket is the longest path of a unix socket, less what the proxy appends
// to its own, and for sockets.sock, which is a little longer: sun_path holds 108 bytes on Linux, 104 on macOS.
const maxSocket = 90

// Paths is where a machine's noon keeps things.
type Paths struct {
	Data string // everything durable
	Run  string // sockets; "" is Data/run
}

// LedgerFile is the controller's persistence.
func (p Paths) LedgerFile() string { return filepath.Join(p.Data, "ledger.db") }

// KeyFile holds the key that secrets are sealed with.
func (p Paths) KeyFile() string { return filepath.Join(p.Data, "secret.key") }

// ReleasesDir is the store of releases.
func (p Paths) ReleasesDir() string { return filepath.Join(p.Data, "releases") }

// HostDir belongs to the host part.
func (p Paths) HostDir() string { return filepath.Join(p.Data, "host") }

// ProxyDir belongs to the proxy.
func (p Paths) ProxyDir() string { return filepath.Join(p.Data, "proxy") }

// LogDir holds the output of the parts.
func (p Paths) LogDir() string { return filepath.Join(p.Data, "log") }

// LockFile is locked by the one controller that may work on Data.
func (p Paths) LockFile() string { return filepath.Join(p.Data, "noon.lock") }

// RunDir holds the sockets.
func (p Paths) RunDir() string {
	if p.Run != "" {
		return p.Run
	}
	return filepath.Join(p.Data, "run")
}

// APISocket is where the controller listens.
func (p Paths) APISocket() string { return filepath.Join(p.RunDir(), "api.sock") }

// HostSocket is where the host part listens.
func (p Paths) HostSocket() string { return filepath.Join(p.RunDir(), "host.sock") }

// ProxySocket is where the proxy is told its routing.
func (p Paths) ProxySocket() string { return filepath.Join(p.RunDir(), "proxy.sock") }

// CertificateSocket is where the controller offers its ledger to proxies as the
// place of their certificates.
func (p Paths) CertificateSocket() string { return filepath.Join(p.RunDir(), "certs.sock") }

// HolderSocket is where the holder of the proxy's sockets is spoken to.
func (p Paths) HolderSocket() string { return filepath.Join(p.RunDir(), "sockets.sock") }

// Prepare makes the directories, readable by their owner only.
func (p Paths) Prepare() error {
	if !filepath.IsAbs(p.Data) || (p.Run != "" && !filepath.IsAbs(p.Run)) {
		return &noon.Error{Kind: noon.Invalid, Op: "use directory", Subject: p.Data, Err: errors.New("it is not an absolute path"), Hint: "Name it from the root, with --data and --run."}
	}
	if n := len(p.ProxySocket()); n > maxSocket {
		return &noon.Error{
			Kind: noon.Invalid, Op: "use socket", Subject: p.ProxySocket(),
			Err:  fmt.Errorf("its path has %d bytes; the system allows about %d", n, maxSocket),
			Hint: "Name a shorter directory for the sockets with --run or NOON_RUN, such as /run/noon.",
		}
	}
	for _, dir := range []string{p.Data, p.RunDir(), p.ReleasesDir(), p.HostDir(), p.ProxyDir(), p.LogDir()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return &noon.Error{
				Kind: noon.Invalid, Op: "make directory", Subject: dir, Err: err,
				Hint: "Name a directory that you may write to with --data or NOON_DATA.",
			}
		}
	}
	return nil
}
