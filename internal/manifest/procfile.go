package manifest

import (
	"bufio"
	"encoding/json"
	"regexp"
	"strings"
)

// lookProcfile: every process is a service; "web" takes the requests and
// "release" migrates.
func lookProcfile(s *sketch) {
	text, ok := s.read("Procfile")
	if !ok {
		return
	}
	line := regexp.MustCompile(`^([A-Za-z0-9_-]+):\s*(.+)$`)
	var names []string
	lines := bufio.NewScanner(strings.NewReader(text))
	lines.Buffer(nil, readLimit)
	for lines.Scan() {
		m := line.FindStringSubmatch(strings.TrimSpace(lines.Text()))
		if m == nil || !printable(m[2]) {
			continue
		}
		names = append(names, m[1])
		if m[1] == "release" {
			s.migration("", task{command: m[2]})
			continue
		}
		s.propose(process{name: nameFrom(m[1]), command: m[2], routed: m[1] == "web"})
	}
	if len(names) > 0 {
		s.note("Procfile: %s", strings.Join(names, ", "))
	}
}

// lookDockerfile: this version runs processes, so that only the command of the
// last stage is of use.
func lookDockerfile(s *sketch) {
	text, ok := s.read("Dockerfile")
	if !ok {
		return
	}
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\\\n", " ")
	var entry, cmd []string
	for line := range strings.Lines(text) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch strings.ToUpper(word) {
		case "FROM":
			entry, cmd = nil, nil
		case "ENTRYPOINT":
			entry = instruction(rest)
		case "CMD":
			cmd = instruction(rest)
		}
	}
	command := strings.Join(append(entry, cmd...), " ")
	if command == "" || !printable(command) {
		s.note("Dockerfile: containers come with a later version; noon runs the app's processes themselves")
		return
	}
	s.suggest(process{name: "web", command: command, routed: true})
	s.note("Dockerfile: containers come with a later version; its command is %q", command)
}

// instruction gives the words of CMD and ENTRYPOINT in either form, quoted for
// a shell where they need it.
func instruction(rest string) []string {
	rest = strings.TrimSpace(rest)
	var argv []string
	if json.Unmarshal([]byte(rest), &argv) != nil {
		if rest == "" {
			return nil
		}
		return []string{rest}
	}
	plain := regexp.MustCompile(`^[A-Za-z0-9_./:=@,+-]+$`)
	for i, arg := range argv {
		if !plain.MatchString(arg) {
			argv[i] = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
	}
	return argv
}

func printable(text string) bool {
	return strings.ToValidUTF8(text, "") == text && !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\t' || r >= 0x7f && r < 0xa0 })
}
