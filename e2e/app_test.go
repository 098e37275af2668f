package e2e

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/api"
)

// recipe is what is particular about a release of the app.
type recipe struct {
	mode      string // see testdata/app: "ok", "unready", "broken", "crash", "redirect", "hang"
	instances int    // of the web service; 0: 1
	ready     string // probe
	web       string // more of the web service
	services  string // more services
	top       string // more of noon.yaml
	envs      string // environments
	command   string // of the build
	files     string // more files, after a comma
}

func (r recipe) manifest() string {
	return fmt.Sprintf(`app: app
build: {command: %q, files: [app, mode%s], timeout: 1m}
variables: [%s, EFFECTS]
services:
  web:
    command: ./app web
    instances: %d
    paths: [/]
    ready: %s
    stop: {signal: TERM, grace: 3s}
    drain: 3s%s%s
%s
environments:%s
`, cmp.Or(r.command, "cp "+appBinary+" app"), r.files, markName, max(1, r.instances),
		cmp.Or(r.ready, "{http: /healthz, interval: 20ms, timeout: 10s}"), indent(r.web, 4), indent(r.services, 2), dedent(r.top),
		indent(cmp.Or(r.envs, "production: {warm: 0s}"), 2))
}

func dedent(text string) string {
	lines := strings.Split(strings.Trim(text, "\n\t "), "\n")
	for i, line := range lines {
		lines[i] = strings.ReplaceAll(line, "\t", "")
	}
	return strings.Join(lines, "\n")
}

func indent(text string, by int) string {
	var b strings.Builder
	for line := range strings.SplitSeq(dedent(text), "\n") {
		b.WriteString("\n" + strings.Repeat(" ", by) + line)
	}
	return b.String()
}

// commit makes a commit with the recipe.
func (m *machine) commit(r recipe) {
	m.t.Helper()
	if _, err := os.Stat(filepath.Join(m.repo, ".git")); err != nil {
		m.git("init", "-q")
	}
	m.write("noon.yaml", r.manifest())
	m.write("mode", cmp.Or(r.mode, "ok")+"\n")
	m.write("number", fmt.Sprintln(time.Now().UnixNano()))
	m.write(".gitignore", "app\n")
	m.git("add", "-A")
	m.git("commit", "-q", "-m", "a release that is "+cmp.Or(r.mode, "ok"))
}

func (m *machine) write(name, text string) {
	m.t.Helper()
	if err := os.WriteFile(filepath.Join(m.repo, name), []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) git(args ...string) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir, cmd.Env = m.repo, m.environ()
	if out, err := cmd.CombinedOutput(); err != nil {
		m.t.Fatalf("git %q: %v: %s", args, err, out)
	}
}

// build makes a release and returns its name.
func (m *machine) build(r recipe) string {
	m.t.Helper()
	m.commit(r)
	return answer[api.ListedRelease](m, "build", "-q").Name()
}

// configure gives an environment what every release of the app needs.
func (m *machine) configure(s noon.Site) {
	m.t.Helper()
	_, err := m.api.SetConfig(m.t.Context(), s, []api.ConfigChange{
		{Name: markName, Value: m.mark}, {Name: "EFFECTS", Value: m.effects},
	})
	if err != nil {
		m.t.Fatalf("configure %s: %v", s, err)
	}
}

// up is a machine that serves releases r1, r2, … made by these recipes, of
// which the first is deployed.
func up(m *machine, recipes ...recipe) {
	m.t.Helper()
	m.serve()
	m.configure(site)
	for _, r := range recipes {
		m.build(r)
	}
	m.must("deploy", "r1", "--yes", "-e", site.Environment)
}

// effect is one line that the app has written.
type effect struct {
	name, deployment, task, revision string
}

// effectsOf reads what the app's tasks have done.
func (m *machine) effectsOf(name string) []effect {
	m.t.Helper()
	data, err := os.ReadFile(m.effects)
	if err != nil && !os.IsNotExist(err) {
		m.t.Fatal(err)
	}
	var list []effect
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		if len(f) != 5 {
			m.t.Fatalf("effects hold the line %q", line)
		}
		if name == "" || f[0] == name {
			list = append(list, effect{f[0], f[1], f[2], f[3]})
		}
	}
	return list
}
