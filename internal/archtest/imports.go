package archtest

import (
	"path"
	"slices"
	"strconv"
	"strings"
)

// Row says what the packages of one part of the tree may import. Patterns are
// directories relative to the root; "internal/host/..." includes those below.
// Packages of one pattern may always import each other. Tests are free to
// import what they need to set up a real counterpart.
type Row struct {
	Part    string
	May     []string // of noon's own packages
	Not     []string // path prefixes of the standard library and of modules
	Because string
}

// Sole says that a module is imported by these parts only, tests included.
type Sole struct {
	Prefix  string
	Parts   []string
	Because string
}

// Rows is the import direction. The first row whose part matches holds.
func Rows() []Row {
	io := []string{"os", "net", "syscall", "database/sql", "log", "math/rand", "crypto/rand", "golang.org/x", "github.com", "modernc.org"}
	leaves := []string{".", "internal/atomicfile", "internal/fault"}
	adapter := "an adapter serves the vocabulary; that adapters never meet is what lets one be replaced"
	return []Row{
		{".", nil, io, "the vocabulary is pure: every other package can speak it without cost"},
		{"internal/atomicfile", nil, nil, "a leaf"},
		{"internal/fault", nil, nil, "a leaf"},
		{"internal/sockets", []string{".", "internal/fault"}, nil, "who holds the sockets knows nothing of who serves them: the proxy and the daemon build on it"},
		{"internal/archtest", nil, nil, "it looks at the code from outside"},
		{"internal/planner", []string{"."}, io, "a plan is a pure function of what was observed and what is wanted"},
		{"internal/walk", []string{".", "internal/fault"}, []string{"os", "net", "database/sql", "math/rand"}, "the walk acts through the interfaces it declares, so that it can be tested in a simulated world"},
		{"internal/judge/...", []string{"."}, io, "a verdict is a pure function of what was measured"},
		{"internal/world/...", append(leaves, "internal/planner", "internal/walk"), []string{"os/exec", "database/sql"}, "the simulated world has no machine, process or disk in it"},
		{"internal/manifest/...", leaves, nil, adapter},
		{"internal/release/...", leaves, nil, adapter},
		{"internal/host/...", leaves, nil, adapter},
		{"internal/proxy/h1/...", nil, io, "a grammar is a pure function of bytes: it can be fuzzed, and nothing in it waits"},
		{"internal/proxy/meter/...", leaves, nil, "a part of the proxy stands alone: the proxy puts its parts together"},
		{"internal/proxy/rules/...", []string{"."}, []string{"os", "net/http", "database/sql", "log", "math/rand", "syscall"}, "rules are a pure function of a request: they can be fuzzed, and nothing in them waits"},
		{"internal/proxy/cert/...", leaves, nil, "a part of the proxy stands alone: the proxy puts its parts together"},
		{"internal/proxy/soak/...", nil, nil, "tests only: the package itself is empty"},
		{"internal/proxy", append(leaves, "internal/sockets", "internal/proxy/h1", "internal/proxy/meter", "internal/proxy/cert", "internal/proxy/rules"), nil, adapter},
		{"internal/ledger/...", leaves, nil, adapter},
		{"internal/schedule/...", leaves, nil, adapter},
		{"internal/database/...", leaves, nil, adapter},
		{"internal/store/...", leaves, nil, adapter},
		{"internal/api/...", leaves, []string{"database/sql", "os/exec"}, "a face translates; it asks for what it needs through interfaces it declares"},
		{"internal/web/...", leaves, []string{"database/sql", "os/exec"}, "a face translates; it asks for what it needs through interfaces it declares"},
		{"internal/tui/...", []string{".", "internal/api"}, []string{"net", "database/sql", "os/exec"}, "tui draws what it is given: values of the vocabulary and answers of the API"},
		{"internal/load/...", []string{"."}, []string{"os/exec"}, "customers know the app, not what deploys it"},
		{"internal/demo/...", append(leaves, "internal/api/...", "internal/load/...", "examples/shop/releases"), []string{"database/sql"}, "the demo uses noon as a user does: through the API and the binary"},
		{"internal/daemon/...", []string{".", "internal/..."}, []string{"github.com/spf13/cobra"}, "the composition root sees all"},
		{"internal/cli/...", append(leaves, "internal/api/...", "internal/manifest/...", "internal/release", "internal/tui/...", "internal/daemon/...", "internal/demo/...", "internal/database/migration", "internal/database/lint", "internal/database/sqlparse"), []string{"database/sql"}, "the CLI is a client of the API, reads, lints and builds the checkout it is called in, and runs its migrations where there is no controller; what runs is wired in daemon"},
		{"cmd/noon", []string{"internal/cli/...", "internal/api", "internal/daemon", "internal/database/grammar", "internal/demo", "internal/fault", "internal/host/process", "internal/sockets"}, nil, "main hands the parts of the daemon, and the processes it starts, to the CLI, and does nothing else"},
		{"e2e/...", []string{".", "internal/api/...", "internal/load/..."}, nil, "e2e drives the built binary from outside"},
		{"bench/...", []string{".", "bench/..."}, nil, "the benchmark drives built binaries from outside; of noon it knows the words that the proxy is told"},
		{"examples/...", []string{"examples/..."}, nil, "an example is an app as a user would write it: noon is no library it needs"},
	}
}

// Soles are the modules that one part of noon keeps to itself.
func Soles() []Sole {
	return []Sole{
		{"charm.land", []string{"internal/tui/..."}, "a terminal library is one choice in one place"},
		{"github.com/spf13/cobra", []string{"internal/cli/..."}, "commands and flags are the CLI's own"},
		{"github.com/google/go-containerregistry", []string{"internal/release/..."}, "OCI is how releases are kept, nothing else"},
		{"github.com/goccy/go-yaml", []string{"internal/manifest/...", "internal/database/change"}, "noon.yaml and declared changes of a schema are the only YAML, each read in one place"},
	}
}

// Imports finds the imports that go against the rows and the soles, and the
// packages for which there is no row.
func Imports(t Tree, rows []Row, soles []Sole) []Finding {
	var found []Finding
	unknown := map[string]bool{}
	for _, f := range t.Files {
		row, ok := rowOf(rows, f.Dir())
		if !ok {
			if !unknown[f.Dir()] {
				unknown[f.Dir()] = true
				found = append(found, t.at(f, f.AST.Package, "no row of the import table covers %s: add one to archtest.Rows, with its reason", f.Dir()))
			}
			continue
		}
		for _, spec := range f.AST.Imports {
			target, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				continue // the parser has accepted it, so this is not reached
			}
			if why := against(soles, f.Dir(), target); why != "" {
				found = append(found, t.at(f, spec.Pos(), "%s may not be imported here: %s", target, why))
			}
			if !f.Test && !row.allows(target) {
				found = append(found, t.at(f, spec.Pos(), "%s may not import %s: %s", f.Dir(), target, row.Because))
			}
		}
	}
	return found
}

func rowOf(rows []Row, dir string) (Row, bool) {
	for _, r := range rows {
		if matches(r.Part, dir) {
			return r, true
		}
	}
	return Row{}, false
}

func against(soles []Sole, dir, target string) string {
	for _, s := range soles {
		if under(s.Prefix, target) && !matchesAny(s.Parts, dir) {
			return s.Because
		}
	}
	return ""
}

func (r Row) allows(target string) bool {
	if target == Module || strings.HasPrefix(target, Module+"/") {
		dir := path.Join(".", strings.TrimPrefix(strings.TrimPrefix(target, Module), "/"))
		return matches(r.Part, dir) || matchesAny(r.May, dir)
	}
	return !slices.ContainsFunc(r.Not, func(prefix string) bool { return under(prefix, target) })
}

func matchesAny(patterns []string, dir string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, dir) })
}

func matches(pattern, dir string) bool {
	base, deep := strings.CutSuffix(pattern, "/...")
	if deep {
		return under(base, dir)
	}
	return pattern == dir
}

// under reports whether p is prefix or below it.
func under(prefix, p string) bool { return p == prefix || strings.HasPrefix(p, prefix+"/") }
