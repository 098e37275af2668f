package noon

import "time"

// TrafficSeen is what a proxy answered within a span of a few seconds.
type TrafficSeen struct {
	At          time.Time        `json:"at"`   // end of the span
	Over        time.Duration    `json:"over"` // its length
	Routes      []RouteTraffic   `json:"routes"`
	Services    []ServiceTraffic `json:"services"`
	Held        int              `json:"held"`        // requests that wait for an instance
	Connections int              `json:"connections"` // of clients, open
}

// RouteTraffic is what one release answered for one path prefix of a service.
// That of no site is requests that no site is there for.
type RouteTraffic struct {
	Site         Site          `json:"site"`
	Service      string        `json:"service"`
	Route        string        `json:"route"` // the path prefix from noon.yaml
	Revision     Revision      `json:"revision"`
	Rate         float64       `json:"rate"`          // requests a second
	ClientErrors float64       `json:"client_errors"` // answered 4xx, a second
	ServerErrors float64       `json:"server_errors"` // answered 5xx, a second
	Failed       float64       `json:"failed"`        // that no instance could answer, a second
	P50          time.Duration `json:"p50"`           // within the span
	P99          time.Duration `json:"p99"`
	In           float64       `json:"in"`       // bytes of requests, a second
	Out          float64       `json:"out"`      // bytes of answers, a second
	Requests     uint64        `json:"requests"` // since the proxy started
	Sessions     uint64        `json:"sessions"` // distinct, since the proxy started; to within about 5 %
}

// ServiceTraffic is what one release of a service has in flight.
type ServiceTraffic struct {
	Site      Site     `json:"site"`
	Service   string   `json:"service"`
	Revision  Revision `json:"revision"`
	Points    int      `json:"points"`    // share of new requests, of PointsWhole
	Instances int      `json:"instances"` // that are sent requests
	Requests  int      `json:"requests"`  // in flight
	Streams   int      `json:"streams"`   // upgraded connections and event streams, in flight
}

// Routed is what a proxy routes where for one site, and why.
type Routed struct {
	Site      Site             `json:"site"`
	Fence     Fence            `json:"fence"` // who said so: the greatest wins
	Sequence  int64            `json:"sequence"`
	Since     time.Time        `json:"since"`   // when this proxy, or one before it, took the routing over
	Domains   []string         `json:"domains"` // none: any host name
	Paths     []Path           `json:"paths"`
	Shares    []Share          `json:"shares"`
	Previews  []Revision       `json:"previews"` // that can be looked at by a token, which is not told
	Segments  []RoutedSegment  `json:"segments"` // before the shares; the first that matches counts
	Hold      *Hold            `json:"hold,omitempty"`
	Closed    *Closed          `json:"closed,omitempty"`
	Endpoints []RoutedEndpoint `json:"endpoints"`
	Held      int              `json:"held"`     // requests that wait for an instance
	Removed   bool             `json:"removed"`  // only its fence is kept
	Problems  []string         `json:"problems"` // why requests may not be answered
}

// RoutedEndpoint is one instance as a proxy has it.
type RoutedEndpoint struct {
	EndpointStatus
	Address string        `json:"address"`
	Drain   time.Duration `json:"drain"`
	Avoided bool          `json:"avoided"`           // it could not be reached a moment ago: others are preferred
	Sick    string        `json:"sick,omitempty"`    // why it does not answer its health check; "": it does, or is not asked
	Outlier string        `json:"outlier,omitempty"` // why it is left out for a time: it answers 5xx far more often than others
}

// RoutedSegment is a segment without what its users could be known by.
type RoutedSegment struct {
	Name      string   `json:"name"`
	Revision  Revision `json:"revision"`
	Visitors  int      `json:"visitors"`  // how many are pinned
	Addresses int      `json:"addresses"` // how many are listed
	Matches   []string `json:"matches"`   // "header X-Beta"
}
