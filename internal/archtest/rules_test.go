package archtest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/noon-deploy/noon/internal/archtest"
)

// A fixture is files by path; want is what a rule says about them, each a
// place and a part of the text: "a.go:3 sleep".
type fixture struct {
	name  string
	rule  func(archtest.Tree) []archtest.Finding
	files map[string]string
	want  []string
}

func parse(t *testing.T, files map[string]string) archtest.Tree {
	t.Helper()
	tr, err := archtest.Parse(files)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func run(t *testing.T, fixtures []fixture) {
	t.Helper()
	for _, fx := range fixtures {
		t.Run(fx.name, func(t *testing.T) {
			t.Parallel()
			expect(t, fx.rule(parse(t, fx.files)), fx.want)
		})
	}
}

// expect compares findings with "path:line part of the text", in order.
func expect(t *testing.T, found []archtest.Finding, want []string) {
	t.Helper()
	var got []string
	for i, f := range found {
		place := fmt.Sprintf("%s:%d", f.Path, f.Line)
		part := f.Text
		if i < len(want) {
			if p, text, ok := strings.Cut(want[i], " "); ok && p == place && strings.Contains(f.Text, text) {
				part = text
			}
		}
		got = append(got, place+" "+part)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("findings differ (-want +got):\n%s", d)
	}
}

func imports(tr archtest.Tree) []archtest.Finding {
	return archtest.Imports(tr, archtest.Rows(), archtest.Soles())
}

func importing(pkg string, paths ...string) string {
	var b strings.Builder
	b.WriteString("package " + pkg + "\n")
	for _, p := range paths {
		fmt.Fprintf(&b, "import _ %q\n", p)
	}
	return b.String()
}

const own = archtest.Module

func TestImports(t *testing.T) {
	t.Parallel()
	run(t, []fixture{
		{
			"the vocabulary is pure", imports,
			map[string]string{"app.go": importing("noon", "time", "os", "net/http", "os/exec", "database/sql", "github.com/google/go-cmp/cmp", own+"/internal/fault")},
			[]string{"app.go:3 may not import os", "app.go:4 may not import net/http", "app.go:5 may not import os/exec", "app.go:6 may not import database/sql", "app.go:7 may not import github.com/google", "app.go:8 may not import " + own},
		},
		{
			"the planner knows the vocabulary", imports,
			map[string]string{"internal/planner/p.go": importing("planner", own, "slices", "math/rand/v2", own+"/internal/fault", own+"/internal/walk")},
			[]string{"internal/planner/p.go:4 pure function", "internal/planner/p.go:5 pure function", "internal/planner/p.go:6 pure function"},
		},
		{
			"the walk acts through interfaces", imports,
			map[string]string{"internal/walk/w.go": importing("walk", own, own+"/internal/fault", own+"/internal/ledger", "os")},
			[]string{"internal/walk/w.go:4 through the interfaces", "internal/walk/w.go:5 through the interfaces"},
		},
		{
			"adapters never meet, their own parts do", imports,
			map[string]string{
				"internal/host/process/p.go":       importing("process", own, own+"/internal/host", own+"/internal/atomicfile"),
				"internal/host/h.go":               importing("host", own+"/internal/host/process", own+"/internal/proxy"),
				"internal/ledger/l.go":             importing("ledger", own+"/internal/hostile"),
				"internal/manifest/m.go":           importing("manifest", "github.com/goccy/go-yaml/ast"),
				"internal/release/r.go":            importing("release", "github.com/goccy/go-yaml", "github.com/google/go-containerregistry/pkg/v1"),
				"internal/host/real_proxy_test.go": importing("host_test", own+"/internal/proxy", "modernc.org/sqlite"),
			},
			[]string{"internal/host/h.go:3 adapters never meet", "internal/ledger/l.go:2 adapters never meet", "internal/release/r.go:2 only YAML"},
		},
		{
			"the terminal library is tui's, in tests too", imports,
			map[string]string{
				"internal/tui/t.go":      importing("tui", "charm.land/lipgloss/v2"),
				"internal/cli/c.go":      importing("cli", "github.com/spf13/cobra", "charm.land/lipgloss/v2"),
				"internal/cli/c_test.go": importing("cli_test", "charm.land/lipgloss/v2"),
			},
			[]string{"internal/cli/c.go:3 terminal library", "internal/cli/c_test.go:2 terminal library"},
		},
		{
			"only the composition root sees all", imports,
			map[string]string{
				"internal/daemon/d.go": importing("daemon", own+"/internal/host", own+"/internal/proxy", own+"/internal/ledger", own+"/internal/walk"),
				"internal/cli/c.go":    importing("cli", own+"/internal/daemon", own+"/internal/api", own+"/internal/host"),
				"cmd/noon/main.go":     importing("main", own+"/internal/cli", own+"/internal/walk"),
				"internal/api/a.go":    importing("api", own, "net/http", own+"/internal/walk"),
			},
			[]string{"cmd/noon/main.go:3 main hands the parts", "internal/api/a.go:4 a face translates", "internal/cli/c.go:4 client of the API"},
		},
		{
			"examples are strangers, e2e stays outside", imports,
			map[string]string{
				"examples/shop/main.go": importing("main", "modernc.org/sqlite", own+"/examples/shop/store", own),
				"e2e/e2e_test.go":       importing("e2e", own+"/internal/host"),
				"e2e/drive/d.go":        importing("drive", own+"/internal/host"),
			},
			[]string{"e2e/drive/d.go:2 from outside", "examples/shop/main.go:4 no library"},
		},
		{
			"every package has a row", imports,
			map[string]string{"internal/new/n.go": importing("new"), "internal/new/o.go": importing("new", "os")},
			[]string{"internal/new/n.go:1 no row"},
		},
	})
}

func function(name string, lines int) string {
	return "func " + name + "() {\n" + strings.Repeat("\t_ = 0\n", lines) + "}\n"
}

func TestBudgets(t *testing.T) {
	t.Parallel()
	short := "package a\n"
	for i := range 18 {
		short += function(fmt.Sprintf("s%d", i), 3)
	}
	run(t, []fixture{
		{"a file of 501 lines", archtest.LongFiles, map[string]string{"a.go": "package a\n" + strings.Repeat("\n", 500), "b_test.go": "package a\n" + strings.Repeat("\n", 500)}, []string{"a.go:1 501 lines", "b_test.go:1 501 lines"}},
		{"a file of 500 lines, a generated one", archtest.LongFiles, map[string]string{"a.go": "package a\n" + strings.Repeat("\n", 499), "g.go": "// Code generated by x. DO NOT EDIT.\n\npackage a\n" + strings.Repeat("\n", 600)}, nil},
		{"a function of 71 lines", archtest.LongFunctions, map[string]string{"a.go": short, "b.go": "package a\n" + function("f", 71) + function("g", 5)}, []string{"b.go:2 f has 71 lines"}},
		{"a function of 70 lines", archtest.LongFunctions, map[string]string{"a.go": short, "b.go": "package a\n" + function("f", 70) + function("g", 5)}, nil},
		{"long tests are not counted", archtest.LongFunctions, map[string]string{"a_test.go": "package a\n" + function("f", 200)}, nil},
		{"more than a tenth is long", archtest.LongFunctions, map[string]string{"a.go": short, "b.go": "package a\n" + function("f", 31) + function("g", 40) + function("h", 33)}, []string{"b.go:35 g has 40 lines and is among", "b.go:77 h has 33 lines", "b.go:2 f has 31 lines"}},
		{"a tenth is long", archtest.LongFunctions, map[string]string{"a.go": short, "b.go": "package a\n" + function("f", 31) + function("g", 40)}, nil},
		{"four methods", archtest.WideInterfaces, map[string]string{"a.go": "package a\ntype I interface { A(); B(); C(); D() }\n"}, []string{"a.go:2 interface I has 4 methods"}},
		{"three methods", archtest.WideInterfaces, map[string]string{"a.go": "package a\ntype I interface { A(); B(); C() }\n"}, nil},
		{"five methods with a reason", archtest.WideInterfaces, map[string]string{"a.go": "package a\n// I is wide because a host is one thing.\ntype I interface { A(); B(); C(); D(); E() }\n"}, nil},
		{"six methods with a reason", archtest.WideInterfaces, map[string]string{"a.go": "package a\n// I is wide because a host is one thing.\ntype I interface { A(); B(); C(); D(); E(); F() }\n"}, []string{"a.go:3 has 6 methods, the most"}},
		{"embedding counts", archtest.WideInterfaces, map[string]string{"a.go": "package a\ntype I interface { J; io.Closer; A(); B() }\n", "b.go": "package a\ntype J interface { C() }\n"}, []string{"a.go:2 interface I has 4 methods"}},
		{"a constraint has no methods", archtest.WideInterfaces, map[string]string{"a.go": "package a\ntype I interface { ~int | ~int8 | ~int16 | ~int32 | ~int64 }\n"}, nil},
	})
}

func TestComments(t *testing.T) {
	t.Parallel()
	run(t, []fixture{
		{"a package without comment", archtest.PackageDocs, map[string]string{"a/a.go": "package a\n", "a/b.go": "package a\n", "b/b.go": "// Package b is b.\npackage b\n"}, []string{"a/a.go:1 package a has no"}},
		{"a directive is no comment", archtest.PackageDocs, map[string]string{"a/a.go": "//go:build linux\n\npackage a\n"}, []string{"a/a.go:3 package a has no"}},
		{
			"exported names", archtest.Undocumented,
			map[string]string{"a.go": `package a

func F() {}
func f() {}
type T struct{}
func (T) M() {}
func (*T) P() {}
func (G[K]) Q() {}
type t struct{}
func (t) M() {}
const C, D = 1, 2
var V int
const (
	E = 1
	F2 = 2 // said
)
type (
	U int
	// W is said.
	W int
)
`},
			[]string{"a.go:3 exported F ", "a.go:5 exported T ", "a.go:6 exported M ", "a.go:7 exported P ", "a.go:8 exported Q ", "a.go:11 exported C ", "a.go:11 exported D ", "a.go:12 exported V ", "a.go:14 exported E ", "a.go:18 exported U "},
		},
		{
			"documented names, tests, generated files", archtest.Undocumented,
			map[string]string{
				"a.go":      "package a\n\n// F is said.\nfunc F() {}\n\n// The names.\nconst (\n\tA = 1\n\tB = 2\n)\n\n// T is said.\ntype T struct{}\n\n// M is said.\nfunc (T) M() {}\n",
				"a_test.go": "package a\nfunc TestF() {}\n",
				"g.go":      "// Code generated by x. DO NOT EDIT.\n\npackage a\n\nfunc G() {}\n",
			},
			nil,
		},
		{
			"work put off", archtest.Postponed,
			map[string]string{"a.go": "package a\n\n// TODO: later\nvar a = 1 // not XXXL\n/* FIXME */\n// see XXX\nvar s = \"TODO\"\n", "a_test.go": "package a\n// TODO(x) test\n"},
			[]string{"a.go:3 TODO", "a.go:5 FIXME", "a.go:6 XXX", "a_test.go:2 TODO"},
		},
	})
}

func TestHabits(t *testing.T) {
	t.Parallel()
	run(t, []fixture{
		{"init", archtest.InitFunctions, map[string]string{"a.go": "package a\nfunc init() {}\ntype T struct{}\nfunc (T) init() {}\n", "a_test.go": "package a\nfunc init() {}\n"}, []string{"a.go:2 init", "a_test.go:2 init"}},
		{
			"sleeps", archtest.Sleeps,
			map[string]string{
				"a.go":                 "package a\nimport \"time\"\nfunc f() { time.Sleep(1) }\n",
				"a_test.go":            "package a\nimport \"time\"\nfunc f() { time.Sleep(1) }\n",
				"b_test.go":            "package a\nimport clock \"time\"\nvar wait = clock.Sleep\n",
				"c_test.go":            "package a\nimport time \"example.com/time\"\nfunc f() { time.Sleep(1) }\n",
				"e2e/drive/d.go":       "package drive\nimport \"time\"\nfunc f() { time.Sleep(1) }\n",
				"host/hosttest/s.go":   "package hosttest\nimport \"time\"\nfunc f() { time.Sleep(1) }\n",
				"testdata/app_test.go": "package main\nimport \"time\"\nfunc f() { time.Sleep(1) }\n",
			},
			[]string{"a_test.go:3 time.Sleep", "b_test.go:3 time.Sleep", "e2e/drive/d.go:3 time.Sleep", "host/hosttest/s.go:3 time.Sleep"},
		},
		{
			"variables", archtest.PackageVariables,
			map[string]string{"a.go": `package a

var count int
var names = map[string]int{"a": 1}
var list = []string{"a"}
var ErrLoud = fmt.Sprint("x")
var errPlain error
var a, errB = f()
var version = "dev"
var now = time.Now
`},
			[]string{"a.go:3 count", "a.go:4 names", "a.go:5 list", "a.go:6 ErrLoud", "a.go:7 errPlain", "a.go:8 variable a ", "a.go:8 errB", "a.go:9 version", "a.go:10 now"},
		},
		{
			"what nothing changes", archtest.PackageVariables,
			map[string]string{
				"a.go": `package a

var _ io.Reader = (*T)(nil)
var ErrGone = errors.New("gone")
var errOld, errNew = errors.New("old"), fmt.Errorf("new")
var name = regexp.MustCompile("a")
var schema = sync.OnceValue(f)

//go:embed static
var files embed.FS

var (
	//go:embed a.txt
	text string
)
`,
				"cmd/noon/main.go": "package main\nvar version = \"dev\"\n",
				"a_test.go":        "package a\nvar update = flag.Bool(\"update\", false, \"\")\n",
			},
			nil,
		},
		{
			"empty names", archtest.EmptyNames,
			map[string]string{"util/u.go": "package util\n", "a.go": "package a\ntype HostManager struct{}\ntype storeImpl struct{}\ntype Host struct{}\n"},
			[]string{"a.go:2 HostManager", "a.go:3 storeImpl", "util/u.go:1 package util"},
		},
	})
}

func TestParseReportsWhatIsNoGo(t *testing.T) {
	t.Parallel()
	tr, err := archtest.Parse(map[string]string{"a.go": "package a\n", "b.go": "no go\n", "c.txt": "text", "testdata/d.go": "no go\n"})
	if err == nil || !strings.Contains(err.Error(), "b.go:1") || strings.Contains(err.Error(), "testdata") {
		t.Errorf("error = %v, want one about b.go", err)
	}
	if len(tr.Files) != 1 || tr.Files[0].Path != "a.go" {
		t.Errorf("files = %v, want a.go", tr.Files)
	}
}
