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
		users.move(m, "r2", "deploy", "r2", "--yes")
		users.move(m, "r1", "rollback", "--yes")
	}
	users.stop()
}
