package meter

import (
	"math"
	"time"
)

// Snapshot is what a series has counted at one moment.
type Snapshot struct {
	Key      Key
	Classes  [classCount]uint64 // requests by status/100; 0: no status
	Latency  [Buckets]uint64    // requests by how long they took
	Took     time.Duration      // of all requests together
	In, Out  uint64             // bytes
	Failures [failureCount]uint64
	Sessions *Sessions // nil: none was told
}

// Requests is how many were answered.
func (n *Snapshot) Requests() uint64 {
	total := uint64(0)
	for _, c := range n.Classes {
		total += c
	}
	return total
}

// Failed is how many failures there were that are not the client's.
func (n *Snapshot) Failed() uint64 {
	total := uint64(0)
	for kind, c := range n.Failures {
		if !Failure(kind).Client() {
			total += c
		}
	}
	return total
}

// Distinct is about how many sessions there were.
func (n *Snapshot) Distinct() uint64 {
	if n.Sessions == nil {
		return 0
	}
	return n.Sessions.Estimate()
}

// Quantile gives the duration that a share q of the requests took at most, to
// within 6.25 % between 31 µs and 17 minutes. It is 0 if there were none.
func (n *Snapshot) Quantile(q float64) time.Duration {
	total := uint64(0)
	for _, c := range n.Latency {
		total += c
	}
	if total == 0 {
		return 0
	}
	rank := uint64(math.Ceil(min(max(q, 0), 1) * float64(total)))
	rank = min(max(rank, 1), total)
	for i, c := range n.Latency {
		if rank <= c {
			return middle(i)
		}
		rank -= c
	}
	return longest
}

// Since gives what was counted after earlier, a snapshot of the same series.
// Sessions are those of all time: a sketch can not be taken apart.
func (n *Snapshot) Since(earlier *Snapshot) Snapshot {
	d := *n
	for i := range d.Classes {
		d.Classes[i] = rise(n.Classes[i], earlier.Classes[i])
	}
	for i := range d.Latency {
		d.Latency[i] = rise(n.Latency[i], earlier.Latency[i])
	}
	for i := range d.Failures {
		d.Failures[i] = rise(n.Failures[i], earlier.Failures[i])
	}
	d.In, d.Out = rise(n.In, earlier.In), rise(n.Out, earlier.Out)
	d.Took = max(n.Took-earlier.Took, 0)
	return d
}

// rise is the difference, or all of it where a series began anew.
func rise(now, before uint64) uint64 {
	if now < before {
		return now
	}
	return now - before
}

// Add counts another series in. The key stays.
func (n *Snapshot) Add(other *Snapshot) {
	for i := range n.Classes {
		n.Classes[i] += other.Classes[i]
	}
	for i := range n.Latency {
		n.Latency[i] += other.Latency[i]
	}
	for i := range n.Failures {
		n.Failures[i] += other.Failures[i]
	}
	n.In, n.Out, n.Took = n.In+other.In, n.Out+other.Out, n.Took+other.Took
	if other.Sessions == nil {
		return
	}
	if n.Sessions == nil {
		n.Sessions = &Sessions{}
	} else {
		united := *n.Sessions // the snapshot it came from keeps its own
		n.Sessions = &united
	}
	for i, r := range other.Sessions.ranks {
		n.Sessions.ranks[i] = max(n.Sessions.ranks[i], r)
	}
}
