package e2e

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/noon-deploy/noon/internal/api"

	_ "modernc.org/sqlite"
)

// refusal is what a user has to be told.
type refusal struct {
	name string
	do   func(m *machine) result // what goes wrong
	code int
	says []string // fragments of what is said, all of them
}

// told wants one clear error with a hint.
func (r refusal) told(t *testing.T, got result) {
	t.Helper()
	if got.code != r.code {
		t.Errorf("%s: exit code %d, want %d: %s", r.name, got.code, r.code, got)
	}
	for _, part := range append(r.says, "hint: ") {
		if !strings.Contains(got.stderr, part) {
			t.Errorf("%s: %q is not said: %s", r.name, part, got)
		}
	}
	if n := strings.Count("\n"+got.stderr, "\nnoon: "); n > 1 {
		t.Errorf("%s: %d errors: %s", r.name, n, got)
	}
	for _, bug := range []string{"goroutine ", "%!", "noon: bug", "context canceled"} {
		if strings.Contains(got.stderr, bug) {
			t.Errorf("%s: %q is no message for users: %s", r.name, bug, got)
		}
	}
}

// same is what must not change by something that was refused.
func (m *machine) same() string {
	m.t.Helper()
	st := m.status()
	return fmt.Sprint(st.Live, st.Warm, st.State, instancesOf(st), m.get("/"))
}

// building is a row whose release is made of a recipe.
func building(name string, r recipe, code int, says ...string) refusal {
	return refusal{name: name, code: code, says: says, do: func(m *machine) result {
		release := m.build(r)
		return m.cli("deploy", release, "--yes")
	}}
}

func command(name string, code int, says string, args ...string) refusal {
	return refusal{name: name, code: code, says: []string{says}, do: func(m *machine) result { return m.cli(args...) }}
}

func TestBadInputChangesNothing(t *testing.T) {
	t.Parallel()
	m, users := served(t, recipe{}, recipe{})
	users.allow("r1")
	short, answering := "{http: /healthz, interval: 20ms, timeout: 500ms}", "{http: /healthz, interval: 20ms, timeout: 5s}"
	for _, row := range []refusal{
		command("unknown release", 3, "r99", "deploy", "r99", "--yes"),
		command("no release name", 2, "banana", "deploy", "banana", "--yes"),
		command("unknown environment", 2, "nowhere", "deploy", "r1", "-e", "nowhere", "--yes"),
		command("roll back to nothing", 3, "no other release has served users", "rollback", "--yes"),
		command("no consent", 6, "--yes", "deploy", "r2"),
		command("what is live already", 4, "live already", "deploy", "r1", "--yes"),
		command("unknown deployment", 3, "d99", "history", "d99"),
		command("abort of what has ended", 4, "succeeded already", "abort", "d1"),
		command("variable of noon's own", 2, "PORT", "env", "set", "PORT=1"),
		command("upgrade to what is no noon", 2, "/bin/true", "upgrade", "--binary", "/bin/true", "--yes"),
		command("upgrade to what is not there", 2, "no such file", "upgrade", "--binary", "/nowhere/noon", "--yes"),
		building("program that is missing", recipe{services: "other: {command: ./missing, paths: [/other]}"}, 1, "./missing", "no such file"),
		building("program that can not be executed", recipe{services: "other: {command: ./mode, paths: [/other]}"}, 1, "./mode", "permission denied"),
		building("program that ends at once", recipe{mode: "crash"}, 1, "this release can not start"),
		building("health path that redirects", recipe{mode: "redirect", ready: answering}, 1, "redirect"),
		building("health path that hangs", recipe{mode: "hang", ready: short}, 1, "not ready within 500ms"),
		building("health path that answers 503", recipe{mode: "unready", ready: answering}, 1, "503", "the database is asleep"),
		building("smoke check", recipe{mode: "broken", top: "smoke:\n  - {name: home, get: /, expect: {status: 200}}"}, 1, "status 500 instead of 200", "nothing works"),
		building("missing secret", recipe{top: "secrets: [TOKEN]"}, 2, "TOKEN"),
		building("hook that is missing", recipe{top: "hooks:\n  before-deploy: [{name: gone, command: ./gone}]"}, 1, "./gone", "no such file"),
		{name: "build that fails", code: 1, says: []string{"exit"}, do: func(m *machine) result {
			m.commit(recipe{command: "sh -c 'echo no such module >&2; exit 3'"})
			return m.cli("build")
		}},
		{name: "build of changes that are not committed", code: 2, says: []string{"mode"}, do: func(m *machine) result {
			m.commit(recipe{})
			m.write("mode", "changed\n")
			return m.cli("build")
		}},
		{name: "manifest with mistakes", code: 2, says: []string{"noon.yaml:2:1"}, do: func(m *machine) result {
			m.write("noon.yaml", "app: app\nservicess: {}\n")
			r := m.cli("check")
			r.stderr += r.stdout
			return r
		}},
		{name: "second controller", code: 4, says: []string{"another controller"}, do: func(m *machine) result { return m.cli(m.args...) }},
		{name: "release that was altered in the store", code: 1, says: []string{"sha256"}, do: func(m *machine) result {
			release := m.build(recipe{})
			m.alter(release)
			return m.cli("deploy", release, "--yes")
		}},
	} {
		before := m.same()
		row.told(t, row.do(m))
		if after := m.same(); after != before {
			t.Errorf("%s: what was %s is %s", row.name, before, after)
		}
		m.commit(recipe{}) // what the row wrote is history
		users.good()
	}
	users.stop()
	if left, err := os.ReadDir(filepath.Join(m.dir, "tmp")); err != nil || len(left) > 0 {
		t.Errorf("left in TMPDIR: %v %v", left, err)
	}
}

// alter flips a bit in the middle of the largest blob that only this release
// has: its layer.
func (m *machine) alter(name string) {
	m.t.Helper()
	var digest string
	for _, r := range answer[[]api.ListedRelease](m, "releases") {
		if r.Name() == name {
			digest = r.Digest
		}
	}
	blobs := filepath.Join(m.data, "releases", "blobs", "sha256")
	data, err := os.ReadFile(filepath.Join(blobs, strings.TrimPrefix(digest, "sha256:")))
	if err != nil {
		m.t.Fatal(err)
	}
	data = bytes.Replace(data, []byte("sha256:"), []byte("sha257:"), 1)
	path := filepath.Join(blobs, strings.TrimPrefix(digest, "sha256:"))
	if err := os.Chmod(path, 0o600); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		m.t.Fatal(err)
	}
}

func TestInterruptedBuildLeavesNothing(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.serve()
	m.commit(recipe{command: "sh -c 'sleep 300; : " + m.mark + "'"})
	building := func() string {
		lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
		for _, path := range lines {
			if args, err := os.ReadFile(path); err == nil && strings.HasPrefix(string(args), "sh\x00") && strings.Contains(string(args), m.mark) {
				return path
			}
		}
		return ""
	}
	cmd := exec.CommandContext(t.Context(), m.binary, "build")
	var stderr bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stderr = m.repo, m.environ(), &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, soon, "the build runs", func() error {
		if building() == "" {
			return errors.New("there is no such process")
		}
		return nil
	})
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 130 || !strings.Contains(stderr.String(), "interrupted") {
		t.Errorf("exit code %d, want 130: %s", code, stderr.String())
	}
	if list := answer[[]api.ListedRelease](m, "releases"); len(list) > 0 {
		t.Errorf("there are releases: %v", list)
	}
	eventually(t, soon, "the build's processes end", func() error {
		if path := building(); path != "" {
			return errors.New(path)
		}
		return nil
	})
	if left, err := os.ReadDir(filepath.Join(m.dir, "tmp")); err != nil || len(left) > 0 {
		t.Errorf("left in TMPDIR: %v %v", left, err)
	}
}

// A controller that can not start says why, and users are served meanwhile.
func TestControllerThatCanNotStart(t *testing.T) {
	t.Parallel()
	m, users := served(t, recipe{}, recipe{})
	users.allow("r1")
	ledger := filepath.Join(m.data, "ledger.db")
	m.killController()
	m.sql("INSERT INTO schema_version SELECT MAX(version) + 1, 'of the future', 0 FROM schema_version")
	newer := m.cli(m.args...)
	refusal{name: "newer ledger", code: 2, says: []string{"ledger.db", "A newer noon has written this ledger"}}.told(t, newer)
	m.sql("DELETE FROM schema_version WHERE version = (SELECT MAX(version) FROM schema_version)")
	good, err := os.ReadFile(ledger)
	if err != nil {
		t.Fatal(err)
	}
	write := func(data []byte) {
		t.Helper()
		if err := os.WriteFile(ledger, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	long := filepath.Join(m.dir, strings.Repeat("long", 25))
	for _, row := range []refusal{
		{name: "corrupt ledger", code: 2, says: []string{"ledger.db", "put a backup"}, do: func(m *machine) result {
			write(bytes.Repeat([]byte("this is no ledger"), 1000))
			return m.cli(m.args...)
		}},
		{name: "path of a socket that is too long", code: 2, says: []string{"bytes", "--run"}, do: func(m *machine) result {
			return m.cli(append(m.args, "--run", long)...)
		}},
		{name: "address that is none", code: 2, says: []string{"--listen"}, do: func(m *machine) result {
			return m.cli("serve", "--listen", "banana")
		}},
		{name: "no controller", code: 5, says: []string{"noon serve"}, do: func(m *machine) result { return m.cli("status") }},
		{name: "directory that can not be", code: 2, says: []string{"/dev/null"}, do: func(m *machine) result {
			return m.cli("serve", "--data", "/dev/null/noon", "--run", filepath.Join(m.dir, "r"))
		}},
	} {
		row.told(t, row.do(m))
		users.good()
	}
	write(good)
	// The lock file and the socket of the killed one are no obstacle.
	for _, path := range []string{"noon.lock", "run/api.sock"} {
		if _, err := os.Lstat(filepath.Join(m.data, path)); err != nil {
			t.Errorf("nothing is stale: %v", err)
		}
	}
	m.serve()
	users.move(m, "r2", "deploy", "r2", "--yes")
	users.stop()
}

// sql changes the ledger behind noon's back, and leaves it in one file.
func (m *machine) sql(statement string) {
	m.t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(m.data, "ledger.db"))
	if err != nil {
		m.t.Fatal(err)
	}
	defer func() { _ = db.Close() }() // what was written is committed
	for _, s := range []string{statement, "PRAGMA wal_checkpoint(TRUNCATE)"} {
		if _, err := db.ExecContext(m.t.Context(), s); err != nil {
			m.t.Fatalf("%s: %v", s, err)
		}
	}
}

func TestPortThatIsTaken(t *testing.T) {
	t.Parallel()
	taken, _ := served(t, recipe{})
	m := newMachine(t)
	m.args = []string{"serve", "--data", m.data, "--listen", taken.address}
	m.start()
	eventually(t, soon, "the controller tells that the port is taken", func() error {
		r := m.cli("status")
		said := tailOf(m.logFile()) + r.stderr + r.stdout
		if !strings.Contains(said, "address already in use") || !strings.Contains(said, taken.address) {
			return fmt.Errorf("it says %s", said)
		}
		return nil
	})
	doctor := m.cli("doctor")
	if doctor.code != 1 || !strings.Contains(doctor.stdout, "address already in use") {
		t.Errorf("noon doctor: %s", doctor)
	}
}

// A full disk stops deployments, not the app.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("a small file system can only be mounted by root")
	}
	m := newMachine(t)
	if err := os.Mkdir(m.data, 0o700); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "mount", "-t", "tmpfs", "-o", "size=64m", "e2e", m.data).CombinedOutput(); err != nil {
		t.Skipf("no small file system can be mounted: %v %s", err, out)
	}
	m.unmount = func() error {
		return exec.CommandContext(context.Background(), "umount", "--lazy", m.data).Run()
	}
	up(m, recipe{}, recipe{})
	users := m.load()
	users.allow("r1")
	filler := filepath.Join(m.data, "filler")
	fill(t, filler)
	before := m.same()
	m.commit(recipe{})
	refusal{name: "full disk at build", code: 1, says: []string{"no space left"}}.told(t, m.cli("build"))
	refusal{name: "full disk at deploy", code: 1, says: []string{"disk is full"}}.told(t, m.cli("deploy", "r2", "--yes"))
	if after := m.same(); after != before {
		t.Errorf("what was %s is %s", before, after)
	}
	users.good()
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	users.move(m, "r2", "deploy", "r2", "--yes")
	users.stop()
}

func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
}
