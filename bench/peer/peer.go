//go:build linux

package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Setup is what a peer is to serve, and where.
type Setup struct {
	Dir      string // for its files; short, for sockets
	Address  string // where it listens
	Host     string // the one host name that it serves
	Origins  []string
	Secure   bool   // TLS, HTTP/2 too
	Cert     string // files
	Key      string
	Both     string // certificate and key in one
	Threads  int
	Bin      string // directory of the binaries that scripts/bench-peers made
	Noon     string // the binary of noon
	Routes   int    // how many noon has, beside its only one
	Isolated bool   // nobody else reaches the loopback
}

// Port is the port of the address.
func (s Setup) Port() string {
	_, port, _ := net.SplitHostPort(s.Address)
	return port
}

// Root reports whether the benchmark runs as root.
func (s Setup) Root() bool { return os.Getuid() == 0 }

// Kind is one of the proxies that are compared.
type Kind struct {
	Name string
	// command says how it is started; an error tells why it can not be.
	command func(Setup) (*exec.Cmd, error)
	// configure is called until it succeeds once the process runs.
	configure func(context.Context, Setup) error
}

// Kinds lists them, noon first.
func Kinds() []Kind {
	return []Kind{
		{"noon", noonCommand, noonConfigure},
		{"haproxy", haproxyCommand, nil},
		{"nginx", nginxCommand, nil},
		{"caddy", caddyCommand, nil},
		{"kamal-proxy", kamalCommand, kamalConfigure},
		{"traefik", traefikCommand, nil},
		{"traefik-fast", traefikFastCommand, nil},
	}
}

// find looks for a peer's binary: where scripts/bench-peers puts it, then among
// what is installed.
func find(s Setup, name string) (string, error) {
	for _, candidate := range []string{
		filepath.Join(s.Bin, name), filepath.Join(s.Bin, "debian/usr/sbin", name),
		"/usr/sbin/" + name, "/usr/local/sbin/" + name,
	} {
		if info, err := os.Stat(candidate); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return candidate, nil
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", errors.New("it is not installed: see scripts/bench-peers")
	}
	return path, nil
}

// prepare makes the command of a peer whose configuration is a template.
func prepare(s Setup, binary, template string, args ...string) (*exec.Cmd, error) {
	path, err := find(s, binary)
	if err != nil {
		return nil, err
	}
	if template != "" {
		if err := render(s, template); err != nil {
			return nil, err
		}
	}
	cmd := exec.Command(path, args...) //nolint:noctx // Running.Stop ends it, gently first
	cmd.Dir = s.Dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.Dir, "XDG_RUNTIME_DIR=" + s.Dir, "TMPDIR=" + s.Dir, fmt.Sprintf("GOMAXPROCS=%d", s.Threads)}
	if strings.HasPrefix(path, filepath.Join(s.Bin, "debian")) {
		libraries, err := filepath.Glob(filepath.Join(s.Bin, "debian/usr/lib/*-linux-gnu*"))
		if err != nil {
			return nil, err
		}
		cmd.Env = append(cmd.Env, "LD_LIBRARY_PATH="+strings.Join(libraries, ":"))
	}
	return cmd, nil
}
