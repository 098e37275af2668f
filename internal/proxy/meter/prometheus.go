package meter

import (
	"io"
	"strconv"
	"time"
)

// Gauge is one number of the process for WritePrometheus. Those of one name
// stand next to each other.
type Gauge struct {
	Name    string // with its unit, by the rules of Prometheus
	Help    string
	Labels  []Label
	Value   float64
	Counter bool // it only rises
}

// Label is one label of a Gauge.
type Label struct{ Name, Value string }

// leBuckets are the bounds told to Prometheus: every one is a bucket's edge,
// so that the counts are exact.
const (
	leFirst = 312_500 * time.Nanosecond // doubled leCount-1 times: … 5 ms, 10 ms … 655 s
	leCount = 22
)

// WritePrometheus writes the gauges, which are the caller's, and all counts in
// the text exposition format 0.0.4. Others are what other processes have
// counted besides.
func (r *Registry) WritePrometheus(w io.Writer, gauges []Gauge, others ...Snapshot) error {
	x := &exposition{w: w, buf: make([]byte, 0, 32<<10)}
	x.gauges(gauges)
	of := map[Key]*Snapshot{}
	for i := range others {
		of[others[i].Key] = &others[i]
		r.Series(others[i].Key) // so that it is among all
	}
	all := r.all()
	look := func(s *Series, n Snapshot) *Snapshot {
		if other := of[s.key]; other != nil {
			n.Add(other)
		}
		return &n
	}
	each := func(visit func(*Snapshot)) {
		for _, s := range all {
			visit(look(s, s.counts()))
		}
	}
	x.family("noon_requests_total", "counter", "Requests that were answered, by status class.")
	each(x.requests)
	x.family("noon_request_duration_seconds", "histogram", "Time from the first byte of a request to the last of its answer.")
	each(x.durations)
	x.family("noon_request_bytes_total", "counter", "Bytes received in requests.")
	each(func(n *Snapshot) { x.sample("noon_request_bytes_total", n.Key, "", "", n.In) })
	x.family("noon_response_bytes_total", "counter", "Bytes sent in answers.")
	each(func(n *Snapshot) { x.sample("noon_response_bytes_total", n.Key, "", "", n.Out) })
	x.family("noon_sessions", "gauge", "Distinct sessions since the proxy started, to within about 5 %.")
	for _, s := range all {
		if other := of[s.key]; s.sketch.Load() != nil || other != nil && other.Sessions != nil {
			n := look(s, s.Snapshot())
			x.sample("noon_sessions", n.Key, "", "", n.Distinct())
		}
	}
	x.family("noon_failures_total", "counter", "Requests that no instance could answer, by what went wrong.")
	each(x.failures)
	x.flush(0)
	return x.err
}

// exposition collects lines and writes them a piece at a time.
type exposition struct {
	w   io.Writer
	buf []byte
	err error
}

// flush writes what there is if it is more than most bytes.
func (x *exposition) flush(most int) {
	if x.err == nil && len(x.buf) > most {
		_, x.err = x.w.Write(x.buf)
	}
	if len(x.buf) > most {
		x.buf = x.buf[:0]
	}
}

func (x *exposition) family(name, kind, help string) {
	x.buf = append(x.buf, "# HELP "...)
	x.buf = append(x.buf, name...)
	x.buf = append(x.buf, ' ')
	x.buf = appendEscaped(x.buf, help, false)
	x.buf = append(x.buf, "\n# TYPE "...)
	x.buf = append(x.buf, name...)
	x.buf = append(x.buf, ' ')
	x.buf = append(x.buf, kind...)
	x.buf = append(x.buf, '\n')
}

func (x *exposition) gauges(list []Gauge) {
	last := ""
	for _, g := range list {
		if g.Name != last {
			kind := "gauge"
			if g.Counter {
				kind = "counter"
			}
			x.family(g.Name, kind, g.Help)
			last = g.Name
		}
		x.buf = append(x.buf, g.Name...)
		for i, l := range g.Labels {
			x.label(i == 0, l.Name, l.Value)
		}
		if len(g.Labels) > 0 {
			x.buf = append(x.buf, '}')
		}
		x.buf = append(x.buf, ' ')
		x.buf = strconv.AppendFloat(x.buf, g.Value, 'g', -1, 64)
		x.buf = append(x.buf, '\n')
	}
}

func (x *exposition) requests(n *Snapshot) {
	for class, count := range n.Classes {
		if count == 0 {
			continue
		}
		name := "none"
		if class > 0 {
			name = strconv.Itoa(class) + "xx"
		}
		x.sample("noon_requests_total", n.Key, "class", name, count)
	}
}

func (x *exposition) durations(n *Snapshot) {
	count, next := uint64(0), 0
	le := leFirst
	for range leCount {
		for ; next < overflow && upperEdge(next) <= le; next++ {
			count += n.Latency[next]
		}
		x.sample("noon_request_duration_seconds_bucket", n.Key, "le", seconds(le), count)
		le *= 2
	}
	for ; next < Buckets; next++ {
		count += n.Latency[next]
	}
	x.sample("noon_request_duration_seconds_bucket", n.Key, "le", "+Inf", count)
	x.name("noon_request_duration_seconds_sum", n.Key)
	x.buf = append(x.buf, "} "...)
	x.buf = append(x.buf, seconds(n.Took)...)
	x.buf = append(x.buf, '\n')
	x.sample("noon_request_duration_seconds_count", n.Key, "", "", count)
}

func (x *exposition) failures(n *Snapshot) {
	for kind, count := range n.Failures {
		if count > 0 {
			x.sample("noon_failures_total", n.Key, "kind", Failure(kind).String(), count)
		}
	}
}

func seconds(d time.Duration) string {
	return strconv.FormatFloat(d.Seconds(), 'g', -1, 64)
}

// sample writes one line. A label without a name is left out.
func (x *exposition) sample(name string, k Key, label, value string, count uint64) {
	x.name(name, k)
	if label != "" {
		x.label(false, label, value)
	}
	x.buf = append(x.buf, "} "...)
	x.buf = strconv.AppendUint(x.buf, count, 10)
	x.buf = append(x.buf, '\n')
	x.flush(16 << 10)
}

func (x *exposition) name(name string, k Key) {
	x.buf = append(x.buf, name...)
	x.label(true, "app", k.Site.App)
	x.label(false, "environment", k.Site.Environment)
	x.label(false, "service", k.Service)
	x.label(false, "route", k.Route)
	release := ""
	if !k.Revision.IsZero() {
		release = k.Revision.String()
	}
	x.label(false, "release", release)
}

func (x *exposition) label(first bool, name, value string) {
	if first {
		x.buf = append(x.buf, '{')
	} else {
		x.buf = append(x.buf, ',')
	}
	x.buf = append(x.buf, name...)
	x.buf = append(x.buf, `="`...)
	x.buf = appendEscaped(x.buf, value, true)
	x.buf = append(x.buf, '"')
}

// appendEscaped escapes what the format asks for: backslash and line feed, and
// quotes in a label's value.
func appendEscaped(dst []byte, s string, quotes bool) []byte {
	for i := range len(s) {
		switch c := s[i]; {
		case c == '\\':
			dst = append(dst, `\\`...)
		case c == '\n':
			dst = append(dst, `\n`...)
		case c == '"' && quotes:
			dst = append(dst, `\"`...)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}
