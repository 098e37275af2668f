package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/api"
	"github.com/noon-deploy/noon/internal/cli"
)

// terminal opens a pseudo-terminal: what is written to tty is read from the
// returned function when everything has been written.
func terminal(t *testing.T, columns uint16, see func(all string)) (tty *os.File, written func() string) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	control := os.NewFile(uintptr(fd), "ptmx")
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}); err != nil {
		t.Fatal(err)
	}
	var all bytes.Buffer
	var reading sync.WaitGroup
	reading.Go(func() {
		data := make([]byte, 4096)
		for {
			n, err := control.Read(data)
			all.Write(data[:n])
			see(all.String())
			if err != nil {
				return // EIO: the last writer has closed it
			}
		}
	})
	return tty, func() string {
		_ = tty.Close()
		reading.Wait()
		_ = control.Close()
		return strings.ReplaceAll(all.String(), "\r\n", "\n")
	}
}

// The first interrupt on a terminal tells that the deployment goes on, gives
// the cursor back, and the watching goes on too.
func TestInterruptOnATerminal(t *testing.T) {
	t.Parallel()
	socket := shortDir(t) + "/api.sock"
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	told := make(chan struct{})
	var once sync.Once
	defer listen(t, socket, walking(t, func(_ context.Context, _ int32, see func(api.DeploymentView) error) error {
		staged := at(t, noon.Staged, noon.Walking)
		staged.Waiting = "instances of r2 to be ready"
		if err := see(staged); err != nil {
			return err
		}
		<-told
		return see(at(t, noon.Switched, noon.Warm))
	}))()
	tty, written := terminal(t, 60, func(all string) {
		if strings.Contains(all, "waiting for") {
			interrupt()
		}
		if strings.Contains(all, "Once more to leave.") {
			once.Do(func() { close(told) })
		}
	})
	p, end := process(socket, "deploy", "r2", "--app=shop", "-e=staging", "--yes")
	p.Stdout = tty
	r := end(cli.Run(ctx, p, cli.Parts{}))
	text := written()
	if r.code != 0 || r.stderr != "" {
		t.Errorf("exit code %d, stderr %q", r.code, r.stderr)
	}
	hidden, shown := strings.Index(text, "\x1b[?25l"), strings.Index(text, "\x1b[?25h")
	note, ended := strings.Index(text, "the deployment goes on"), strings.LastIndex(text, "d7 \x1b[32msucceeded")
	if hidden < 0 || shown < hidden || note < shown || ended < note || strings.Count(text, "\x1b[?25l") != 1 {
		t.Errorf("cursor hidden at %d, shown at %d, note at %d, end at %d in %q", hidden, shown, note, ended, text)
	}
	if !strings.Contains(text, "S4 staged") || !strings.Contains(text, "…") {
		t.Errorf("no frame of 60 columns in %q", text)
	}
}

func TestNoColorOnATerminal(t *testing.T) {
	t.Parallel()
	socket := shortDir(t) + "/api.sock"
	t.Cleanup(listen(t, socket, answering(t)))
	for name, c := range map[string]struct {
		env  map[string]string
		args []string
		want bool
	}{
		"plain":    {want: true},
		"NO_COLOR": {env: map[string]string{"NO_COLOR": "1"}},
		"empty":    {env: map[string]string{"NO_COLOR": ""}, want: true},
		"flag":     {args: []string{"--no-color"}},
		"dumb":     {env: map[string]string{"TERM": "dumb"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tty, written := terminal(t, 80, func(string) {})
			p, end := process(socket, append([]string{"status"}, c.args...)...)
			p.Stdout = tty
			getenv := p.Getenv
			p.Getenv = func(name string) string {
				if v, ok := c.env[name]; ok {
					return v
				}
				return getenv(name)
			}
			r := end(cli.Run(t.Context(), p, cli.Parts{}))
			if text := written(); r.code != 0 || strings.Contains(text, "\x1b[") != c.want {
				t.Errorf("exit code %d, colours wanted: %t, got %q", r.code, c.want, text)
			}
		})
	}
}
