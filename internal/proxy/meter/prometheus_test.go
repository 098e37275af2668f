package meter_test

import (
	"bufio"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/proxy/meter"
)

func exposed(t interface{ Fatal(...any) }, r *meter.Registry, gauges ...meter.Gauge) string {
	var b strings.Builder
	if err := r.WritePrometheus(&b, gauges); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestPrometheusText(t *testing.T) {
	t.Parallel()
	gauges := []meter.Gauge{
		{Name: "noon_in_flight", Help: "Requests in flight.", Value: 3, Labels: []meter.Label{{"app", "shop"}, {"release", "r1.c1"}}},
		{Name: "noon_in_flight", Value: 0, Labels: []meter.Label{{"app", "shop"}, {"release", "r2.c1"}}},
		{Name: "go_goroutines", Help: "Goroutines.", Value: 12},
		{Name: "process_cpu_seconds_total", Help: "CPU time,\nuser and \\ system.", Value: 1.5, Counter: true},
	}
	r := &meter.Registry{}
	s := r.Series(key(1, "/"))
	for i := range 100 {
		s.Done(200, time.Duration(i+1)*time.Millisecond, 10, 1000)
		s.Session(uint64(i % 7))
	}
	s.Done(503, 20*time.Minute, 0, 0)
	s.Failed(meter.Timeout)
	r.Series(key(2, `/"quoted\`+"\n")).Done(0, 5*time.Millisecond, 0, 0)
	text := exposed(t, r, gauges...)
	if err := checkExposition(text); err != nil {
		t.Error(err)
	}
	golden(t, "prometheus.txt", text)
}

// What Prometheus is told of latency is exact: as many as there were at most as
// long as the bound.
func TestPrometheusBucketsAreExact(t *testing.T) {
	t.Parallel()
	bucket := regexp.MustCompile(`noon_request_duration_seconds_bucket\{.*le="([^"]+)"\} (\d+)`)
	rapid.Check(t, func(t *rapid.T) {
		var r meter.Registry
		s := r.Series(key(1, "/"))
		edge := rapid.Custom(func(t *rapid.T) int64 {
			return 312_500<<rapid.IntRange(0, 21).Draw(t, "doubled") + rapid.Int64Range(-2, 2).Draw(t, "beside")
		})
		all := rapid.SliceOfN(rapid.OneOf(edge, rapid.Int64Range(0, 700e9)), 1, 100).Draw(t, "ns")
		for _, d := range all {
			s.Done(200, time.Duration(d), 0, 0)
		}
		found := bucket.FindAllStringSubmatch(exposed(t, &r), -1)
		if len(found) != 23 {
			t.Fatalf("%d buckets", len(found))
		}
		for _, m := range found {
			le, err := strconv.ParseFloat(m[1], 64)
			if err != nil {
				t.Fatal(err)
			}
			want := 0
			for _, d := range all {
				if float64(d) <= math.Round(le*1e9) {
					want++
				}
			}
			if m[2] != strconv.Itoa(want) {
				t.Fatalf("le=%s: %s, want %d", m[1], m[2], want)
			}
		}
	})
}

func TestAnyLabelsMakeValidText(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var r meter.Registry
		for range 3 {
			k := meter.Key{Site: noon.Site{App: rapid.String().Draw(t, "app")}, Service: rapid.String().Draw(t, "service"), Route: rapid.String().Draw(t, "route")}
			s := r.Series(k)
			s.Done(rapid.IntRange(0, 700).Draw(t, "status"), time.Second, 1, 1)
			s.Session(1)
			s.Failed(meter.Cut)
		}
		if err := checkExposition(exposed(t, &r)); err != nil {
			t.Fatal(err)
		}
	})
}

var errBroken = errors.New("the pipe is broken")

type broken struct{ left int }

func (b *broken) Write(p []byte) (int, error) {
	if b.left--; b.left < 0 {
		return 0, errBroken
	}
	return len(p), nil
}

func TestPrometheusTellsWhenTheReaderLeft(t *testing.T) {
	t.Parallel()
	var r meter.Registry
	for i := range 100 {
		r.Series(key(i+1, "/")).Done(200, time.Second, 1, 1)
	}
	for left := range 3 {
		if err := r.WritePrometheus(&broken{left}, nil); !errors.Is(err, errBroken) {
			t.Errorf("after %d writes: %v", left, err)
		}
	}
}

// checkExposition holds a text to the format 0.0.4: what lines look like, that
// a family is in one piece behind its HELP and TYPE, that no sample is told
// twice, that histograms are cumulative and complete.
func checkExposition(text string) error {
	if !strings.HasSuffix(text, "\n") {
		return errors.New("the last line has no line feed")
	}
	c := checker{types: map[string]string{}, seen: map[string]bool{}, helped: map[string]bool{}, last: map[string]float64{}}
	lines := bufio.NewScanner(strings.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		if err := c.line(lines.Text()); err != nil {
			return fmt.Errorf("line %d: %w: %q", n, err, lines.Text())
		}
	}
	for series, inf := range c.last {
		if count, ok := c.counts[series]; !ok || count != inf {
			return fmt.Errorf("histogram %s has %v below +Inf and count %v", series, inf, count)
		}
	}
	return lines.Err()
}

type checker struct {
	family string
	types  map[string]string
	helped map[string]bool
	seen   map[string]bool
	last   map[string]float64 // bucket of each histogram
	counts map[string]float64
}

var (
	helpLine   = regexp.MustCompile(`^# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) ((?:[^\\]|\\[\\n])*)$`)
	typeLine   = regexp.MustCompile(`^# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram|summary|untyped)$`)
	sampleLine = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{.*\})? (\S+)$`)
	labels     = regexp.MustCompile(`^\{(?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"(?:,|\}$))+$`)
	leLabel    = regexp.MustCompile(`,le="([^"]*)"`)
)

func (c *checker) line(s string) error {
	if m := helpLine.FindStringSubmatch(s); m != nil {
		if c.helped[m[1]] {
			return errors.New("second HELP")
		}
		c.helped[m[1]] = true
		return nil
	}
	if m := typeLine.FindStringSubmatch(s); m != nil {
		if _, ok := c.types[m[1]]; ok || !c.helped[m[1]] {
			return errors.New("second TYPE, or without HELP")
		}
		c.family, c.types[m[1]] = m[1], m[2]
		return nil
	}
	m := sampleLine.FindStringSubmatch(s)
	if m == nil || m[2] != "" && !labels.MatchString(m[2]) {
		return errors.New("neither comment nor sample")
	}
	value, err := strconv.ParseFloat(m[3], 64)
	if err != nil {
		return err
	}
	if c.seen[m[1]+m[2]] {
		return errors.New("told twice")
	}
	c.seen[m[1]+m[2]] = true
	kind := c.types[c.family]
	if kind == "counter" && (value < 0 || !strings.HasSuffix(c.family, "_total")) {
		return errors.New("no counter")
	}
	if kind != "histogram" {
		if m[1] != c.family {
			return fmt.Errorf("sample in family %s", c.family)
		}
		return nil
	}
	return c.histogram(m[1], m[2], value)
}

func (c *checker) histogram(name, labels string, value float64) error {
	series := leLabel.ReplaceAllString(labels, "")
	switch strings.TrimPrefix(name, c.family) {
	case "_bucket":
		le := leLabel.FindStringSubmatch(labels)
		if le == nil || value < c.last[series] {
			return errors.New("not cumulative, or without le")
		}
		c.last[series] = value
	case "_count":
		if c.counts == nil {
			c.counts = map[string]float64{}
		}
		c.counts[series] = value
	case "_sum":
	default:
		return fmt.Errorf("sample in family %s", c.family)
	}
	return nil
}
