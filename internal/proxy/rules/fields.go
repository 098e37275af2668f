package rules

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/noon-deploy/noon"
)

// Field is a header field that is set.
type Field struct{ Name, Value string }

// Fields are changes of header fields.
type Fields struct {
	names [][]string // lower case, those that go; by length
	set   []Field    // sorted by name
	lines []byte     // set, as HTTP/1.1 has it
}

// CompileFields makes Fields.
func CompileFields(h noon.HeaderRules) (Fields, error) {
	var out Fields
	var errs []error
	note := func(name string) bool {
		if err := noon.ValidField(name); err != nil {
			errs = append(errs, err)
			return false
		}
		return true
	}
	for _, name := range h.Remove {
		if note(name) {
			out.remove(name)
		}
	}
	seen := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(h.Set)) {
		value := h.Set[name]
		if !note(name) {
			continue
		}
		if err := noon.ValidFieldValue(value); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
			continue
		}
		if lower := strings.ToLower(name); seen[lower] {
			errs = append(errs, fmt.Errorf("%s is set twice", name))
		} else {
			seen[lower] = true
		}
		out.remove(name)
		out.set = append(out.set, Field{name, value})
		out.lines = append(out.lines, name+": "+value+"\r\n"...)
	}
	return out, errors.Join(errs...)
}

func (f *Fields) remove(name string) {
	for len(f.names) <= len(name) {
		f.names = append(f.names, nil)
	}
	f.names[len(name)] = append(f.names[len(name)], strings.ToLower(name))
}

// Empty reports whether nothing is changed.
func (f *Fields) Empty() bool { return f.names == nil }

// Removes reports whether fields of that name are not passed on: those that
// are to go, and those that are set anew.
func (f *Fields) Removes(name []byte) bool {
	if len(name) >= len(f.names) {
		return false
	}
	for _, n := range f.names[len(name)] {
		if equalFold(name, n) {
			return true
		}
	}
	return false
}

// equalFold compares with a text that is in lower case and of the same length.
func equalFold(b []byte, lower string) bool {
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// AppendSet writes the fields that are set as lines of HTTP/1.1.
func (f *Fields) AppendSet(dst []byte) []byte { return append(dst, f.lines...) }

// Set gives the fields that are set, for protocols that have no lines. It is
// not to be changed.
func (f *Fields) Set() []Field { return f.set }
