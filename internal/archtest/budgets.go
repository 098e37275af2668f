package archtest

import (
	"go/ast"
	"slices"
	"strings"
)

// The budgets.
const (
	FunctionLines    = 70  // no function body is longer
	FunctionLinesP90 = 30  // nine of ten are no longer
	FileLines        = 500 // no file is longer, tests included
	Methods          = 3   // of an interface
	MethodsBecause   = 5   // of an interface whose comment says why
)

// LongFiles finds files over the budget.
func LongFiles(t Tree) []Finding {
	var found []Finding
	for _, f := range t.Files {
		if !f.Generated && f.Lines > FileLines {
			found = append(found, t.at(f, f.AST.Package, "%d lines, the budget is %d: one idea a file", f.Lines, FileLines))
		}
	}
	return found
}

// LongFunctions finds functions over the budget, and the longest ones where
// too many are long.
func LongFunctions(t Tree) []Finding {
	type function struct {
		file  File
		decl  *ast.FuncDecl
		lines int
	}
	var all []function
	t.code(func(f File) {
		for _, d := range f.AST.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Body != nil {
				all = append(all, function{f, fn, t.bodyLines(fn.Body)})
			}
		}
	})
	slices.SortStableFunc(all, func(a, b function) int { return b.lines - a.lines })
	var found []Finding
	tenth := len(all) / 10
	for i, fn := range all {
		switch {
		case fn.lines > FunctionLines:
			found = append(found, t.at(fn.file, fn.decl.Pos(), "%s has %d lines, the budget is %d", fn.decl.Name.Name, fn.lines, FunctionLines))
		case i <= tenth && all[tenth].lines > FunctionLinesP90:
			found = append(found, t.at(fn.file, fn.decl.Pos(), "%s has %d lines and is among the tenth that is longest; nine of ten functions have at most %d", fn.decl.Name.Name, fn.lines, FunctionLinesP90))
		}
	}
	return found
}

func (t Tree) bodyLines(b *ast.BlockStmt) int {
	return max(t.Fset.Position(b.Rbrace).Line-t.Fset.Position(b.Lbrace).Line-1, 1)
}

// WideInterfaces finds interfaces with too many methods.
func WideInterfaces(t Tree) []Finding {
	declared := t.interfaces()
	var found []Finding
	t.code(func(f File) {
		eachType(f, func(d *ast.GenDecl, s *ast.TypeSpec) {
			in, ok := s.Type.(*ast.InterfaceType)
			if !ok {
				return
			}
			n := methods(in, f.Dir(), declared)
			because := strings.Contains(s.Doc.Text(), "because") || strings.Contains(d.Doc.Text(), "because")
			switch {
			case n > MethodsBecause:
				found = append(found, t.at(f, s.Pos(), "interface %s has %d methods, the most is %d", s.Name.Name, n, MethodsBecause))
			case n > Methods && !because:
				found = append(found, t.at(f, s.Pos(), "interface %s has %d methods; more than %d need a comment that says why, with the word because", s.Name.Name, n, Methods))
			}
		})
	})
	return found
}

// interfaces gives every declared interface by directory and name.
func (t Tree) interfaces() map[string]*ast.InterfaceType {
	declared := map[string]*ast.InterfaceType{}
	t.code(func(f File) {
		eachType(f, func(_ *ast.GenDecl, s *ast.TypeSpec) {
			if in, ok := s.Type.(*ast.InterfaceType); ok {
				declared[f.Dir()+"."+s.Name.Name] = in
			}
		})
	})
	return declared
}

// methods counts the methods of an interface with those of the interfaces of
// the same package that it embeds; one of another package counts as one.
func methods(in *ast.InterfaceType, dir string, declared map[string]*ast.InterfaceType) int {
	n := 0
	for _, field := range in.Methods.List {
		switch typ := field.Type.(type) {
		case *ast.FuncType:
			n += len(field.Names)
		case *ast.SelectorExpr:
			n++
		case *ast.Ident:
			if embedded, ok := declared[dir+"."+typ.Name]; ok && embedded != in {
				n += methods(embedded, dir, declared)
			}
		}
	}
	return n
}

func eachType(f File, visit func(*ast.GenDecl, *ast.TypeSpec)) {
	for _, d := range f.AST.Decls {
		decl, ok := d.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, s := range decl.Specs {
			if spec, ok := s.(*ast.TypeSpec); ok {
				visit(decl, spec)
			}
		}
	}
}
