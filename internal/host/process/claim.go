package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/noon-deploy/noon/internal/atomicfile"
)

// claim names the one process that was started for a directory. A pid alone
// names nobody: pids are used again, and after a reboot all of them are.
type claim struct {
	PID   int       `json:"pid"`   // 0: nobody ever was and nobody will be
	Start uint64    `json:"start"` // in clock ticks since boot
	Boot  string    `json:"boot"`
	At    time.Time `json:"at"`
}

// alive reports whether the claimed process is there and not a zombie.
func (c *claim) alive() bool {
	return c.PID > 0 && c.Boot == bootID() && runs(c.PID, c.Start)
}

// readClaim gives nil if nobody was started yet.
func readClaim(d dir) (*claim, error) {
	var c claim
	ok, err := d.read(claimFile, &c)
	if err != nil || !ok {
		return nil, err
	}
	return &c, nil
}

// stake makes pid.json, durably, unless there is one: of all who try, for
// whatever crash there are several, one wins and all others learn it.
func stake(d dir, c claim) (bool, error) {
	data, err := json.Marshal(c)
	if err != nil {
		return false, err
	}
	tmp := d.path(fmt.Sprintf(".claim-%d-%d", os.Getpid(), c.At.UnixNano()))
	if err := atomicfile.Write(tmp, data, 0o600); err != nil {
		return false, err
	}
	defer os.Remove(tmp)
	err = os.Link(tmp, d.path(claimFile))
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, atomicfile.SyncDir(string(d))
}
