package manifest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// render writes the draft with comments.
func (s *sketch) render() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, `# noon.yaml: what noon has to know of this app, made by "noon init".
# Read it through, then run "noon check". Every key is explained in
# docs/reference/noon-yaml.md of noon.
app: %s
`, s.app)
	s.renderBuild(&b)
	b.WriteString(`
# The long-running processes. Each gets PORT and HOST in its environment; one
# with paths is sent requests and has to listen there.
services:
`)
	for _, p := range s.processes {
		s.renderProcess(&b, p)
	}
	s.renderJobs(&b)
	s.renderStore(&b)
	s.renderNames(&b)
	s.renderRest(&b)
	return []byte(b.String())
}

func (s *sketch) renderBuild(b *strings.Builder) {
	b.WriteString("\n# How a clean checkout becomes the files of a release.\n")
	if len(s.build) == 0 {
		b.WriteString("# build: {command: make, files: [app, static]}\n")
		return
	}
	fmt.Fprintf(b, "build:\n  command: %s\n", commandYAML(strings.Join(s.build, " && "), false))
	if s.partial || len(s.files) == 0 {
		b.WriteString("  # files: [bin, static]   # without it: everything in the checkout\n")
	} else {
		fmt.Fprintf(b, "  files: [%s]   # noon.yaml always belongs to it\n", strings.Join(s.files, ", "))
	}
}

func (s *sketch) renderProcess(b *strings.Builder, p process) {
	fmt.Fprintf(b, "  %s:\n    command: %s\n", p.name, commandYAML(p.command, true))
	if p.routed {
		b.WriteString("    paths: [/]\n")
		switch ready := cmp.Or(p.ready, "{tcp: true}"); ready {
		case "{tcp: true}":
			b.WriteString("    ready: {tcp: true}   # better: {http: /healthz}, a page that looks at the database too\n")
		default:
			fmt.Fprintf(b, "    ready: %s\n", ready)
		}
		b.WriteString("    # instances: 2\n    # drain: 30s   # for requests in flight\n")
	}
}

func (s *sketch) renderJobs(b *strings.Builder) {
	if len(s.jobs) == 0 {
		b.WriteString("\n# jobs:\n#   nightly: {command: ./nightly, schedule: \"0 3 * * *\", zone: UTC}\n")
		return
	}
	b.WriteString("\njobs:\n")
	for _, j := range s.jobs {
		fmt.Fprintf(b, "  %s:\n    command: %s\n    schedule: %q\n", j.name, commandYAML(j.command, true), j.schedule)
	}
}

func (s *sketch) renderStore(b *strings.Builder) {
	if s.store == "" && s.migrate == nil {
		b.WriteString("\n# stores:\n#   db: {kind: sqlite, coexistence: shared, migrate: {command: ./migrate}}\n")
		return
	}
	fmt.Fprintf(b, `
# What two releases meet in while both run. "shared": its changes have to suit
# the release before as well.
stores:
  db:
    kind: %s
    coexistence: shared
`, cmp.Or(s.store, "database"))
	if s.migrate == nil {
		b.WriteString("    # migrate: {command: ./migrate}\n")
		return
	}
	fmt.Fprintf(b, "    migrate:\n      command: %s\n", commandYAML(s.migrate.command, true))
	if s.migrate.idempotent {
		b.WriteString("      idempotent: true   # running it twice does no harm\n")
	} else {
		b.WriteString("      # idempotent: true   # if running it twice does no harm\n")
	}
	b.WriteString("    # compatible: true   # declare it when the release before works with the migrated store\n")
	if dirs := s.present("db/migrate", "database/migrations", "prisma/migrations", "migrations"); len(dirs) > 0 {
		fmt.Fprintf(b, "    changes: [%s]   # without a change in there migrate has no work\n", dirs[0])
	}
}

func (s *sketch) renderNames(b *strings.Builder) {
	b.WriteString("\n# Names of what each environment has to set; a deployment does not begin without.\n")
	if len(s.variables) == 0 {
		b.WriteString("# variables: [DATABASE_HOST]\n")
	} else {
		names := make([]string, len(s.variables))
		for i, v := range s.variables {
			names[i] = v[0]
		}
		fmt.Fprintf(b, "variables: [%s]\n", strings.Join(names, ", "))
	}
	if len(s.secrets) == 0 {
		b.WriteString("# secrets: [SESSION_KEY]\n")
		return
	}
	fmt.Fprintf(b, "secrets: [%s]\n", strings.Join(s.secrets, ", "))
}

func (s *sketch) renderRest(b *strings.Builder) {
	routed := false
	for _, p := range s.processes {
		routed = routed || p.routed
	}
	b.WriteString("\n# What a new release has to answer before any user is sent to it.\n")
	if routed {
		b.WriteString("smoke:\n  - name: home\n    get: /\n    expect: {status: 200}\n")
	} else {
		b.WriteString("# smoke:\n#   - {name: home, get: /, expect: {status: 200}}\n")
	}
	staging, values := "", "    # variables: {DATABASE_HOST: localhost}\n"
	if len(s.variables) > 0 {
		pairs := make([]string, len(s.variables))
		for i, v := range s.variables {
			pairs[i] = fmt.Sprintf("%s: %s", v[0], textYAML(v[1]))
		}
		values = fmt.Sprintf("    variables: {%s}\n", strings.Join(pairs, ", "))
		staging = values
	}
	fmt.Fprintf(b, `
# How long a new release has to hold after the switch.
bake: 5s

environments:
  staging:
    domains: [staging.localhost]   # each environment of a machine has its own
%s  production:
    after: staging   # only what has passed staging
    # domains: [www.example.com]
%s    # approval: true
    # window: {days: [mon, tue, wed, thu], from: "09:00", to: "16:00", zone: UTC}
`, staging, values)
}

// commandYAML writes a command line as a value of noon.yaml: as it is if noon
// can run it, else by way of a shell. A shell that becomes the process (exec)
// lets it get the stop signal.
func commandYAML(line string, long bool) string {
	argv, err := splitCommand(line)
	if err == nil && startable(argv) == nil {
		return textYAML(line)
	}
	simple := !strings.ContainsAny(line, "|&;<>(`\n")
	words := strings.Fields(line)
	if long && simple && len(words) > 0 && words[0] != "exec" && !assignment(words[0]) {
		line = "exec " + line
	}
	return "[sh, -c, " + quotedYAML(line) + "]"
}

// textYAML writes a text plainly where YAML takes it for the same text.
func textYAML(text string) string {
	plain := regexp.MustCompile(`^[A-Za-z./]([A-Za-z0-9 ./_=@+-]|:[A-Za-z0-9])*$`)
	word := regexp.MustCompile(`(?i)^(true|false|yes|no|on|off|null|y|n|\.inf|\.nan)$`)
	if plain.MatchString(text) && !word.MatchString(text) && strings.TrimSpace(text) == text && strings.Trim(text, "0123456789.eE+-_") != "" {
		return text
	}
	return quotedYAML(text)
}

// quotedYAML writes a text in double quotes; JSON's are YAML's too.
func quotedYAML(text string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(text); err != nil {
		return fmt.Sprintf("%q", text)
	}
	return strings.TrimSpace(b.String())
}
