package process

import (
	"errors"
	"os"
	"os/user"
	"runtime"
	"strconv"
	"syscall"

	"github.com/noon-deploy/noon"
)

// account is the user a process runs as.
type account struct {
	change   bool
	uid, gid int
	groups   []int
	home     string
}

// lookUp gives the account of a user name, that of this process for "".
func lookUp(name string) (account, error) {
	if name == "" {
		return account{}, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return account{}, &noon.Error{
			Kind: noon.Invalid, Op: "become user", Subject: name, Err: err,
			Hint: "Create the user on this machine, or change the service's user in noon.yaml.",
		}
	}
	uid, uerr := strconv.Atoi(u.Uid)
	gid, gerr := strconv.Atoi(u.Gid)
	ids, err := u.GroupIds()
	if err := errors.Join(uerr, gerr, err); err != nil {
		return account{}, err
	}
	a := account{change: uid != os.Getuid(), uid: uid, gid: gid, home: u.HomeDir}
	for _, id := range ids {
		if g, err := strconv.Atoi(id); err == nil {
			a.groups = append(a.groups, g)
		}
	}
	if a.change && os.Getuid() != 0 {
		return account{}, &noon.Error{
			Kind: noon.Invalid, Op: "become user", Subject: name, Err: syscall.EPERM,
			Hint: "Only root can start services as another user. Run noon serve as root, or leave the service's user out.",
		}
	}
	return a, nil
}

// own lets the account open a file again, as programs do with /dev/stdout.
func (a account) own(path string) error {
	if !a.change {
		return nil
	}
	return os.Chown(path, a.uid, a.gid)
}

// become changes this process.
func (a account) become(subject string) error {
	if !a.change {
		return nil
	}
	err := syscall.Setgroups(a.groups)
	if err == nil {
		err = syscall.Setgid(a.gid)
	}
	if err == nil {
		err = syscall.Setuid(a.uid)
	}
	if err != nil {
		return &noon.Error{Kind: noon.Failure, Op: "become user for", Subject: subject, Err: err, Hint: "The machine does not let noon change the user; a container without the capability does so."}
	}
	return nil
}

func machine() string { return runtime.GOOS + "/" + runtime.GOARCH }
