package meter

import (
	"cmp"
	"slices"
	"sync"
	"time"
	"weak"

	"github.com/noon-deploy/noon"
)

// DefaultMost is how many series a registry holds unless told otherwise.
const DefaultMost = 10_000

// forgetAfter is how long a series that nothing refers to is kept.
const forgetAfter = time.Hour

// Other is the route of the series that counts for all keys that a full
// registry has no room for.
const Other = "(other)"

// Registry holds the series by key. The zero value works; the fields are set
// before the first use.
type Registry struct {
	Most  int // series; 0: DefaultMost
	Cells int // that a busy series is counted at; 0: by the number of processors

	mu     sync.Mutex
	spread *spread
	series map[Key]*entry
	other  *Series
}

// entry is a series' place in the registry. What is forgotten is only let go
// of: as long as a routing snapshot refers to it, it is still found and told.
type entry struct {
	kept    *Series // nil: nobody asked for it lately
	series  weak.Pointer[Series]
	asked   bool
	total   uint64    // at seen
	seen    time.Time // when it was last found to have counted or been asked for
	visited bool
}

// Series gives the series of a key: the same one for the same key, so that a
// new snapshot of the routes goes on counting where the one before did.
func (r *Registry) Series(k Key) *Series {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.series[k]; e != nil {
		if s := e.series.Value(); s != nil {
			e.kept, e.asked = s, true
			return s
		}
	} else if k == (Key{Route: Other}) || r.fullLocked() {
		if r.other == nil {
			r.other = r.newSeriesLocked(Key{Route: Other})
		}
		return r.other
	}
	if r.series == nil {
		r.series = map[Key]*entry{}
	}
	s := r.newSeriesLocked(k)
	r.series[k] = &entry{kept: s, series: weak.Make(s), asked: true}
	return s
}

func (r *Registry) newSeriesLocked(k Key) *Series {
	if r.spread == nil {
		r.spread = newSpread(r.Cells)
	}
	return &Series{key: k, spread: r.spread}
}

func (r *Registry) fullLocked() bool {
	most := r.Most
	if most <= 0 {
		most = DefaultMost
	}
	return len(r.series) >= most
}

// Forget lets go of series that have neither counted nor been asked for within
// the hour before now. It is to be called every few minutes. A series that is
// still referred to stays, and goes on being told.
func (r *Registry) Forget(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for k, e := range r.series {
		s := e.series.Value()
		if s == nil {
			delete(r.series, k)
			continue
		}
		total := s.total()
		if !e.visited || e.asked || total != e.total {
			e.kept, e.seen, e.total, e.asked, e.visited = s, now, total, false, true
		}
		if now.Sub(e.seen) >= forgetAfter {
			e.kept = nil
		}
	}
}

// Snapshots gives the counts of all series, in the order of their keys, the
// one for Other last.
func (r *Registry) Snapshots() []Snapshot {
	all := r.all()
	list := make([]Snapshot, len(all))
	for i, s := range all {
		list[i] = s.Snapshot()
	}
	return list
}

// Counts is Snapshots without the sessions, which are most of the work.
func (r *Registry) Counts() []Snapshot {
	all := r.all()
	list := make([]Snapshot, len(all))
	for i, s := range all {
		list[i] = s.counts()
	}
	return list
}

func (r *Registry) all() []*Series {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]*Series, 0, len(r.series)+1)
	for _, e := range r.series {
		if s := e.series.Value(); s != nil {
			list = append(list, s)
		}
	}
	slices.SortFunc(list, func(a, b *Series) int { return a.key.Compare(b.key) })
	if r.other != nil {
		list = append(list, r.other)
	}
	return list
}

// Compare orders keys by site, service, route and revision.
func (k Key) Compare(other Key) int {
	return cmp.Or(
		cmp.Compare(k.Site.App, other.Site.App),
		cmp.Compare(k.Site.Environment, other.Site.Environment),
		cmp.Compare(k.Service, other.Service),
		cmp.Compare(k.Route, other.Route),
		compareRevisions(k.Revision, other.Revision),
	)
}

func compareRevisions(a, b noon.Revision) int {
	return cmp.Or(cmp.Compare(a.Release, b.Release), cmp.Compare(a.Config, b.Config))
}
