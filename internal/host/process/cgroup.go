package process

import (
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"

	"github.com/noon-deploy/noon"
)

// cgroup bounds and counts one process with all its descendants. A nil cgroup
// is of a process without limits.
type cgroup struct {
	limits noon.Limits
	name   string            // of its directories, unique on the machine
	dirs   map[string]string // controller → directory that is in force
}

// unlimited is a limit that could not be applied.
type unlimited struct{ name, why string }

// groupOf gives the cgroup a process has or would have.
func groupOf(d dir, l noon.Limits) *cgroup {
	if l.Memory == 0 && l.CPUs == 0 && l.Processes == 0 {
		return nil
	}
	abs, err := filepath.Abs(string(d))
	if err != nil {
		abs = string(d)
	}
	sum := sha256.Sum256([]byte(filepath.Dir(abs)))
	g := &cgroup{limits: l, name: hex.EncodeToString(sum[:4]) + "-" + filepath.Base(abs)}
	g.dirs = g.existing()
	return g
}

func (g *cgroup) bounds(controller string) bool {
	return g != nil && g.dirs[controller] != ""
}
