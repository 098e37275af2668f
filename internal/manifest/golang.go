package manifest

import (
	"io/fs"
	"path"
	"regexp"
	"strings"
)

// lookGo builds the root package if it is a program, else those below cmd.
func lookGo(s *sketch) {
	text, ok := s.read("go.mod")
	if !ok {
		return
	}
	if m := regexp.MustCompile(`(?m)^module\s+"?([^\s"]+)`).FindStringSubmatch(text); m != nil {
		base := path.Base(m[1])
		if regexp.MustCompile(`^v[0-9]+$`).MatchString(base) { // example.com/shop/v2
			base = path.Base(path.Dir(m[1]))
		}
		s.app = nameFrom(base)
	}
	s.store = firstOf(text, [][2]string{
		{"jackc/pgx", "postgres"},
		{"lib/pq", "postgres"},
		{"go-sql-driver/mysql", "mysql"},
		{"modernc.org/sqlite", "sqlite"},
		{"mattn/go-sqlite3", "sqlite"},
		{"ncruces/go-sqlite3", "sqlite"},
	})
	data := s.present("static", "public", "assets", "templates", "views", "migrations")
	programs := s.programs()
	switch {
	case s.program("."):
		s.steps(append([]string{s.app}, data...), "go build -trimpath -o "+s.app+" .")
		s.suggest(process{name: "web", command: "./" + s.app, routed: true})
		s.note("go.mod: the program in the root, built as %s", s.app)
	case len(programs) > 0:
		s.steps(append([]string{"bin"}, data...), "go build -trimpath -o bin/ ./cmd/...")
		web := programs[0]
		for _, p := range programs {
			if p == s.app || p == "web" || p == "server" {
				web = p
				break
			}
		}
		s.suggest(process{name: "web", command: "./bin/" + web, routed: true})
		s.note("go.mod: programs %s below cmd; %s is taken for the web service", strings.Join(programs, ", "), web)
	default:
		s.note("go.mod: no program in the root or below cmd")
	}
}

// program reports whether a directory holds a package main.
func (s *sketch) program(dir string) bool {
	files, err := fs.Glob(s.tree, path.Join(dir, "*.go"))
	if err != nil {
		return false
	}
	clause := regexp.MustCompile(`(?m)^package main\b`)
	for _, f := range files {
		if text, ok := s.read(f); ok && !strings.HasSuffix(f, "_test.go") && clause.MatchString(text) {
			return true
		}
	}
	return false
}

// programs lists the directories below cmd that hold a program.
func (s *sketch) programs() []string {
	entries, err := fs.ReadDir(s.tree, "cmd")
	if err != nil {
		return nil
	}
	word := regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)
	var all []string
	for _, e := range entries {
		if e.IsDir() && word.MatchString(e.Name()) && s.program(path.Join("cmd", e.Name())) {
			all = append(all, e.Name())
		}
	}
	return all
}

// firstOf gives the meaning of the first sign that the text holds.
func firstOf(text string, signs [][2]string) string {
	for _, sign := range signs {
		if strings.Contains(text, sign[0]) {
			return sign[1]
		}
	}
	return ""
}
