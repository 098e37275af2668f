package e2e

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/api"
)

// exactly wants one release to be there and nothing else.
func (c *crasher) exactly(want noon.Revision) error {
	st, err := c.statusOf(site)
	if err != nil {
		return err
	}
	if st.Live != want.String() || len(st.Hosts) != 1 {
		return fmt.Errorf("%s is live, want %s; hosts: %d, problem: %s", st.Live, want, len(st.Hosts), fmt.Sprint(st.Problem))
	}
	seen := st.Hosts[0]
	if !maps.Equal(seen.Shares, map[string]int{want.String(): noon.PointsWhole}) {
		return fmt.Errorf("the proxy has the shares %v", seen.Shares)
	}
	up := map[string]noon.Instance{}
	for _, inst := range seen.Instances {
		if inst.Phase != noon.Exited {
			up[fmt.Sprintf("%s %s.%d %s", inst.Revision, inst.Service, inst.Index, inst.Phase)] = inst
		}
	}
	wanted := []string{want.String() + " web.0 ready", want.String() + " web.1 ready", want.String() + " worker.0 ready"}
	if got := slices.Sorted(maps.Keys(up)); !slices.Equal(got, wanted) {
		return fmt.Errorf("instances are %q, want %q", got, wanted)
	}
	return errors.Join(c.noLeaks(slices.Collect(maps.Values(up))), c.answers(want))
}

// noLeaks wants no process, port, socket or directory that nobody needs.
func (m *machine) noLeaks(up []noon.Instance) error {
	wantProcs := map[string]int{"serve": 1, "host": 1, "sockets": 1, "proxy": 1, "keeper": len(up), "": len(up)}
	var pids, wantPIDs []int
	procs := m.processes()
	counts := map[string]int{}
	for _, p := range procs {
		counts[p.part()]++
		if p.part() == "" {
			pids = append(pids, p.pid)
		}
	}
	if !maps.Equal(counts, wantProcs) {
		return fmt.Errorf("processes are %v, want %v: %v", counts, wantProcs, procs)
	}
	var ports []int
	for _, address := range append(addresses(up), m.address) {
		_, port, _ := strings.Cut(address, ":")
		if n, err := strconv.Atoi(port); err == nil {
			ports = append(ports, n)
		}
	}
	names := map[string]bool{}
	for _, inst := range up {
		wantPIDs = append(wantPIDs, inst.PID)
		names[inst.ID] = true
	}
	slices.Sort(ports)
	slices.Sort(pids)
	slices.Sort(wantPIDs)
	if !slices.Equal(pids, wantPIDs) {
		return fmt.Errorf("the app's processes are %v, its instances %v", pids, wantPIDs)
	}
	if got := listening(procs); !slices.Equal(got, ports) {
		return fmt.Errorf("ports %v are open, want %v", got, ports)
	}
	return m.noLitter(names)
}

func addresses(up []noon.Instance) []string {
	var list []string
	for _, inst := range up {
		if inst.Service == "web" {
			list = append(list, inst.Address)
		}
	}
	return list
}

// mostEnded bounds the directories of ended processes and tasks, which are
// kept for their output.
const mostEnded = 2*20 + 10

// noLitter wants only known files where noon keeps things.
func (m *machine) noLitter(live map[string]bool) error {
	sockets, _ := filepath.Glob(filepath.Join(m.data, "run", "*"))
	for i := range sockets {
		sockets[i] = filepath.Base(sockets[i])
	}
	if want := []string{"api.sock", "certs.sock", "host.sock", "proxy.sock", "sockets.sock"}; !slices.Equal(sockets, want) {
		return fmt.Errorf("sockets are %q, want %q", sockets, want)
	}
	entries, err := os.ReadDir(filepath.Join(m.data, "host", "run"))
	if err != nil {
		return err
	}
	over := 0
	for _, e := range entries {
		_, err := os.Stat(filepath.Join(m.data, "host", "run", e.Name(), "exit.json"))
		switch {
		case strings.HasPrefix(e.Name(), ".") && young(e):
		case strings.HasPrefix(e.Name(), "."):
			return fmt.Errorf("host/run/%s is left over", e.Name())
		case live[e.Name()]:
		case err == nil:
			over++
		default:
			return fmt.Errorf("host/run/%s is of no known instance", e.Name())
		}
	}
	if over > mostEnded {
		return fmt.Errorf("%d directories of ended processes are kept", over)
	}
	tmp, err := os.ReadDir(filepath.Join(m.dir, "tmp"))
	if err == nil && len(tmp) > 0 {
		err = fmt.Errorf("left in TMPDIR: %v", tmp)
	}
	return err
}

// young is what somebody may still be making or removing: it is cleared away
// after a while.
func young(e os.DirEntry) bool {
	info, err := e.Info()
	return err != nil || time.Since(info.ModTime()) < 3*time.Minute
}

// answers wants ten visitors to meet that release.
func (m *machine) answers(want noon.Revision) error {
	l := &load{address: m.address}
	for range 10 {
		v := visitor{load: l, method: "GET", path: "/"}
		release, err := v.ask(m.t.Context())
		if err == nil && release != noon.ReleaseName(want.Release) {
			err = fmt.Errorf("%s answers, want %s", release, want)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// once wants no task to have run twice, and all those of a deployment that
// succeeded to have run.
func (c *crasher) once(d api.DeploymentView) {
	c.t.Helper()
	counts := map[string]int{}
	for _, e := range c.effectsOf("") {
		if e.deployment == d.Name() {
			counts[e.name]++
		}
	}
	for name, n := range counts {
		if n > 1 {
			c.t.Errorf("%s has run %s %d times: %v", d.Name(), name, n, c.effectsOf(name))
		}
	}
	var want []string
	switch {
	case d.Status == noon.Succeeded && d.Plan.Kind == noon.PlanDeploy:
		want = []string{"announce", "migrate", "warm-up", "purge", "tell"}
	case d.Status == noon.Succeeded:
		want = []string{"back", "was-back"}
	case d.Status == noon.Returned && !c.keepers:
		want = []string{"announce", "migrate", "mourn"}
	}
	for _, name := range want {
		if counts[name] != 1 {
			c.t.Errorf("%s is %s, but %s has run %d times", d.Name(), d.Status, name, counts[name])
		}
	}
}
