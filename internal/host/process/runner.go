package process

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/atomicfile"
	"github.com/noon-deploy/noon/internal/fault"
	"github.com/noon-deploy/noon/internal/host"
)

// Config says how processes are run.
type Config struct {
	Dir    string   // where the directories of processes are; made if missing
	Keeper []string // command by which KeeperMain is reached; the path absolute
	Exec   []string // command by which ExecMain is reached; the path absolute
	Log    *slog.Logger
	Faults *fault.Points
}

// Runner runs processes of this machine. Only one at a time may Watch a
// directory.
type Runner struct {
	cfg Config

	mu     sync.Mutex
	orders []string      // started since Watch last looked
	more   chan struct{} // poked with every order
}

var (
	_ host.Lives   = (*Runner)(nil)
	_ host.Remains = (*Runner)(nil)
)

// Open makes the directory.
func Open(cfg Config) (*Runner, error) {
	abs, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, err
	}
	cfg.Dir = abs
	if len(cfg.Keeper) == 0 || len(cfg.Exec) == 0 || cfg.Log == nil {
		return nil, &noon.Error{Kind: noon.Internal, Op: "open runner", Subject: cfg.Dir, Err: errors.New("the commands of keeper and instance, or the logger, are missing")}
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, &noon.Error{Kind: noon.Failure, Op: "open runner", Subject: cfg.Dir, Err: err, Hint: "noon must be able to write its data directory."}
	}
	return &Runner{cfg: cfg, more: make(chan struct{}, 1)}, nil
}

func (r *Runner) dir(id string) (dir, error) {
	if id == "" || strings.HasPrefix(id, ".") || strings.ContainsAny(id, "/\x00") || len(id) > 255 {
		return "", &noon.Error{Kind: noon.Invalid, Op: "name process", Subject: id, Err: errors.New("it is not safe as a file name"), Hint: "An ID has no slash, no leading dot and at most 255 bytes."}
	}
	return dir(filepath.Join(r.cfg.Dir, id)), nil
}

// Start implements host.Lives.
func (r *Runner) Start(_ context.Context, s host.Spec) error {
	d, err := r.dir(s.ID)
	if err != nil {
		return err
	}
	created, err := create(d, s, time.Now())
	if err != nil {
		return &noon.Error{Kind: noon.Failure, Op: "start", Subject: s.ID, Err: err, Hint: "Is the disk of noon's data directory full?"}
	}
	if !created {
		return nil
	}
	r.cfg.Faults.Point("process.ordered")
	r.mu.Lock()
	r.orders = append(r.orders, s.ID)
	r.mu.Unlock()
	select {
	case r.more <- struct{}{}:
	default:
	}
	return nil
}

// Stop implements host.Lives.
func (r *Runner) Stop(_ context.Context, id string, how noon.Stop) error {
	d, err := r.there(id)
	if err != nil {
		return err
	}
	if d.has(exitFile) {
		return nil
	}
	if !d.has(stopFile) {
		if err := d.write(stopFile, stopOrder{Signal: how.Signal, Grace: how.Grace, At: time.Now().UTC()}); err != nil {
			return &noon.Error{Kind: noon.Failure, Op: "stop", Subject: id, Err: err, Hint: "Is the disk of noon's data directory full?"}
		}
		r.cfg.Faults.Point("process.stop.written")
	}
	d.wake(controlFIFO)
	d.wake(eventsFIFO)
	return nil
}

func (r *Runner) there(id string) (dir, error) {
	d, err := r.dir(id)
	if err != nil {
		return "", err
	}
	return d, notThere(d, d.has(aboutFile))
}

// List implements host.Remains.
func (r *Runner) List(context.Context) ([]host.Status, error) {
	ids, err := r.ids()
	if err != nil {
		return nil, err
	}
	var list []host.Status
	for _, id := range ids {
		s, err := dir(filepath.Join(r.cfg.Dir, id)).status()
		if noon.KindOf(err) == noon.NotFound {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("look at process %s: %w", id, err)
		}
		list = append(list, s)
	}
	return list, nil
}

// leftOver is how old a directory is that an interrupted start or removal has
// left, and nobody is at.
const leftOver = time.Minute

// clean removes such directories.
func (r *Runner) clean() {
	entries, err := os.ReadDir(r.cfg.Dir)
	if err != nil {
		return // Watch tells
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !strings.HasPrefix(e.Name(), ".") || time.Since(info.ModTime()) < leftOver {
			continue
		}
		if err := os.RemoveAll(filepath.Join(r.cfg.Dir, e.Name())); err != nil {
			r.cfg.Log.Warn("remove what an interrupted start has left", "err", err)
		}
	}
}

func (r *Runner) ids() ([]string, error) {
	entries, err := os.ReadDir(r.cfg.Dir)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			ids = append(ids, e.Name())
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// Release implements host.Remains.
func (r *Runner) Release(_ context.Context, id string) error {
	d, err := r.there(id)
	if err != nil {
		return err
	}
	if !d.has(exitFile) {
		return &noon.Error{Kind: noon.Conflict, Op: "release", Subject: id, Err: errors.New("it has not ended")}
	}
	if !d.has(releasedFile) {
		if err := atomicfile.Write(d.path(releasedFile), nil, 0o600); err != nil {
			return err
		}
		r.cfg.Faults.Point("process.release.written")
	}
	d.wake(controlFIFO)
	d.wake(eventsFIFO)
	if err := os.Remove(d.path(specFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Remove implements host.Remains.
func (r *Runner) Remove(ctx context.Context, id string) error {
	d, err := r.dir(id)
	if err != nil || !d.has(aboutFile) {
		return err
	}
	if !d.has(releasedFile) {
		return &noon.Error{Kind: noon.Conflict, Op: "remove", Subject: id, Err: errors.New("it is not released")}
	}
	if err := keeperGone(ctx, d); err != nil {
		return &noon.Error{Kind: noon.Conflict, Op: "remove", Subject: id, Err: err, Hint: "Its keeper has not ended yet; noon tries again."}
	}
	trash := filepath.Join(r.cfg.Dir, ".old-"+id)
	if err := os.Rename(string(d), trash); err != nil {
		return err
	}
	return os.RemoveAll(trash)
}

// keeperGone waits for the end of a keeper that was told of the release.
func keeperGone(ctx context.Context, d dir) error {
	ctx, stop := context.WithTimeout(ctx, 5*time.Second)
	defer stop()
	for {
		pid, err := lockHolder(d)
		if err != nil || pid == 0 {
			return err
		}
		d.wake(controlFIFO)
		h, err := openHandle(pid)
		if err != nil {
			return err
		}
		if h == nil {
			continue
		}
		err = h.wait(ctx)
		h.close()
		if err != nil {
			return err
		}
	}
}
