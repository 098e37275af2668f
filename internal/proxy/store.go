package proxy

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/atomicfile"
	"github.com/noon-deploy/noon/internal/fault"
)

// store keeps the last configuration of every site as JSON, in one file of two
// copies each: one that was cut or altered is never taken for a good one, and a
// bad one is the problem of its own site only.
type store struct {
	dir    string
	faults *fault.Points
	pairs  map[noon.Site]*atomicfile.Pair // those that were written
}

func newStore(dir string, faults *fault.Points) store {
	return store{dir: dir, faults: faults, pairs: map[noon.Site]*atomicfile.Pair{}}
}

// stored is the JSON of a file.
type stored struct {
	Routing noon.Routing `json:"routing"`
	Removed bool         `json:"removed,omitempty"`
}

func (s store) sites() string { return filepath.Join(s.dir, "sites") }

func (s store) path(site noon.Site) string { return filepath.Join(s.sites(), site.Key()+".json") }

func (s store) pair(site noon.Site) *atomicfile.Pair {
	p := s.pairs[site]
	if p == nil {
		p = atomicfile.NewPair(s.path(site), 0o600)
		s.pairs[site] = p
	}
	return p
}

// save makes the configurations of sites durable, all at once, and gives the
// error of each: of one that has an error nothing was changed.
func (s store) save(list []stored) []error {
	if len(list) == 0 {
		return nil
	}
	files := make([]atomicfile.Content, len(list))
	errs := make([]error, len(list))
	for i, st := range list {
		data, err := json.Marshal(st)
		if err != nil { // not reached: it came as JSON
			errs[i] = &noon.Error{Kind: noon.Internal, Op: "encode the routing of", Subject: st.Routing.Site.String(), Err: err}
			return slices.Repeat(errs[i:i+1], len(list))
		}
		files[i] = atomicfile.Content{Pair: s.pair(st.Routing.Site), Data: data}
	}
	s.faults.Point("proxy save before")
	for i, err := range atomicfile.WritePairs(files) {
		if err != nil {
			errs[i] = &noon.Error{
				Kind: noon.Failure, Op: "save the routing of", Subject: list[i].Routing.Site.String(), Err: err,
				Hint: "Nothing was changed. Check that the disk is not full and " + s.dir + " may be written to, then try again.",
			}
		}
	}
	s.faults.Point("proxy save after")
	return errs
}

// load reads all sites. A file that can not be used becomes a site with a
// problem.
func (s store) load() (map[noon.Site]*siteState, error) {
	if err := os.MkdirAll(s.sites(), 0o700); err != nil {
		return nil, &noon.Error{Kind: noon.Failure, Op: "read the proxy's sites", Subject: s.sites(), Err: err, Hint: "Check the permissions of the directory."}
	}
	entries, err := os.ReadDir(s.sites())
	if err != nil {
		return nil, &noon.Error{Kind: noon.Failure, Op: "read the proxy's sites", Subject: s.sites(), Err: err, Hint: "Check the permissions of the directory."}
	}
	sites := map[noon.Site]*siteState{}
	var found []noon.Site
	for _, entry := range entries {
		path := filepath.Join(s.sites(), entry.Name())
		if strings.HasPrefix(entry.Name(), ".") {
			_ = os.Remove(path) // a crash left it half written; the real file is whole
			continue
		}
		key, ok := strings.CutSuffix(entry.Name(), ".json")
		site, err := noon.ParseSiteKey(key)
		if !ok || err != nil {
			continue // not ours
		}
		found = append(found, site)
	}
	for i, state := range s.loadSites(found) {
		sites[found[i]] = state
	}
	resolveConflicts(sites)
	return sites, nil
}

// loadSites reads the files of sites, several at a time: users wait for it.
func (s store) loadSites(list []noon.Site) []*siteState {
	states := make([]*siteState, len(list))
	var next atomic.Int64
	var readers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(list)) {
		readers.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(list)); i = next.Add(1) - 1 {
				states[i] = loadSite(s.path(list[i]), list[i])
			}
		})
	}
	readers.Wait()
	return states
}

func loadSite(path string, site noon.Site) *siteState {
	data, err := atomicfile.ReadPair(path)
	var st stored
	if err == nil {
		if err = json.Unmarshal(data, &st); err != nil {
			err = fmt.Errorf("read its JSON: %w", err)
		}
	}
	if err == nil && st.Routing.Site != site {
		err = fmt.Errorf("it is the file of %v", st.Routing.Site)
	}
	if err == nil && !st.Removed {
		err = validate(st.Routing)
	}
	if err != nil {
		return brokenSite(site, fmt.Sprintf("%s can not be used: %v", path, err))
	}
	state := newSiteState(st.Routing)
	state.removed = st.Removed
	return state
}

func brokenSite(site noon.Site, problem string) *siteState {
	state := newSiteState(noon.Routing{Site: site})
	state.problem = problem
	return state
}

// resolveConflicts takes sites out whose domains and paths are those of
// another one; Route never lets that happen, a restored backup may.
func resolveConflicts(sites map[noon.Site]*siteState) {
	type address struct{ host, prefix string }
	owners := map[address]noon.Site{}
	for _, site := range slices.SortedFunc(maps.Keys(sites), func(a, b noon.Site) int { return strings.Compare(b.Key(), a.Key()) }) {
		state := sites[site]
		if state.problem != "" || state.removed {
			continue
		}
		var own []address
		for _, host := range normalHosts(state.routing.Domains) {
			for _, path := range state.routing.Paths {
				own = append(own, address{host, normalPrefix(path.Prefix)})
			}
		}
		if i := slices.IndexFunc(own, func(a address) bool { _, taken := owners[a]; return taken }); i >= 0 {
			sites[site] = brokenSite(site, fmt.Sprintf("%s%s/ is also routed to %v", own[i].host, own[i].prefix, owners[own[i]]))
			continue
		}
		for _, a := range own {
			owners[a] = site
		}
	}
}
