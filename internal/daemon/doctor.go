package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/api"
)

// What a machine should have.
const (
	enoughDisk  = 2 << 30 // bytes
	enoughFiles = 4096    // open files
)

// Doctor looks at this machine without needing a controller: what is wrong and
// how to mend it.
func Doctor(ctx context.Context, opts Options) []api.Finding {
	return []api.Finding{
		system(),
		directory(opts.Paths),
		socketsDir(opts.Paths),
		disk(opts.Paths),
		openFiles(),
		git(ctx),
		limits(),
		clock(),
	}
}

// Doctor adds to that what only a running controller knows.
func (c *Controller) Doctor(ctx context.Context) ([]api.Finding, error) {
	list := Doctor(ctx, c.opts)
	health, err := c.Health(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"host", "proxy"} {
		version := health.Parts[name]
		f := api.Finding{Subject: name + " part", OK: version == c.opts.Version, Detail: version}
		if !f.OK {
			f.Hint = "`noon upgrade` brings every part to one version; the log is in " + c.opts.Paths.LogDir() + "."
		}
		if why := c.partDown(name); why != nil {
			f.Detail = why.Error()
			f.Hint = "It is started again until it answers: mend what it says. Its log is in " + c.opts.Paths.LogDir() + "."
		}
		list = append(list, f)
	}
	list = append(list, c.holderFinding(ctx))
	for _, addr := range health.Addresses {
		list = append(list, answers(ctx, addr))
	}
	return list, nil
}

func finding(subject, good string, err error, hint string) api.Finding {
	if err != nil {
		return api.Finding{Subject: subject, Detail: err.Error(), Hint: hint}
	}
	return api.Finding{Subject: subject, OK: true, Detail: good}
}

func system() api.Finding {
	var u unix.Utsname
	var err error
	if runtime.GOOS != "linux" {
		err = fmt.Errorf("this is %s", runtime.GOOS)
	} else {
		err = unix.Uname(&u)
	}
	return finding("system", runtime.GOOS+"/"+runtime.GOARCH+" "+unix.ByteSliceToString(u.Release[:]), err,
		"Hosts are Linux. From here, noon can build releases and speak to a controller elsewhere with --socket.")
}

func directory(p Paths) api.Finding {
	err := os.MkdirAll(p.Data, 0o700)
	if err == nil {
		var f *os.File
		if f, err = os.CreateTemp(p.Data, ".doctor-*"); err == nil {
			err = errors.Join(f.Sync(), f.Close(), os.Remove(f.Name()))
		}
	}
	return finding("data directory", p.Data+" can be written", err, "Name another with --data or NOON_DATA, or give this user the right to write to it.")
}

func socketsDir(p Paths) api.Finding {
	err := p.Prepare()
	return finding("sockets", p.RunDir(), err, noon.HintOf(err))
}

func disk(p Paths) api.Finding {
	var st syscall.Statfs_t
	err := syscall.Statfs(p.Data, &st)
	free := uint64(st.Bsize) * st.Bavail //nolint:gosec // a block size is positive
	if err == nil && free < enoughDisk {
		err = fmt.Errorf("%d MiB are free", free>>20)
	}
	return finding("disk", fmt.Sprintf("%d GiB are free", free>>30), err, "Free space on the disk of the data directory, or lower `keep` in noon.yaml; each kept release takes its size.")
}

func openFiles() api.Finding {
	var r syscall.Rlimit
	err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r)
	if err == nil && r.Max < enoughFiles {
		err = fmt.Errorf("a process may open %d files", r.Max)
	}
	return finding("open files", fmt.Sprintf("a process may open %d", r.Max), err, fmt.Sprintf("Raise the limit to at least %d (`ulimit -n`, LimitNOFILE=): each customer takes two.", enoughFiles))
}

func git(ctx context.Context) api.Finding {
	out, err := exec.CommandContext(ctx, "git", "--version").Output()
	return finding("git", string(trimNewline(out)), err, "Install git: releases are built from commits. A machine that only runs them does not need it.")
}

func trimNewline(b []byte) []byte {
	for len(b) > 0 && b[len(b)-1] == '\n' {
		b = b[:len(b)-1]
	}
	return b
}

// limits tells whether memory and CPU limits of instances can be applied.
func limits() api.Finding {
	err := unix.Access("/sys/fs/cgroup/cgroup.procs", unix.W_OK)
	f := finding("limits", "memory and CPU limits can be applied", err, "")
	if err != nil {
		f.OK = true
		f.Detail = "memory and CPU limits can not be applied here (cgroups can not be written); open files and processes can"
	}
	return f
}

// clock looks for a clock that is plainly wrong: certificates, schedules and
// time windows depend on it.
func clock() api.Finding {
	var err error
	now := time.Now()
	if now.Year() < 2025 || now.Year() > 2100 {
		err = fmt.Errorf("it is %s", now.Format(time.RFC3339))
	}
	return finding("clock", now.Format(time.RFC3339), err, "Set the clock, or have it set by NTP.")
}

func answers(ctx context.Context, addr string) api.Finding {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", addr)
	if err == nil {
		conn.Close()
	}
	return finding("proxy on "+addr, "accepts connections", err, "See that nothing between (a firewall) is in the way.")
}
