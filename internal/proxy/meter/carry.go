package meter

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/noon-deploy/noon"
)

// carried is a snapshot on its way from one process to another, without the
// zeros. What a newer process counts besides is left out by an older one.
type carried struct {
	Site     noon.Site      `json:"site"`
	Service  string         `json:"service"`
	Route    string         `json:"route"`
	Revision noon.Revision  `json:"revision"`
	Classes  map[int]uint64 `json:"classes,omitempty"`
	Latency  map[int]uint64 `json:"latency,omitempty"`
	Failures map[int]uint64 `json:"failures,omitempty"`
	Took     time.Duration  `json:"took,omitempty"`
	In       uint64         `json:"in,omitempty"`
	Out      uint64         `json:"out,omitempty"`
	Sessions []byte         `json:"sessions,omitempty"`
}

func sparse(list []uint64) map[int]uint64 {
	there := map[int]uint64{}
	for i, n := range list {
		if n > 0 {
			there[i] = n
		}
	}
	return there
}

func fill(list []uint64, there map[int]uint64) {
	for i, n := range there {
		if i >= 0 && i < len(list) {
			list[i] = n
		}
	}
}

// MarshalJSON implements json.Marshaler.
func (n *Snapshot) MarshalJSON() ([]byte, error) {
	c := carried{
		Site: n.Key.Site, Service: n.Key.Service, Route: n.Key.Route, Revision: n.Key.Revision,
		Classes: sparse(n.Classes[:]), Latency: sparse(n.Latency[:]), Failures: sparse(n.Failures[:]), Took: n.Took, In: n.In, Out: n.Out,
	}
	if n.Sessions != nil {
		c.Sessions = n.Sessions.ranks[:]
	}
	return json.Marshal(c)
}

// UnmarshalJSON implements json.Unmarshaler.
func (n *Snapshot) UnmarshalJSON(data []byte) error {
	var c carried
	if err := json.Unmarshal(data, &c); err != nil {
		return err
	}
	*n = Snapshot{Key: Key{c.Site, c.Service, c.Route, c.Revision}, Took: max(c.Took, 0), In: c.In, Out: c.Out}
	fill(n.Classes[:], c.Classes)
	fill(n.Latency[:], c.Latency)
	fill(n.Failures[:], c.Failures)
	if len(c.Sessions) == 0 {
		return nil
	}
	if len(c.Sessions) != sketchSize {
		return fmt.Errorf("a sketch of sessions has %d bytes, not %d", len(c.Sessions), sketchSize)
	}
	n.Sessions = &Sessions{}
	for i, r := range c.Sessions {
		n.Sessions.ranks[i] = min(r, maxRank)
	}
	return nil
}

// Counted gives the snapshots of those series that have counted anything.
func (r *Registry) Counted() []Snapshot {
	return slices.DeleteFunc(r.Snapshots(), func(n Snapshot) bool {
		return n.Requests() == 0 && n.Sessions == nil && n.Failures == [failureCount]uint64{}
	})
}

// Absorb counts in what another process has counted.
func (r *Registry) Absorb(list []Snapshot) {
	for i := range list {
		r.Series(list[i].Key).absorb(&list[i])
	}
}

func (s *Series) absorb(n *Snapshot) {
	for i, c := range n.Classes {
		s.base.classes[i].Add(c)
	}
	for i, c := range n.Latency {
		s.base.buckets[i].Add(c)
	}
	for i, c := range n.Failures {
		s.failures[i].Add(c)
	}
	s.base.sum.Add(uint64(max(n.Took, 0)))
	s.base.in.Add(n.In)
	s.base.out.Add(n.Out)
	if n.Sessions == nil {
		return
	}
	k := s.sketch.Load()
	if k == nil {
		k = s.firstSession()
	}
	for i, rank := range n.Sessions.ranks {
		k.raise(uint64(i), uint32(rank))
	}
}

// Union adds up snapshots of the same keys, in the order of their keys.
func Union(lists ...[]Snapshot) []Snapshot {
	by := map[Key]Snapshot{}
	for _, list := range lists {
		for i := range list {
			if n, ok := by[list[i].Key]; ok {
				n.Add(&list[i])
				by[n.Key] = n
				continue
			}
			by[list[i].Key] = list[i]
		}
	}
	return slices.SortedFunc(maps.Values(by), func(a, b Snapshot) int { return a.Key.Compare(b.Key) })
}
