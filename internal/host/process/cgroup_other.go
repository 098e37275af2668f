//go:build !linux

package process

func (g *cgroup) existing() map[string]string { return nil }

func (g *cgroup) make() ([]string, []unlimited) { return nil, nil }

func (g *cgroup) outOfMemory() bool { return false }

func (g *cgroup) kill() {}

func (g *cgroup) remove() {}
