package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// The proxy and the process that holds its sockets are killed, each and
// together with what watches them: nobody is refused, and both come back.
func TestProxyAndHolderKilled(t *testing.T) {
	t.Parallel()
	m, users := served(t, recipe{instances: 1}, recipe{instances: 1})
	users.good()
	for range 3 {
		m.killPart("proxy")
		users.forgive()
	}
	m.killController()
	m.killPart("proxy") // the holder needs no controller
	users.forgive()
	m.serve()
	before := m.onePart("proxy").pid
	m.killPart("sockets")
	users.good()
	if now := m.onePart("proxy").pid; now != before {
		t.Errorf("the proxy is process %d, and was %d before the holder was killed", now, before)
	}
	m.killPart("proxy")
	users.forgive()
	users.move(m, "r2", "deploy", "r2", "--yes")
	users.stop()
	if doctor := m.must("doctor"); !strings.Contains(doctor, "sockets part") || !strings.Contains(doctor, "started the proxy again 1 times") {
		t.Errorf("noon doctor says %s", doctor)
	}
	m.must("down", "--yes")
	<-m.controller.done
	if left := m.processes(); len(left) > 0 {
		t.Errorf("noon down has left %v", left)
	}
	if left, err := os.ReadDir(filepath.Join(m.data, "run")); err != nil || len(left) > 1 { // the controller's own
		t.Errorf("noon down has left %v, %v", left, err)
	}
}

// That nobody holds the sockets is told, and does no harm.
func TestHolderIsMissing(t *testing.T) {
	t.Parallel()
	m, users := served(t, recipe{instances: 1})
	lock := filepath.Join(m.data, "proxy", "sockets.lock")
	if err := os.Remove(lock); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(lock, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(m.onePart("sockets").pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, soon, "doctor and status tell that nobody holds the sockets", func() error {
		if r := m.cli("doctor"); r.code != 1 || !strings.Contains(r.stdout, "sockets part") || !strings.Contains(r.stdout, "is a directory") {
			return fmt.Errorf("noon doctor: %s", r)
		}
		if r := m.cli("status"); r.code != 0 || !strings.Contains(r.stdout, "hold the proxy's sockets") {
			return fmt.Errorf("noon status: %s", r)
		}
		return nil
	})
	if err := os.Remove(lock); err != nil {
		t.Fatal(err)
	}
	eventually(t, soon, "the next one holds them", func() error {
		if r := m.cli("doctor"); !strings.Contains(r.stdout, "; holds "+m.address) {
			return fmt.Errorf("noon doctor: %s", r)
		}
		return nil
	})
	users.stop()
}

// onePart waits until there is exactly one process of a part.
func (m *machine) onePart(name string) proc {
	m.t.Helper()
	var p proc
	eventually(m.t, soon, "there is one "+name, func() error {
		list := m.parts(name)
		if len(list) != 1 {
			return fmt.Errorf("there are %v", list)
		}
		p = list[0]
		return nil
	})
	return p
}

// killPart kills a part and waits until another process is in its place and
// everything answers, if there is a controller to ask.
func (m *machine) killPart(name string) {
	m.t.Helper()
	before := m.onePart(name).pid
	m.kill(before)
	eventually(m.t, soon, "there is another "+name, func() error {
		if list := m.parts(name); len(list) != 1 || list[0].pid == before {
			return fmt.Errorf("there are %v", list)
		}
		select {
		case <-m.controller.done:
			_, err := m.asked()
			return err
		default:
		}
		h, err := m.health()
		if err == nil && h.Identities[name] == before {
			err = fmt.Errorf("the controller knows %v", h.Identities)
		}
		return err
	})
}

// asked is a user's answer.
func (m *machine) asked() (string, error) {
	v := visitor{load: &load{t: m.t, address: m.address}, method: "GET", path: "/"}
	return v.ask(m.t.Context())
}

// forgive takes what the proxy had in flight when it was killed: one request
// of each user at most, and no connection that was refused.
func (l *load) forgive() {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	const users = 5
	for _, f := range l.failures {
		if strings.Contains(f, "connect: ") {
			l.t.Errorf("refused: %s", f)
		}
	}
	if l.failed > users {
		l.t.Errorf("%d of %d requests failed: %s", l.failed, l.requests, strings.Join(l.failures, "\n"))
	}
	l.failed, l.failures = 0, nil
}
