package release

import (
	"strings"
)

// A directory at the top of a release gets a layer of its own from this size
// on: what does not change between releases is then stored, and moved to
// another machine, once.
const (
	ownLayer  = 1 << 20
	maxLayers = 64
)

// divide groups sorted entries into layers: large top directories, each in
// order, and a last one with everything else. It depends on names and sizes
// only.
func divide(entries []entry) [][]entry {
	sizes := map[string]int64{}
	for _, e := range entries {
		sizes[top(e)] += e.Size
	}
	var own [][]entry
	var rest []entry
	at := map[string]int{}
	for _, e := range entries {
		dir := top(e)
		i, begun := at[dir]
		switch {
		case begun:
			own[i] = append(own[i], e)
		case e.Kind == directory && e.Path == dir && sizes[dir] >= ownLayer && len(own) < maxLayers-1:
			at[dir] = len(own)
			own = append(own, []entry{e})
		default:
			rest = append(rest, e)
		}
	}
	if len(rest) > 0 {
		own = append(own, rest)
	}
	return own
}

func top(e entry) string {
	dir, _, _ := strings.Cut(e.Path, "/")
	return dir
}
