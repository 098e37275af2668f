package release

import (
	"cmp"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// kind is what an entry of a release may be; there is nothing else.
type kind string

const (
	regular   kind = "file"
	directory kind = "dir"
	symlink   kind = "link"
)

// entry is one file, directory or symbolic link of a release.
type entry struct {
	Path   string `json:"path"` // with slashes, relative to the release
	Kind   kind   `json:"kind"`
	Exec   bool   `json:"exec,omitempty"`
	Size   int64  `json:"size,omitempty"`
	Sum    string `json:"sha256,omitempty"` // of a file's content, once it is known
	Target string `json:"target,omitempty"` // of a link
}

// perm is the mode of the unpacked entry.
func (e entry) perm() fs.FileMode {
	if e.Kind == directory || e.Exec {
		return 0o555
	}
	return 0o444
}

// Bounds of one release, so that hostile input can not exhaust the machine.
const (
	maxEntries = 400_000
	maxPath    = 1024
	maxHops    = 40 // of symbolic links, as in the kernel
)

// recordName is the file that Unpack adds to a release.
const recordName = ".noon-release.json"

func sortEntries(entries []entry) {
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.Path, b.Path) })
}

// checkTree refuses entries that can not be unpacked to the same tree
// everywhere, or that reach outside of it.
func checkTree(entries []entry) error {
	if len(entries) > maxEntries {
		return refused("the release", fmt.Sprintf("it has more than %d files", maxEntries), "List what belongs to the release in build.files.")
	}
	t := tree{byPath: make(map[string]entry, len(entries))}
	folded := make(map[string]string, len(entries))
	for _, e := range entries {
		if err := checkPath(e.Path); err != nil {
			return err
		}
		fold := strings.ToLower(e.Path)
		switch other, dup := folded[fold]; {
		case dup && other == e.Path:
			return refused(e.Path, "it is there twice", "")
		case dup:
			return refused(e.Path, "its name differs from "+other+" only in case", "Rename one of them, or leave one out with build.files.")
		}
		folded[fold] = e.Path
		t.byPath[e.Path] = e
	}
	for _, e := range entries {
		if err := t.check(e); err != nil {
			return err
		}
	}
	return nil
}

func checkPath(p string) error {
	control := func(c rune) bool { return unicode.IsControl(c) || c == utf8.RuneError }
	const hint = "Rename it, or leave it out with build.files."
	switch {
	case !utf8.ValidString(p) || strings.ContainsFunc(p, control):
		return refused(fmt.Sprintf("%q", p), "its name is not plain UTF-8 text", hint)
	case !fs.ValidPath(p) || p == "." || strings.Contains(p, `\`):
		return refused(fmt.Sprintf("%q", p), "it is not a path inside the release that every system can have", hint)
	case len(p) > maxPath:
		return refused(p[:40]+"…", fmt.Sprintf("its path is longer than %d bytes", maxPath), hint)
	case p == recordName:
		return refused(p, "the name is noon's own", hint)
	}
	return nil
}

type tree struct{ byPath map[string]entry }

// check needs the whole tree: every parent is a directory, and links, whatever
// other links they pass, stay inside.
func (t tree) check(e entry) error {
	if parent := path.Dir(e.Path); parent != "." && t.byPath[parent].Kind != directory {
		return refused(e.Path, "its directory "+parent+" is not part of the release", "")
	}
	if e.Kind != symlink {
		return nil
	}
	hint := "Copy what it points at into the checkout, or leave the link out with build.files."
	switch {
	case e.Target == "" || !utf8.ValidString(e.Target) || strings.ContainsRune(e.Target, 0) || len(e.Target) > maxPath:
		return refused(e.Path, "it is a link to a name that is not plain text", hint)
	case path.IsAbs(e.Target):
		return refused(e.Path, "it is a link to the absolute path "+e.Target, hint)
	case !t.inside(path.Dir(e.Path), e.Target):
		return refused(e.Path, "it is a link that leaves the release: "+e.Target, hint)
	}
	return nil
}

// inside walks a link's target as the kernel would and reports whether it
// stays below the root. Names that do not exist are taken for directories.
func (t tree) inside(dir, target string) bool {
	at := split(dir)
	todo := split(target)
	for hops := 0; len(todo) > 0; {
		name := todo[0]
		todo = todo[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			if len(at) == 0 {
				return false
			}
			at = at[:len(at)-1]
			continue
		}
		next := append(slices.Clone(at), name)
		e := t.byPath[strings.Join(next, "/")]
		if e.Kind != symlink {
			at = next
			continue
		}
		if hops++; hops > maxHops || path.IsAbs(e.Target) {
			return false
		}
		todo = append(split(e.Target), todo...)
	}
	return true
}

func split(p string) []string {
	if p == "." {
		return nil
	}
	return strings.Split(p, "/")
}
