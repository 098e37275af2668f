package archtest

import (
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// InitFunctions finds functions that run by being imported.
func InitFunctions(t Tree) []Finding {
	var found []Finding
	for _, f := range t.Files {
		for _, d := range f.AST.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				found = append(found, t.at(f, fn.Pos(), "init runs unasked: make it a call in daemon"))
			}
		}
	}
	return found
}

// Sleeps finds time.Sleep in tests and in packages that only tests use: it
// makes them slow or wrong, mostly both.
func Sleeps(t Tree) []Finding {
	var found []Finding
	for _, f := range t.Files {
		dir := f.Dir()
		if !f.Test && !under("e2e", dir) && !under("internal/world", dir) && !strings.HasSuffix(dir, "test") {
			continue
		}
		name := importName(f.AST, "time")
		ast.Inspect(f.AST, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && name != "" && isName(s.X, name) && s.Sel.Name == "Sleep" {
				found = append(found, t.at(f, s.Pos(), "time.Sleep in a test: wait for the event, or poll a condition with a deadline"))
			}
			return true
		})
	}
	return found
}

// importName is the name by which a file calls an imported package, "" if it
// does not import it.
func importName(f *ast.File, importPath string) string {
	for _, spec := range f.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil || p != importPath {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return p[strings.LastIndexByte(p, '/')+1:]
	}
	return ""
}

func isName(e ast.Expr, name string) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == name
}

// variable is one package-level variable in its place.
type variable struct {
	file  File
	decl  *ast.GenDecl
	spec  *ast.ValueSpec
	name  string
	value ast.Expr // nil if it has none of its own
}

// exception is a kind of package-level variable that nothing ever changes.
type exception struct {
	because string
	holds   func(variable) bool
}

func exceptions() []exception {
	return []exception{
		{"an assertion of the compiler, no variable", func(v variable) bool { return v.name == "_" }},
		{"a sentinel error is compared, never assigned", func(v variable) bool {
			return (strings.HasPrefix(v.name, "err") || strings.HasPrefix(v.name, "Err")) && calls(v.value, "errors.New", "fmt.Errorf")
		}},
		{"a compiled expression can not be changed", func(v variable) bool { return calls(v.value, "regexp.MustCompile") }},
		{"a function that computes its value once", func(v variable) bool { return calls(v.value, "sync.OnceValue", "sync.OnceValues", "sync.OnceFunc") }},
		{"the compiler fills it from files", func(v variable) bool { return embedded(v.decl.Doc) || embedded(v.spec.Doc) }},
		{"the linker fills it", func(v variable) bool { return v.file.Path == "cmd/noon/main.go" && v.name == "version" }},
	}
}

// PackageVariables finds package-level variables that could be changed.
func PackageVariables(t Tree) []Finding {
	var found []Finding
	t.code(func(f File) {
		for _, v := range variables(f) {
			if !slices.ContainsFunc(exceptions(), func(e exception) bool { return e.holds(v) }) {
				found = append(found, t.at(f, v.spec.Pos(), "package-level variable %s can be changed from anywhere: make it a constant, a function or a field", v.name))
			}
		}
	})
	return found
}

func variables(f File) []variable {
	var all []variable
	for _, d := range f.AST.Decls {
		decl, ok := d.(*ast.GenDecl)
		if !ok || decl.Tok != token.VAR {
			continue
		}
		for _, s := range decl.Specs {
			spec := s.(*ast.ValueSpec)
			for i, n := range spec.Names {
				v := variable{file: f, decl: decl, spec: spec, name: n.Name}
				if len(spec.Values) == len(spec.Names) {
					v.value = spec.Values[i]
				}
				all = append(all, v)
			}
		}
	}
	return all
}

func calls(e ast.Expr, functions ...string) bool {
	call, ok := e.(*ast.CallExpr)
	if !ok {
		return false
	}
	fn, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	pkg, ok := fn.X.(*ast.Ident)
	return ok && slices.Contains(functions, pkg.Name+"."+fn.Sel.Name)
}

func embedded(doc *ast.CommentGroup) bool {
	return doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, "//go:embed ") })
}

// EmptyNames finds packages and types whose names say nothing about what they
// are.
func EmptyNames(t Tree) []Finding {
	packages := regexp.MustCompile(`^(utils?|helpers?|common|misc|base|impl|shared|managers?)$`)
	types := regexp.MustCompile(`(Util|Utils|Helper|Manager|Impl|Factory)$`)
	var found []Finding
	for _, f := range t.Files {
		if name := f.AST.Name.Name; packages.MatchString(name) {
			found = append(found, t.at(f, f.AST.Name.Pos(), "package %s: name it after what it is about", name))
		}
		eachType(f, func(_ *ast.GenDecl, s *ast.TypeSpec) {
			if types.MatchString(s.Name.Name) {
				found = append(found, t.at(f, s.Pos(), "type %s: name it after what it is", s.Name.Name))
			}
		})
	}
	return found
}
