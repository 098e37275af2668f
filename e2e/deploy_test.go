package e2e

import (
	"testing"
)

func TestDeployAndRollBackUnderLoad(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	up(m, recipe{}, recipe{})
	users := m.load()
	for range 3 {
		users.allow("r1", "r2")
		m.must("deploy", "r2", "--yes")
		users.allow("r2")
		m.must("rollback", "--yes")
		users.allow("r1")
	}
	users.stop()
}
