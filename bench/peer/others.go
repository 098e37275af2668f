//go:build linux

package peer

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"text/template"
)

//go:embed templates
var templates embed.FS

// render writes a peer's configuration into its directory.
func render(s Setup, name string) error {
	t, err := template.ParseFS(templates, "templates/"+name)
	if err != nil {
		return fmt.Errorf("read the template of %s: %w", name, err)
	}
	f, err := os.Create(filepath.Join(s.Dir, name))
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return errors.Join(t.Execute(f, s), f.Close())
}

func haproxyCommand(s Setup) (*exec.Cmd, error) {
	return prepare(s, "haproxy", "haproxy.cfg", "-db", "-f", filepath.Join(s.Dir, "haproxy.cfg"))
}

func nginxCommand(s Setup) (*exec.Cmd, error) {
	return prepare(s, "nginx", "nginx.conf", "-e", "stderr", "-p", s.Dir, "-c", filepath.Join(s.Dir, "nginx.conf"))
}

func caddyCommand(s Setup) (*exec.Cmd, error) {
	return prepare(s, "caddy", "Caddyfile", "run", "--adapter", "caddyfile", "--config", filepath.Join(s.Dir, "Caddyfile"))
}

// traefikCommand: a traefik.yaml in its directory would be taken for the options.
func traefikCommand(s Setup) (*exec.Cmd, error) {
	return prepare(s, "traefik", "traefik-routes.yaml",
		"--entrypoints.web.address="+s.Address,
		"--providers.file.filename="+filepath.Join(s.Dir, "traefik-routes.yaml"),
		"--log.level=ERROR", "--global.checknewversion=false", "--global.sendanonymoususage=false")
}

func traefikFastCommand(s Setup) (*exec.Cmd, error) {
	cmd, err := traefikCommand(s)
	if err == nil {
		cmd.Args = append(cmd.Args, "--experimental.fastproxy")
	}
	return cmd, err
}

// kamalCommand: its access log can not be turned off. Start gives it /dev/null,
// which costs it what a log costs without a disk.
func kamalCommand(s Setup) (*exec.Cmd, error) {
	if !s.Isolated {
		return nil, errors.New("it listens on all addresses, which is done only in a network namespace of its own, and none could be made")
	}
	other, err := FreeAddress()
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(other)
	if err != nil {
		return nil, err
	}
	plain, secure := s.Port(), port
	if s.Secure {
		plain, secure = port, s.Port()
	}
	return prepare(s, "kamal-proxy", "", "run", "--http-port", plain, "--https-port", secure)
}

func kamalConfigure(ctx context.Context, s Setup) error {
	args := []string{"deploy", "bench", "--host", s.Host, "--health-check-path", "/"}
	for _, origin := range s.Origins {
		args = append(args, "--target", origin)
	}
	if s.Secure {
		args = append(args, "--tls", "--tls-certificate-path", s.Cert, "--tls-private-key-path", s.Key, "--tls-redirect=false", "--forward-headers")
	}
	made, err := prepare(s, "kamal-proxy", "", args...)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, made.Path, args...)
	cmd.Env, cmd.Dir = made.Env, made.Dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("deploy to kamal-proxy: %w: %.300s", err, out)
	}
	return nil
}

// Ports that are listened on are below those that the kernel gives to clients:
// a client's closed connection may keep its port for a minute.
const (
	firstPort = 12_000
	lastPort  = 32_000
)

// FreeAddress gives an address of the loopback that nobody listens on.
func FreeAddress() (string, error) {
	var err error
	for range 50 {
		var l net.Listener
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(firstPort+rand.IntN(lastPort-firstPort))) //nolint:gosec // any port will do
		if l, err = net.Listen("tcp", address); err == nil {                                            //nolint:noctx // it takes no time
			return address, l.Close()
		}
	}
	return "", fmt.Errorf("look for a free port: %w", err)
}
