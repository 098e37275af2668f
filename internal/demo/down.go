package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/noon-deploy/noon"
)

// takeDown ends everything with `noon down`, as a user would, and looks that
// nothing is left. What is taken down already is no error.
func (d *demo) takeDown(ctx context.Context) error {
	if d.serve.over == nil {
		return nil
	}
	if !d.serve.gone() {
		if err := d.down(ctx); err != nil {
			return errors.Join(err, d.endAll(ctx))
		}
	}
	if err := d.nothingLeft(ctx); err != nil {
		return errors.Join(err, d.endAll(ctx))
	}
	return nil
}

func (d *demo) down(ctx context.Context) error {
	if _, err := d.healthy(ctx); err != nil {
		return err
	}
	d.serve.mayEnd()
	if err := d.noon.must(ctx, "", nil, "down", "--yes"); err != nil {
		return err
	}
	return d.serve.wait(ctx)
}

// leftLimit bounds the wait for the last process to be gone: what has ended is
// seen a moment later.
const leftLimit = 15 * time.Second

// nothingLeft waits until no process, socket or port of the demo is left.
func (d *demo) nothingLeft(ctx context.Context) error {
	var left []string
	err := await(ctx, "everything to have ended", leftLimit, func(ctx context.Context) (bool, error) {
		left = nil
		for _, p := range processesOf(d.place.dir) {
			left = append(left, fmt.Sprintf("process %d (%s)", p.pid, p.command))
		}
		for _, name := range []string{"api", "host", "proxy"} {
			if listening(ctx, "unix", d.place.socket(name)) {
				left = append(left, "socket "+d.place.socket(name))
			}
		}
		if listening(ctx, "tcp", d.place.address) {
			left = append(left, "port "+d.place.address)
		}
		return len(left) == 0, nil
	})
	if err != nil && len(left) > 0 {
		return &noon.Error{Kind: noon.Failure, Op: "take the demo down", Err: fmt.Errorf("there is left: %s", strings.Join(left, ", "))}
	}
	return err
}

func listening(ctx context.Context, network, address string) bool {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// endAll ends every process of the demo by force: what is left when noon could
// not do it. They are known by the demo's directory in their command line,
// environment or working directory.
func (d *demo) endAll(ctx context.Context) error {
	d.serve.mayEnd()
	err := await(ctx, "the demo's processes to be gone", leftLimit, func(context.Context) (bool, error) {
		left := processesOf(d.place.dir)
		for _, p := range left {
			_ = syscall.Kill(p.pid, syscall.SIGKILL) // it may be gone by now
		}
		return len(left) == 0, nil
	})
	if err != nil {
		return err
	}
	return d.serve.wait(ctx)
}

// process is one that belongs to the demo.
type process struct {
	pid     int
	command string
}

// processesOf finds the processes that have to do with a directory, but for
// this one.
func processesOf(dir string) []process {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var found []process
	for _, e := range entries {
		var pid int
		if _, err := fmt.Sscanf(e.Name(), "%d", &pid); err != nil || pid == os.Getpid() {
			continue
		}
		base := "/proc/" + e.Name()
		if zombie(base) {
			continue
		}
		command := read(base + "/cmdline")
		cwd, err := os.Readlink(base + "/cwd")
		if strings.Contains(command, dir) || strings.Contains(read(base+"/environ"), dir) || err == nil && strings.HasPrefix(cwd, dir) {
			found = append(found, process{pid: pid, command: strings.ReplaceAll(strings.TrimRight(command, "\x00"), "\x00", " ")})
		}
	}
	return found
}

// read reads a file of /proc; of processes that are gone or another user's it
// is empty.
func read(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(data)
}

// zombie reports a process that has ended and waits for its parent to notice.
func zombie(base string) bool {
	_, rest, ok := strings.Cut(read(base+"/stat"), ") ")
	return !ok || strings.HasPrefix(rest, "Z") || strings.HasPrefix(rest, "X")
}
