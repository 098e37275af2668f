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

func (t *prefixes[V]) find(path string) (V, bool) {
	if t.only {
		return t.all[""], true
	}
	end := len(path)
	if end > t.longest {
		if end = t.longest; path[end] != '/' {
			end = max(0, strings.LastIndexByte(path[:end], '/'))
		}
	}
	for {
		if v, ok := t.all[path[:end]]; ok {
			return v, true
		}
		if end == 0 {
			var none V
			return none, false
		}
		end = max(0, strings.LastIndexByte(path[:end], '/'))
	}
}

// under reports whether a path is that of a normal prefix, or below it.
func under(path, prefix string) bool {
	rest, ok := strings.CutPrefix(path, prefix)
	return ok && (rest == "" || rest[0] == '/')
}

func normalPrefix(prefix string) string { return strings.TrimRight(prefix, "/") }
