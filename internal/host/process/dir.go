package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/atomicfile"
	"github.com/noon-deploy/noon/internal/host"
)

// dir is the directory of one process.
type dir string

func (d dir) path(name string) string { return filepath.Join(string(d), name) }

// The names in a dir.
const (
	aboutFile    = "about.json"
	specFile     = "spec.json"
	lockFile     = "keeper.lock"
	portFile     = "port"
	claimFile    = "pid.json"
	stopFile     = "stop.json"
	failureFile  = "failure.json"
	limitsFile   = "limits.json"
	exitFile     = "exit.json"
	releasedFile = "released"
	controlFIFO  = "control"
	eventsFIFO   = "events"
	outputDir    = "output"
	outputFIFO   = "output/pipe"
)

// about is what stays known of a process when its spec is gone.
type about struct {
	ID      string            `json:"id"`
	Labels  map[string]string `json:"labels"`
	Ordered time.Time         `json:"ordered"`
}

// stopOrder is an order to stop.
type stopOrder struct {
	Signal string        `json:"signal"`
	Grace  time.Duration `json:"grace"`
	At     time.Time     `json:"at"`
}

// ending is how a process ended, or why it was not started.
type ending struct {
	Exit    noon.Exit   `json:"exit"`
	Problem *noon.Error `json:"problem,omitempty"`
}

// limits tells the child which limits the keeper has prepared for it.
type limits struct {
	Join      []string `json:"join,omitempty"`      // cgroup.procs files to join
	Processes bool     `json:"processes,omitempty"` // the number of processes is bounded by a cgroup
}

// create makes the directory of a process appear whole. It reports false if
// there is one already.
func create(d dir, spec host.Spec, now time.Time) (bool, error) {
	if d.has(aboutFile) {
		return false, nil
	}
	parent := filepath.Dir(string(d))
	tmp, err := os.MkdirTemp(parent, ".new-*")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(tmp) // a no-op once it was renamed
	t := dir(tmp)
	if err := t.fill(spec, now); err != nil {
		return false, err
	}
	err = os.Rename(tmp, string(d))
	if errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, atomicfile.SyncDir(parent)
}

func (d dir) fill(spec host.Spec, now time.Time) error {
	if err := os.Mkdir(d.path(outputDir), 0o700); err != nil {
		return err
	}
	for _, name := range []string{controlFIFO, eventsFIFO, outputFIFO} {
		if err := syscall.Mkfifo(d.path(name), 0o600); err != nil {
			return fmt.Errorf("make fifo %s: %w", name, err)
		}
	}
	if err := d.write(specFile, spec); err != nil {
		return err
	}
	return d.write(aboutFile, about{ID: spec.ID, Labels: spec.Labels, Ordered: now.UTC()})
}

func (d dir) has(name string) bool {
	_, err := os.Lstat(d.path(name))
	return err == nil
}

// write stores a record durably.
func (d dir) write(name string, record any) error {
	data, err := json.Marshal(record)
	if err != nil {
		return err
	}
	return atomicfile.Write(d.path(name), data, 0o600)
}

// read gives false if there is no such record.
func (d dir) read(name string, record any) (bool, error) {
	data, err := os.ReadFile(d.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := json.Unmarshal(data, record); err != nil {
		return false, fmt.Errorf("read %s: %w", d.path(name), err)
	}
	return true, nil
}

// gaveUp reports whether the child has written why it can not become the
// process.
func (d dir) gaveUp() bool {
	info, err := os.Stat(d.path(failureFile))
	return err == nil && info.Size() > 0
}

func (d dir) port() int {
	data, err := os.ReadFile(d.path(portFile))
	if err != nil {
		return 0
	}
	port, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return 0
	}
	return port
}

// status reads everything that is known of a process.
func (d dir) status() (host.Status, error) {
	var a about
	if ok, err := d.read(aboutFile, &a); err != nil || !ok {
		return host.Status{}, errors.Join(err, notThere(d, ok))
	}
	s := host.Status{ID: a.ID, Labels: a.Labels, Ordered: a.Ordered, Step: host.Ordered, Port: d.port()}
	s.Stopping, s.Released = d.has(stopFile), d.has(releasedFile)
	var end ending
	ended, err := d.read(exitFile, &end)
	if err != nil {
		return s, err
	}
	c, err := readClaim(d)
	if err != nil {
		return s, err
	}
	switch {
	case ended:
		s.Step, s.Exit, s.Problem = host.Ended, &end.Exit, end.Problem
	case c != nil && c.alive():
		if became(c.PID, d) && !d.gaveUp() { // in this order: one that gives up says so before it ends
			s.Step = host.Running
		}
	case c != nil:
		s.Step = host.Ending
	}
	if c != nil {
		s.PID, s.Started = c.PID, c.At
	}
	return s, nil
}

func notThere(d dir, ok bool) error {
	if ok {
		return nil
	}
	return &noon.Error{Kind: noon.NotFound, Op: "look at process", Subject: filepath.Base(string(d)), Err: errors.New("there is none of that ID")}
}

// wake pokes whoever reads a FIFO. Nobody there, or enough poked already, is
// fine: a reader looks at the files when it comes.
func (d dir) wake(fifo string) {
	f, err := os.OpenFile(d.path(fifo), os.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return
	}
	defer f.Close()
	raw, err := f.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Write(func(fd uintptr) bool {
		_, _ = syscall.Write(int(fd), []byte{1})
		return true
	})
}

// openWake opens a FIFO to be poked through. Reading and writing, so that it
// neither waits for the other side nor ends with it.
func (d dir) openWake(fifo string) (*os.File, error) {
	return os.OpenFile(d.path(fifo), os.O_RDWR|syscall.O_NONBLOCK, 0)
}
