package proxy

import (
	"hash/maphash"
	"maps"
	"slices"
	"strings"
)

// hostShards is the number of parts that hosts are kept in: a change of one
// site copies only the parts its domains are in.
const hostShards = 256

// snapshot is everything a request needs to find its endpoint. It is never
// changed once it is published.
type snapshot struct {
	seed     maphash.Seed
	hosts    [hostShards]map[string]*hostTable // by normal host name; "*.x" for wildcards, "" for any
	broken   int                               // sites whose configuration could not be read
	ruled    int                               // sites that answer some requests without an instance
	wild     int                               // host names that are wildcards
	replaced chan struct{}                     // closed once another snapshot is current
}

// hostTable is what one host name leads to: the paths of one or more sites.
type hostTable struct {
	sites []*siteView
	paths prefixes[*siteView] // of any revision
}

func newSnapshot() *snapshot {
	return &snapshot{seed: maphash.MakeSeed(), replaced: make(chan struct{})}
}

// with gives a snapshot that has one site's view instead of another; either
// may be nil.
func (s *snapshot) with(before, after *siteView) *snapshot {
	next := &snapshot{seed: s.seed, hosts: s.hosts, broken: s.broken, ruled: s.ruled, wild: s.wild, replaced: make(chan struct{})}
	copied := map[uint64]bool{}
	change := func(host string, f func([]*siteView) []*siteView) {
		i := next.shard(host)
		if !copied[i] {
			copied[i] = true
			next.hosts[i] = maps.Clone(next.hosts[i])
			if next.hosts[i] == nil {
				next.hosts[i] = map[string]*hostTable{}
			}
		}
		var sites []*siteView
		if t := next.hosts[i][host]; t != nil {
			sites = t.sites
		}
		next.put(i, host, f(slices.Clone(sites)))
	}
	if before != nil {
		for _, host := range before.hosts {
			change(host, func(sites []*siteView) []*siteView {
				return slices.DeleteFunc(sites, func(v *siteView) bool { return v == before })
			})
		}
		next.broken -= before.broken
		next.ruled -= before.ruled
	}
	if after != nil {
		for _, host := range after.hosts {
			change(host, func(sites []*siteView) []*siteView { return append(sites, after) })
		}
		next.broken += after.broken
		next.ruled += after.ruled
	}
	return next
}

// add adds a site to a snapshot that is not published yet; it may be nil.
func (s *snapshot) add(view *siteView) {
	if view == nil {
		return
	}
	for _, host := range view.hosts {
		i := s.shard(host)
		if s.hosts[i] == nil {
			s.hosts[i] = map[string]*hostTable{}
		}
		var sites []*siteView
		if t := s.hosts[i][host]; t != nil {
			sites = t.sites
		}
		s.put(i, host, append(sites, view))
	}
	s.broken += view.broken
	s.ruled += view.ruled
}

// put sets what a host leads to.
func (s *snapshot) put(shard uint64, host string, sites []*siteView) {
	_, known := s.hosts[shard][host]
	if wildcard := strings.HasPrefix(host, "*."); wildcard && known != (len(sites) > 0) {
		if known {
			s.wild--
		} else {
			s.wild++
		}
	}
	if len(sites) == 0 {
		delete(s.hosts[shard], host)
		return
	}
	table := &hostTable{sites: sites}
	for _, view := range sites {
		for _, prefix := range view.prefixes {
			table.paths.add(prefix, view)
		}
	}
	s.hosts[shard][host] = table
}

func (s *snapshot) shard(host string) uint64 { return maphash.String(s.seed, host) % hostShards }

func (s *snapshot) host(name string) *hostTable { return s.hosts[s.shard(name)][name] }

// table finds what a host name leads to: itself, then the longest wildcard
// that covers it, then the sites without domains.
func (s *snapshot) table(host string) *hostTable {
	if host != "" {
		if t := s.host(host); t != nil {
			return t
		}
	}
	for rest := host; rest != "" && s.wild > 0; {
		_, after, found := strings.Cut(rest, ".")
		if !found {
			break
		}
		if t := s.wildcard(after); t != nil {
			return t
		}
		rest = after
	}
	return s.host("")
}

func (s *snapshot) wildcard(name string) *hostTable {
	var buf [260]byte
	key := append(append(buf[:0], "*."...), name...)
	shard := maphash.Bytes(s.seed, key) % hostShards
	return s.hosts[shard][string(key)] // the compiler makes no string for a look-up
}

// normalHosts gives the host names of a site.
func normalHosts(domains []string) []string {
	if len(domains) == 0 {
		return []string{""}
	}
	hosts := make([]string, len(domains))
	for i, d := range domains {
		hosts[i] = normalHost(d)
	}
	return hosts
}

// normalHost strips port and final dot and lowers the case.
func normalHost(host string) string {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") && (host[0] == '[' || strings.IndexByte(host, ':') == i) {
		host = host[:i]
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}
