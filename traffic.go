package noon

import "time"

// Segment is a named part of the users that is sent to a revision whatever its
// share. A user belongs to it if any of its lists has them.
type Segment struct {
	Name      string   `json:"name"`
	Revision  Revision `json:"revision"`
	Visitors  []string `json:"visitors,omitempty"`  // ids of the cookie noon_visitor: pinned clients
	Addresses []string `json:"addresses,omitempty"` // "192.0.2.7" or "192.0.2.0/24"
	Matches   []Match  `json:"matches,omitempty"`
}

// Match is a property of a request.
type Match struct {
	In     string   `json:"in"` // "header", "cookie" or "query"
	Name   string   `json:"name"`
	Values []string `json:"values,omitempty"` // any of them; none: it is enough that it is there
}

// Hold parks new requests while something is cut over.
type Hold struct {
	Limit time.Duration `json:"limit"`          // for one request; then it is answered with 503
	Most  int           `json:"most"`           // requests that wait; more are answered with 503 at once
	Until time.Time     `json:"until,omitzero"` // then it ends by itself, whoever is alive; zero: a later routing ends it
	By    string        `json:"by,omitempty"`   // who asked, for people
}

// Over reports whether the hold has ended by itself.
func (h *Hold) Over(now time.Time) bool { return !h.Until.IsZero() && !now.Before(h.Until) }

// Closed is a site that a person has closed.
type Closed struct {
	Text string `json:"text,omitempty"` // what users are told
	By   string `json:"by"`
}

// Halt is what people have asked for that keeps users from every release of a
// site, whatever is deployed meanwhile. The zero value keeps nobody.
type Halt struct {
	Hold   *Hold   `json:"hold,omitempty"`
	Closed *Closed `json:"closed,omitempty"`
}

// At is what is left of a halt at a time: a hold ends by itself.
func (h Halt) At(now time.Time) Halt {
	if h.Hold != nil && h.Hold.Over(now) {
		h.Hold = nil
	}
	return h
}

// Equal reports whether two halts say the same.
func (h Halt) Equal(other Halt) bool {
	if (h.Hold == nil) != (other.Hold == nil) || (h.Closed == nil) != (other.Closed == nil) {
		return false
	}
	if h.Closed != nil && *h.Closed != *other.Closed {
		return false
	}
	if h.Hold == nil {
		return true
	}
	a, b := *h.Hold, *other.Hold
	return a.Until.Equal(b.Until) && a.Limit == b.Limit && a.Most == b.Most && a.By == b.By
}

// Traffic is how the requests of a site are treated. The zero value is a sane
// default.
type Traffic struct {
	Redirects []Redirect        `json:"redirects,omitempty"`
	Request   HeaderRules       `json:"request,omitzero"`  // of what instances are sent
	Response  HeaderRules       `json:"response,omitzero"` // of what users are sent
	Pages     map[string]string `json:"pages,omitempty"`   // HTML of noon's own answers, by status: "404", "503", "5xx"
	Trusted   []string          `json:"trusted,omitempty"` // addresses whose Forwarded and X-Forwarded-* are believed
	Limits    TrafficLimits     `json:"limits,omitzero"`
	Replay    Replay            `json:"replay,omitzero"`
	Health    *HealthCheck      `json:"health,omitempty"`
	Outliers  Outliers          `json:"outliers,omitzero"`
}

// Redirect answers requests instead of an instance.
type Redirect struct {
	From   string `json:"from"`           // path, or a prefix that ends with "/*"
	To     string `json:"to"`             // path or URL; "*" stands for what the prefix left
	Status int    `json:"status"`         // 301, 302, 303, 307 or 308
	Host   string `json:"host,omitempty"` // only of this host name
}

// HeaderRules change fields. Remove comes first.
type HeaderRules struct {
	Remove []string          `json:"remove,omitempty"`
	Set    map[string]string `json:"set,omitempty"`
}

// TrafficLimits bound what the site and each of its users may take. 0 is the
// default, which is in brackets.
type TrafficLimits struct {
	Body       int64         `json:"body,omitempty"`       // bytes of a request [no limit]
	InFlight   int           `json:"inFlight,omitempty"`   // requests of the site [no limit]
	Queue      int           `json:"queue,omitempty"`      // requests that wait for one of these [100]
	QueueTime  time.Duration `json:"queueTime,omitempty"`  // how long they wait [5 s]
	PerAddress int           `json:"perAddress,omitempty"` // requests in flight of one address [no limit]
	FirstByte  time.Duration `json:"firstByte,omitempty"`  // until an answer begins, but for streams [1 min]
	Idle       time.Duration `json:"idle,omitempty"`       // of an answer that has begun, but for streams [no limit]
	Total      time.Duration `json:"total,omitempty"`      // of a request and its answer, but for streams [no limit]
	Goodbye    time.Duration `json:"goodbye,omitempty"`    // over which WebSockets of a drained release are told to leave [10 s]
}

// Replay says which requests may be sent to a second instance after the first
// has failed. Requests that ask for no change, and those that no instance has
// received, are always sent again.
type Replay struct {
	Paths  []string      `json:"paths,omitempty"`  // prefixes at which every method may be sent twice
	Keyed  bool          `json:"keyed,omitempty"`  // so may requests with an Idempotency-Key
	Memory int64         `json:"memory,omitempty"` // bytes of a body that are kept for it [64 KiB]
	Spool  int64         `json:"spool,omitempty"`  // bytes of a body on disk, behind that [0]
	Budget int           `json:"budget,omitempty"` // second tries in percent of the requests [20]
	After  time.Duration `json:"after,omitempty"`  // how long an instance is waited for that begins no answer to anybody, while others do [5 s]
}

// HealthCheck asks every instance again and again; users are sent elsewhere
// while it does not answer.
type HealthCheck struct {
	Path     string        `json:"path"`
	Interval time.Duration `json:"interval"`
	Timeout  time.Duration `json:"timeout"`
	Failures int           `json:"failures"` // in a row, until an instance is left out [3]
}

// Outliers says when an instance is left out for a time because it answers 5xx
// far more often than the others of its service and release. 0 is the default,
// which is in brackets.
type Outliers struct {
	Off     bool          `json:"off,omitempty"`
	Row     int           `json:"row,omitempty"`     // answers in a row that are 5xx, while most of the others' are not [10]
	Above   int           `json:"above,omitempty"`   // or percentage points by which its part of 5xx is above the others' [25]
	Answers int           `json:"answers,omitempty"` // of about the last ten seconds, until that part counts [50]
	Time    time.Duration `json:"time,omitempty"`    // the first time; each that follows takes twice as long, up to 32 times this [10 s]
	Most    int           `json:"most,omitempty"`    // percent of the instances at a time; one may always be left out, but never the last [50]
}
