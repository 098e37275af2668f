package e2e

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"
)

// Every part of noon goes on with another binary, again and again, and nobody
// notices.
func TestUpgradeUnderLoad(t *testing.T) {
	t.Parallel()
	m, users := served(t, recipe{instances: 2}, recipe{instances: 2})
	users.allow("r1")
	instances := instancesOf(m.status())
	for i := range 4 {
		binary := filepath.Join(m.dir, fmt.Sprintf("noon-%d", i))
		if err := os.Link(m.binary, binary); err != nil {
			t.Fatal(err)
		}
		before, err := m.health()
		if err != nil {
			t.Fatal(err)
		}
		m.must("upgrade", "--binary", binary, "--yes")
		eventually(t, soon, "every part is another process", func() error {
			after, err := m.health()
			if err != nil {
				return err
			}
			for _, part := range []string{"host", "proxy"} {
				if before.Identities[part] == after.Identities[part] {
					return fmt.Errorf("%s is still %v", part, before.Identities)
				}
			}
			if before.Identities["sockets"] != after.Identities["sockets"] {
				return fmt.Errorf("another process holds the sockets than in %v", before.Identities)
			}
			for _, part := range []string{"serve", "host", "sockets", "proxy"} {
				for _, p := range m.parts(part) {
					if p.args[0] != binary {
						return fmt.Errorf("%v is not the new binary", p)
					}
				}
			}
			return nil
		})
		if now := instancesOf(m.status()); fmt.Sprint(now) != fmt.Sprint(instances) {
			t.Errorf("the upgrade has changed instances from %v to %v", instances, now)
		}
	}
	users.move(m, "r2", "deploy", "r2", "--yes")
	users.move(m, "r1", "rollback", "--yes")
	users.stop()
	eventually(t, soon, "old parts end", func() error {
		counts := map[string]int{}
		for _, p := range m.processes() {
			counts[p.part()]++
		}
		if want := map[string]int{"serve": 1, "host": 1, "sockets": 1, "proxy": 1, "keeper": 2, "": 2}; !maps.Equal(counts, want) {
			return fmt.Errorf("processes are %v, want %v", counts, want)
		}
		return nil
	})
}
