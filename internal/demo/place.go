package demo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/noon-deploy/noon"
)

// place is where a demo happens: one directory that holds everything.
type place struct {
	dir     string
	address string // of the proxy, for customers
}

// maxDir is the longest directory in which sockets can be: their paths have
// about a hundred bytes.
const maxDir = 70

// needed refuses a machine on which the demo can not work.
func needed() error {
	if runtime.GOOS != "linux" {
		return &noon.Error{
			Kind: noon.Invalid, Op: "play the demo", Err: fmt.Errorf("hosts are Linux machines, this one is %s", runtime.GOOS),
			Hint: "Play it on a Linux machine or in a container: it needs no root, only Go and git.",
		}
	}
	for _, tool := range []string{"go", "git"} {
		if _, err := exec.LookPath(tool); err != nil {
			return &noon.Error{
				Kind: noon.Invalid, Op: "play the demo", Err: err,
				Hint: "The demo builds releases of a small shop: it needs Go (https://go.dev/dl) and git in PATH.",
			}
		}
	}
	return nil
}

func newPlace() (place, error) {
	parent := os.TempDir()
	if len(parent) > maxDir-len("/noon-demo-1234567890") {
		parent = "/tmp"
	}
	dir, err := os.MkdirTemp(parent, "noon-demo-")
	if err != nil {
		return place{}, &noon.Error{Kind: noon.Invalid, Op: "make a directory for the demo", Err: err, Hint: "Name a directory that you may write to with TMPDIR."}
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return place{}, fmt.Errorf("make a directory for the demo: %w", err)
	}
	p := place{dir: dir}
	if err := os.Mkdir(p.source(), 0o755); err != nil {
		return p, fmt.Errorf("make a directory for the shop: %w", err)
	}
	if p.address, err = freeAddress(); err != nil {
		return p, errors.Join(err, p.remove())
	}
	return p, nil
}

// freeAddress finds a port that nobody listens on.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it does not wait
	if err != nil {
		return "", &noon.Error{Kind: noon.Invalid, Op: "find a free port", Err: err, Hint: "The demo needs 127.0.0.1."}
	}
	return l.Addr().String(), l.Close()
}

func (p place) file(name string) string   { return filepath.Join(p.dir, name) }
func (p place) source() string            { return p.file("shop") }
func (p place) data() string              { return p.file("data") }
func (p place) run() string               { return p.file("run") }
func (p place) shopData() string          { return p.file("shop-data") }
func (p place) shopFile() string          { return filepath.Join(p.shopData(), "shop.db") }
func (p place) base() string              { return "http://" + p.address }
func (p place) socket(name string) string { return filepath.Join(p.run(), name+".sock") }

func (p place) serveArgs() []string {
	return []string{"serve", "--data", p.data(), "--run", p.run(), "--listen", p.address}
}

// environ is the user's environment without what is meant for another noon.
// What noon caches for builds goes into the directory; what Go has cached
// already is found.
func (p place) environ(ctx context.Context, user []string) ([]string, error) {
	var env []string
	for _, v := range user {
		name, _, _ := strings.Cut(v, "=")
		switch {
		case strings.HasPrefix(name, "NOON_"), name == "XDG_CACHE_HOME", name == "GOCACHE", name == "GOMODCACHE", name == "GIT_DIR", name == "GIT_WORK_TREE":
		default:
			env = append(env, v)
		}
	}
	for _, name := range []string{"GOCACHE", "GOMODCACHE"} {
		cmd := exec.CommandContext(ctx, "go", "env", name)
		cmd.Env, cmd.Dir = user, p.dir
		out, err := cmd.Output()
		if err != nil {
			return nil, &noon.Error{Kind: noon.Invalid, Op: "ask Go for", Subject: name, Err: err, Hint: "`go env` must work: see that HOME is set."}
		}
		env = append(env, name+"="+strings.TrimSpace(string(out)))
	}
	return append(env, "XDG_CACHE_HOME="+p.file("cache"), "NOON_DATA="+p.data(), "NOON_RUN="+p.run(),
		"NOON_ENV=production", "NOON_USER=the demo"), nil
}

// remove removes the directory, whose releases are read-only.
func (p place) remove() error {
	err := filepath.WalkDir(p.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = os.Chmod(path, 0o700) //nolint:gosec // it is removed
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the demo's directory: %w", err)
	}
	if err := os.RemoveAll(p.dir); err != nil {
		return fmt.Errorf("remove the demo's directory: %w", err)
	}
	return nil
}
