package release

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
)

// scan lists what belongs to a release: everything below root, or what the
// globs name, directories whole, and always the manifest.
func scan(root *os.Root, globs []string) ([]entry, error) {
	sel := selection{globs: globs, used: make([]bool, len(globs))}
	found := map[string]entry{}
	err := fs.WalkDir(root.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == "." {
			return err
		}
		if p == ".git" {
			return skip(d)
		}
		if !sel.takes(p) {
			return nil
		}
		e, err := describe(root, p, d)
		if err != nil {
			return err
		}
		found[p] = e
		for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) {
			found[dir] = entry{Path: dir, Kind: directory}
		}
		if len(found) > maxEntries {
			return refused("the release", fmt.Sprintf("it has more than %d files", maxEntries), "List what belongs to the release in build.files.")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if glob := sel.unused(); glob != "" {
		return nil, refused(fmt.Sprintf("build.files: %q", glob), "no file matches after the build", "Correct the pattern, or check that build.command writes the file into the checkout.")
	}
	entries := make([]entry, 0, len(found))
	for _, e := range found {
		entries = append(entries, e)
	}
	sortEntries(entries)
	return entries, nil
}

func skip(d fs.DirEntry) error {
	if d.IsDir() {
		return fs.SkipDir
	}
	return nil
}

func describe(root *os.Root, p string, d fs.DirEntry) (entry, error) {
	info, err := d.Info()
	if err != nil {
		return entry{}, err
	}
	switch mode := info.Mode(); {
	case mode.IsDir():
		return entry{Path: p, Kind: directory}, nil
	case mode.IsRegular():
		return entry{Path: p, Kind: regular, Size: info.Size(), Exec: mode&0o100 != 0}, nil
	case mode&fs.ModeSymlink != 0:
		target, err := root.Readlink(p)
		return entry{Path: p, Kind: symlink, Target: target}, err
	default:
		return entry{}, refused(p, "it is a "+special(mode)+", which can not be part of a release", "Remove it in build.command, or leave it out with build.files.")
	}
}

func special(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeSocket != 0:
		return "socket"
	case mode&fs.ModeNamedPipe != 0:
		return "named pipe"
	case mode&fs.ModeDevice != 0:
		return "device"
	}
	return "special file"
}

// selection decides by build.files. A glob has path.Match's syntax for each
// name, and ** for any number of directories.
type selection struct {
	globs []string
	used  []bool
}

func (s selection) takes(p string) bool {
	if len(s.globs) == 0 {
		return true
	}
	takes := p == manifestName
	for i, glob := range s.globs {
		if covers(strings.Split(path.Clean(glob), "/"), strings.Split(p, "/")) {
			s.used[i], takes = true, true
		}
	}
	return takes
}

func (s selection) unused() string {
	for i, used := range s.used {
		if !used {
			return s.globs[i]
		}
	}
	return ""
}

// covers reports whether the glob matches the path or a directory above it.
func covers(glob, p []string) bool {
	switch {
	case len(glob) == 0 || len(glob) == 1 && glob[0] == ".":
		return true
	case glob[0] == "**":
		for i := range p {
			if covers(glob[1:], p[i:]) {
				return true
			}
		}
		return false
	case len(p) == 0:
		return false
	}
	ok, err := path.Match(glob[0], p[0])
	return ok && err == nil && covers(glob[1:], p[1:])
}

// checkGlobs refuses patterns that could never match before a build is run
// for nothing.
func checkGlobs(globs []string) error {
	for _, glob := range globs {
		_, err := path.Match(glob, "")
		if clean := path.Clean(glob); err != nil || glob == "" || path.IsAbs(glob) || clean == ".." || strings.HasPrefix(clean, "../") {
			return refused(fmt.Sprintf("build.files: %q", glob), "it is not a pattern relative to the checkout", `Write patterns such as "static", "*.html" or "assets/**/*.js".`)
		}
	}
	return nil
}
