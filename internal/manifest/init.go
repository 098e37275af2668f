package manifest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/noon-deploy/noon"
)

// Draft is a first manifest for a directory.
type Draft struct {
	Text  []byte   // a noon.yaml with comments, which Parse accepts
	Found []string // what it was made from, one short sentence each, for people
}

// Init looks at the root of a repository and drafts its manifest. It writes
// nothing.
func Init(dir string) (Draft, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return Draft{}, fmt.Errorf("find %s: %w", dir, err)
	}
	if info, err := os.Stat(abs); err != nil || !info.IsDir() {
		if err == nil {
			err = errors.New("it is not a directory")
		}
		return Draft{}, &noon.Error{
			Kind: noon.NotFound, Op: "look at", Subject: dir, Err: err,
			Hint: "Run \"noon init\" in the root of the app's repository.",
		}
	}
	s := &sketch{tree: os.DirFS(abs), app: nameFrom(filepath.Base(abs))}
	for _, look := range detectors() {
		look(s)
	}
	s.complete()
	text := s.render()
	if _, err := Parse(FileName, text); err != nil {
		return Draft{}, &noon.Error{
			Kind: noon.Internal, Op: "draft", Subject: FileName, Err: err,
			Hint: "This is a bug of noon; please report it. Meanwhile write the file by hand: see docs/reference/noon-yaml.md.",
		}
	}
	return Draft{Text: text, Found: s.found}, nil
}

// detectors in the order of their say: what a Procfile names is not guessed
// again, a Dockerfile is asked last.
func detectors() []func(*sketch) {
	return []func(*sketch){lookProcfile, lookGo, lookRuby, lookPHP, lookPython, lookNode, lookDockerfile}
}

// sketch is what is known of an app so far.
type sketch struct {
	tree      fs.FS
	app       string
	found     []string
	build     []string // shell command lines, in order
	files     []string // only what one language alone knows; empty: everything
	partial   bool     // a second language has files too
	processes []process
	jobs      []task
	store     string // kind of the database
	migrate   *task
	variables [][2]string // with their values in every environment
	secrets   []string
}

// process is a service to be.
type process struct {
	name    string
	command string // as one would type it
	routed  bool
	ready   string // YAML of the probe
}

// task is a command to be run once or on a schedule.
type task struct {
	name, command, schedule string
	idempotent              bool
}

func (s *sketch) note(format string, args ...any) {
	s.found = append(s.found, fmt.Sprintf(format, args...))
}

// propose adds a process, unless one of that name is known already.
func (s *sketch) propose(p process) {
	for i, known := range s.processes {
		if known.name != p.name {
			continue
		}
		if p.routed && known.routed && known.ready == "" {
			s.processes[i].ready = p.ready // the framework knows where to ask
		}
		return
	}
	s.processes = append(s.processes, p)
}

// suggest adds a process only if no better source named any.
func (s *sketch) suggest(p process) {
	if len(s.processes) == 0 || slices.ContainsFunc(s.processes, func(k process) bool { return k.name == p.name }) {
		s.propose(p)
	}
}

// extra adds a process that goes with a framework, unless a Procfile said it
// all.
func (s *sketch) extra(p process) {
	if !s.has("Procfile") {
		s.propose(p)
	}
}

// migration is taken from the first that knows one.
func (s *sketch) migration(kind string, t task) {
	if s.store == "" {
		s.store = kind
	}
	switch {
	case s.migrate == nil:
		s.migrate = &t
	case s.migrate.command == t.command:
		s.migrate.idempotent = s.migrate.idempotent || t.idempotent
	}
}

// steps adds what builds a language's part.
func (s *sketch) steps(files []string, lines ...string) {
	if len(s.build) > 0 || len(files) == 0 {
		s.partial = true
	}
	s.build = append(s.build, lines...)
	s.files = append(s.files, files...)
}

// complete fills what nothing was found for.
func (s *sketch) complete() {
	if len(s.processes) == 0 {
		s.processes = []process{{name: "web", command: "./start", routed: true}}
		s.note("nothing that says how the app is started: write the command of the service \"web\" yourself")
	}
	if len(s.build) == 0 {
		s.note("no build: the files of the repository are the release")
	}
}

// readLimit is more than any of the files looked at needs.
const readLimit = 1 << 20

// read gives a regular file's text.
func (s *sketch) read(name string) (string, bool) {
	f, err := s.tree.Open(name)
	if err != nil {
		return "", false
	}
	defer f.Close() //nolint:errcheck // only read
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return "", false
	}
	data, err := io.ReadAll(io.LimitReader(f, readLimit))
	return string(data), err == nil
}

func (s *sketch) has(name string) bool {
	_, err := fs.Stat(s.tree, name)
	return err == nil
}

// present keeps the names that exist.
func (s *sketch) present(names ...string) []string {
	var all []string
	for _, name := range names {
		if s.has(name) {
			all = append(all, name)
		}
	}
	return all
}

// nameFrom makes a valid name from any text, "app" if nothing is left.
func nameFrom(text string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '-'
	}, text)
	name = strings.TrimLeft(name, "-0123456789")
	name = strings.Trim(name[:min(len(name), noon.MaxName)], "-")
	if noon.ValidName(name) != nil {
		return "app"
	}
	return name
}
