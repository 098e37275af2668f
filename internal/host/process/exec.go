package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/fault"
	"github.com/noon-deploy/noon/internal/host"
)

// readyFD is the end of the pipe by which the keeper learns that this child
// became the process: exec closes it.
const readyFD = 3

// ExecMain becomes the instance: args is its directory. It returns only if it
// can not.
func ExecMain(args []string) int {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if len(args) != 1 {
		log.Error("wants a directory")
		return 2
	}
	syscall.CloseOnExec(readyFD)
	d := dir(args[0])
	faults, err := fault.FromEnv()
	if err != nil {
		log.Error("faults of the environment", "err", err)
		return 2
	}
	if err := claimSelf(d, faults); err != nil {
		log.Error("claim the process", "err", err)
		return 125
	}
	// Opened now: the user of the service may not write here.
	failure, err := os.OpenFile(d.path(failureFile), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		log.Error("open record of failure", "err", err)
		return 125
	}
	e := become(d, faults)
	log.Error("start", "err", e)
	data, err := json.Marshal(noon.AsError(e))
	if err == nil {
		_, err = failure.Write(data)
	}
	if err == nil {
		err = failure.Sync()
	}
	if err != nil {
		log.Error("record failure", "err", err)
	}
	return 126
}

// claimSelf makes this child the one that was started.
func claimSelf(d dir, faults *fault.Points) error {
	start, err := startTime(os.Getpid())
	if err != nil {
		return err
	}
	faults.Point("exec.claim.before")
	won, err := stake(d, claim{PID: os.Getpid(), Start: start, Boot: bootID(), At: time.Now().UTC()})
	if err == nil && !won {
		err = errors.New("another child was first")
	}
	faults.Point("exec.claim.after")
	return err
}

// become turns this child into the process. Its pid and start time stay.
func become(d dir, faults *fault.Points) error {
	var s host.Spec
	if ok, err := d.read(specFile, &s); err != nil || !ok {
		return errors.Join(err, notThere(d, ok))
	}
	var l limits
	if _, err := d.read(limitsFile, &l); err != nil {
		return err
	}
	who, err := lookUp(s.User)
	if err != nil {
		return err
	}
	if err := redirect(d, who); err != nil {
		return fmt.Errorf("open output: %w", err)
	}
	if err := applyLimits(s, l); err != nil {
		return err
	}
	if err := who.become(s.ID); err != nil {
		return err
	}
	where := filepath.Join(s.Root, s.Dir)
	if err := os.Chdir(where); err != nil {
		return &noon.Error{
			Kind: noon.Invalid, Op: "enter directory", Subject: where, Err: err,
			Hint: "The service's dir must be a directory inside the release that its user may enter.",
		}
	}
	env := environment(s, who, d.port())
	path, err := find(s, env)
	if err != nil {
		return err
	}
	faults.Point("exec.before")
	return cannotExec(s, path, execRetrying(path, s.Command, env))
}

// redirect makes the FIFO fd 1 and 2, open for reading too: without a keeper
// writing does not fail.
func redirect(d dir, who account) error {
	if err := who.own(d.path(outputFIFO)); err != nil {
		return err
	}
	f, err := os.OpenFile(d.path(outputFIFO), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, fd := range []int{1, 2} {
		if err := dup(int(f.Fd()), fd); err != nil {
			return err
		}
	}
	return nil
}

// environment is the whole environment of the process.
func environment(s host.Spec, who account, port int) []string {
	env := make(map[string]string, len(s.Env)+4)
	if who.home != "" {
		env["HOME"], env["USER"], env["LOGNAME"] = who.home, s.User, s.User
	}
	for name, value := range s.Env {
		if name != "HOME" || who.home == "" {
			env[name] = value
		}
	}
	if port != 0 {
		env["HOST"], env["PORT"] = "127.0.0.1", strconv.Itoa(port)
	}
	list := make([]string, 0, len(env))
	for name, value := range env {
		list = append(list, name+"="+value)
	}
	slices.Sort(list)
	return list
}

// find gives the file of the command: inside the release, or in the PATH the
// process itself has.
func find(s host.Spec, env []string) (string, error) {
	if len(s.Command) == 0 {
		return "", &noon.Error{Kind: noon.Invalid, Op: "start", Subject: s.ID, Err: errors.New("its command is empty"), Hint: "Give the service a command in noon.yaml."}
	}
	name := s.Command[0]
	if strings.Contains(name, "/") {
		if !filepath.IsAbs(name) {
			name = filepath.Join(s.Root, name)
		}
		return name, nil
	}
	for _, pair := range env {
		path, ok := strings.CutPrefix(pair, "PATH=")
		if !ok {
			continue
		}
		for _, where := range filepath.SplitList(path) {
			if file := filepath.Join(where, name); filepath.IsAbs(file) && executable(file) {
				return file, nil
			}
		}
	}
	return "", &noon.Error{
		Kind: noon.Invalid, Op: "start", Subject: name, Err: exec.ErrNotFound,
		Hint: "It is in no directory of PATH on this machine. Install it, or put it into the release and write ./" + name + ".",
	}
}

func executable(file string) bool {
	info, err := os.Stat(file)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// execRetrying waits for a file that is open for writing: a fork of another
// process may hold a descriptor of it for the moment until its exec.
func execRetrying(path string, argv, env []string) error {
	for wait := time.Millisecond; ; wait *= 2 {
		err := syscall.Exec(path, argv, env) //nolint:gosec // running the release's command is what noon is for
		if !errors.Is(err, syscall.ETXTBSY) || wait > time.Second {
			return err
		}
		time.Sleep(wait)
	}
}

// cannotExec says what is wrong with a command in words that help.
func cannotExec(s host.Spec, path string, err error) error {
	e := &noon.Error{Kind: noon.Invalid, Op: "start", Subject: s.Command[0], Err: err}
	_, missing := os.Stat(path)
	switch {
	case errors.Is(missing, fs.ErrNotExist):
		e.Hint = "There is no such file in the release. Is it in build.files of noon.yaml, and does the build make it?"
	case errors.Is(err, fs.ErrNotExist):
		e.Hint = "The file is there, but what runs it is not: the interpreter its first line names, or the dynamic loader it was linked for."
	case errors.Is(err, fs.ErrPermission):
		e.Hint = "The file is not executable for the user of the service. Make it so in the repository: git update-index --chmod=+x " + s.Command[0] + "."
	case errors.Is(err, syscall.ENOEXEC):
		e.Hint = "It is not a program of this machine: a script needs a first line such as #!/bin/sh, a binary must be built for " + machine() + "."
	default:
		e.Hint = "The kernel refused to run it."
	}
	return e
}
