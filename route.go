package noon

import "time"

// Routing is everything a proxy needs for one site, as one immutable value.
type Routing struct {
	Site      Site       `json:"site"`
	Fence     Fence      `json:"fence"`
	Sequence  int64      `json:"sequence"`          // orders snapshots of one fence: the host's endpoints change between generations
	Domains   []string   `json:"domains,omitempty"` // host names, "*.example.com" too; empty: any
	TLS       *TLS       `json:"tls,omitempty"`     // nil: plain HTTP
	Paths     []Path     `json:"paths"`
	Shares    []Share    `json:"shares"`             // sum is PointsWhole, or none when nothing is live
	Previews  []Preview  `json:"previews,omitempty"` // reach a revision whatever its share
	Endpoints []Endpoint `json:"endpoints"`
	Segments  []Segment  `json:"segments,omitempty"` // before the shares; the first that matches counts
	Hold      *Hold      `json:"hold,omitempty"`     // new requests wait until a later routing has none
	Closed    *Closed    `json:"closed,omitempty"`   // everybody gets a page: only ever because a person asked for it
	Traffic   Traffic    `json:"traffic,omitzero"`
}

// Path sends a URL path prefix to a service.
type Path struct {
	Prefix   string    `json:"prefix"` // begins with "/"; matches whole segments
	Service  string    `json:"service"`
	Strip    bool      `json:"strip,omitempty"`    // instances see the path without the prefix
	Revision *Revision `json:"revision,omitempty"` // the path is this one's only; nil: of all
}

// Share is the part of new requests a revision gets.
type Share struct {
	Revision Revision `json:"revision"`
	Points   int      `json:"points"` // 1 … PointsWhole
}

// Preview names a revision that requests with the token are sent to.
type Preview struct {
	Token    string   `json:"token"`
	Revision Revision `json:"revision"`
}

// Endpoint is one instance that may be sent requests. Its ID is an instance's
// ID, so that two incarnations are never taken for one another.
type Endpoint struct {
	ID       string        `json:"id"`
	Revision Revision      `json:"revision"`
	Service  string        `json:"service"`
	Address  string        `json:"address"` // host:port
	Drain    time.Duration `json:"drain"`
	Protocol Protocol      `json:"protocol,omitempty"`
}

// Protocol is what an instance speaks.
type Protocol string

// The protocols of instances.
const (
	HTTP1 Protocol = ""    // HTTP/1.1
	H2C   Protocol = "h2c" // HTTP/2 without TLS, as gRPC servers do
)

// Compare orders routings of one site: by fence, then by sequence.
func (r Routing) Compare(fence Fence, sequence int64) int {
	if c := r.Fence.Compare(fence); c != 0 {
		return c
	}
	switch {
	case r.Sequence < sequence:
		return -1
	case r.Sequence > sequence:
		return 1
	}
	return 0
}

// RoutingStatus is what a proxy tells of one site.
type RoutingStatus struct {
	Site      Site             `json:"site"`
	Fence     Fence            `json:"fence"`
	Sequence  int64            `json:"sequence"`
	Shares    []Share          `json:"shares"`
	Endpoints []EndpointStatus `json:"endpoints"` // those routed and those that still have work
	Problem   string           `json:"problem,omitempty"`
}

// EndpointStatus is one endpoint's work in the proxy.
type EndpointStatus struct {
	ID       string   `json:"id"`
	Revision Revision `json:"revision"`
	Service  string   `json:"service"`
	Routed   bool     `json:"routed"`   // false: it is only finishing
	Requests int      `json:"requests"` // in flight
	Streams  int      `json:"streams"`  // upgraded connections and event streams, in flight
	Served   int64    `json:"served"`   // since the proxy started
	Failed   int64    `json:"failed"`   // no answer could be had from it
}
