package host

import (
	"cmp"
	"slices"

	"github.com/noon-deploy/noon"
)

// paths gives the table of every revision that requests may go to. What all of
// them agree on stands there once; where they differ, each has a path of its
// own, so that a preview of a new path works before users are switched, and no
// revision is sent requests for paths it does not have.
func (l *look) paths(shares []noon.Share) []noon.Path {
	tables := l.tables(shares)
	var list []noon.Path
	for _, t := range tables {
		for prefix, path := range t.paths {
			if agreed(tables, prefix, path) {
				path.Revision = nil
			}
			list = append(list, path)
		}
	}
	slices.SortFunc(list, comparePaths)
	return slices.CompactFunc(list, func(a, b noon.Path) bool { return comparePaths(a, b) == 0 })
}

func comparePaths(a, b noon.Path) int {
	if order := cmp.Compare(a.Prefix, b.Prefix); order != 0 || a.Revision == nil && b.Revision == nil {
		return order
	}
	// Of one prefix all have a revision, or none has.
	return cmp.Or(cmp.Compare(a.Revision.Release, b.Revision.Release), cmp.Compare(a.Revision.Config, b.Revision.Config))
}

// pathTable is what one revision answers, by prefix.
type pathTable struct {
	revision noon.Revision
	paths    map[string]noon.Path
}

// agreed reports whether a path is the same in all tables.
func agreed(tables []pathTable, prefix string, path noon.Path) bool {
	return !slices.ContainsFunc(tables, func(t pathTable) bool {
		other, ok := t.paths[prefix]
		return !ok || other.Service != path.Service || other.Strip != path.Strip
	})
}

// tables has every revision that is desired with instances, and those that
// run: users may be held by one that is not desired any more.
func (l *look) tables(shares []noon.Share) []pathTable {
	var tables []pathTable
	table := func(r noon.Revision) *pathTable {
		i := slices.IndexFunc(tables, func(t pathTable) bool { return t.revision == r })
		if i < 0 {
			i = len(tables)
			tables = append(tables, pathTable{r, map[string]noon.Path{}})
		}
		return &tables[i]
	}
	for _, r := range l.s.desired.Desired.Revisions {
		for _, i := range r.Instances {
			table(r.Revision).add(i.Service)
		}
	}
	for _, i := range l.s.sorted() {
		shared := slices.ContainsFunc(shares, func(s noon.Share) bool { return s.Revision == i.Revision })
		if i.Service.Routed() && (shared || i.up() && !i.draining && !i.leaving) {
			table(i.Revision).add(i.Service)
		}
	}
	return tables // one without paths too: what others have is not its own
}

// add takes in the paths of a service. A path belongs to the service that had
// it first.
func (t *pathTable) add(s noon.Service) {
	for _, prefix := range s.Paths {
		if _, taken := t.paths[prefix]; !taken {
			r := t.revision
			t.paths[prefix] = noon.Path{Prefix: prefix, Service: s.Name, Strip: slices.Contains(s.Strip, prefix), Revision: &r}
		}
	}
}
