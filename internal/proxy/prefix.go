package proxy

import "strings"

// prefixes finds the longest path prefix of whole segments that a path begins
// with. It costs one look-up for each segment of the longest prefix at most,
// however many prefixes there are.
type prefixes[V any] struct {
	all     map[string]V // by normal prefix
	longest int
	only    bool // "/" is the only one
}

func (t *prefixes[V]) add(prefix string, v V) {
	if t.all == nil {
		t.all = map[string]V{}
	}
	t.all[prefix] = v
	t.longest = max(t.longest, len(prefix))
	_, root := t.all[""]
	t.only = root && len(t.all) == 1
}

// find gives the value of the longest prefix, and how long that is.
func (t *prefixes[V]) find(path string) (v V, n int, ok bool) {
	if t.only {
		return t.all[""], 0, true
	}
	n = len(path)
	if n > t.longest {
		if n = t.longest; path[n] != '/' {
			n = max(0, strings.LastIndexByte(path[:n], '/'))
		}
	}
	return t.from(path, n)
}

// shorter gives the value of the longest prefix that is shorter than n bytes.
func (t *prefixes[V]) shorter(path string, n int) (v V, length int, ok bool) {
	if n == 0 {
		return v, 0, false
	}
	return t.from(path, max(0, strings.LastIndexByte(path[:n], '/')))
}

// from looks at the prefixes of n bytes and less; path[:n] is whole segments.
func (t *prefixes[V]) from(path string, n int) (v V, length int, ok bool) {
	for {
		if v, ok := t.all[path[:n]]; ok {
			return v, n, true
		}
		if n == 0 {
			return v, 0, false
		}
		n = max(0, strings.LastIndexByte(path[:n], '/'))
	}
}

// at gives the value of the prefix that is the first n bytes of a path.
func (t *prefixes[V]) at(path string, n int) (V, bool) {
	v, ok := t.all[path[:n]]
	return v, ok
}

// under reports whether a path is that of a normal prefix, or below it.
func under(path, prefix string) bool {
	rest, ok := strings.CutPrefix(path, prefix)
	return ok && (rest == "" || rest[0] == '/')
}

func normalPrefix(prefix string) string { return strings.TrimRight(prefix, "/") }
