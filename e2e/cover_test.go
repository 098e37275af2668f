package e2e

import "slices"

// moreDeploys is how many deployments may follow after enough kills, for points
// at which nobody has died: on a busy machine one part may be killed elsewhere
// before another comes to its point.
const moreDeploys = 40

// goOn reports whether more is to be deployed: there were not enough kills, or
// nobody has died at one of the points.
func (c *crasher) goOn(total int, names []string, more *int) bool {
	if c.t.Failed() {
		return false
	}
	if c.kills() < total {
		return true
	}
	*more--
	return *more > 0 && len(c.left(total, names)) > 0
}

// left lists the points at which nobody has died, once there were enough kills.
func (c *crasher) left(total int, names []string) []string {
	if kills(c.t) < killsInCI || c.kills() < total {
		return nil
	}
	covered := c.faults()
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return covered[name] > 0 })
}
