package host

import "syscall"

// endWithParent: a host part that is killed leaves no command behind that
// only asks.
func endWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }
