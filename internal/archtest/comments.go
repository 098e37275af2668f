package archtest

import (
	"go/ast"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// PackageDocs finds packages without a package comment.
func PackageDocs(t Tree) []Finding {
	first, documented := map[string]File{}, map[string]bool{}
	for _, f := range t.Files {
		if _, ok := first[f.Dir()]; !ok {
			first[f.Dir()] = f
		}
		if strings.TrimSpace(f.AST.Doc.Text()) != "" {
			documented[f.Dir()] = true
		}
	}
	var found []Finding
	for _, dir := range slices.Sorted(maps.Keys(first)) {
		if f := first[dir]; !documented[dir] {
			found = append(found, t.at(f, f.AST.Package, "package %s has no package comment", f.AST.Name.Name))
		}
	}
	return found
}

// Undocumented finds exported names without a comment. In a group of constants
// or variables the comment of the group is enough.
func Undocumented(t Tree) []Finding {
	var found []Finding
	t.code(func(f File) {
		for _, d := range f.AST.Decls {
			for _, name := range undocumented(d) {
				found = append(found, t.at(f, name.Pos(), "exported %s has no comment", name.Name))
			}
		}
	})
	return found
}

func undocumented(d ast.Decl) []*ast.Ident {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && receiverExported(d) && d.Doc.Text() == "" {
			return []*ast.Ident{d.Name}
		}
	case *ast.GenDecl:
		var names []*ast.Ident
		for _, s := range d.Specs {
			names = append(names, undocumentedSpec(d, s)...)
		}
		return names
	}
	return nil
}

func undocumentedSpec(d *ast.GenDecl, s ast.Spec) []*ast.Ident {
	var names []*ast.Ident
	switch s := s.(type) {
	case *ast.TypeSpec:
		alone := !d.Lparen.IsValid() && d.Doc.Text() != ""
		if s.Name.IsExported() && !alone && s.Doc.Text() == "" && s.Comment.Text() == "" {
			names = append(names, s.Name)
		}
	case *ast.ValueSpec:
		if d.Doc.Text() != "" || s.Doc.Text() != "" || s.Comment.Text() != "" {
			return nil
		}
		for _, n := range s.Names {
			if n.IsExported() {
				names = append(names, n)
			}
		}
	}
	return names
}

// receiverExported reports whether a function is no method, or one of an
// exported type.
func receiverExported(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	exported := true
	ast.Inspect(d.Recv.List[0].Type, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok {
			exported = id.IsExported()
			return false
		}
		return exported
	})
	return exported
}

// Postponed finds comments that put work off.
func Postponed(t Tree) []Finding {
	mark := regexp.MustCompile(`\b(TODO|FIXME|XXX|HACK)\b`)
	var found []Finding
	for _, f := range t.Files {
		for _, group := range f.AST.Comments {
			for _, c := range group.List {
				if m := mark.FindString(c.Text); m != "" {
					found = append(found, t.at(f, c.Pos(), "%s: do it, or file it as an issue", m))
				}
			}
		}
	}
	return found
}
