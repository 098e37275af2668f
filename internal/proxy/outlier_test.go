package proxy_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/proxy"
)

// moody is an instance that answers 500 to so many of a hundred requests.
type moody struct {
	address string
	bad     atomic.Int64
	seen    atomic.Int64
}

func newMoody(t *testing.T) *moody {
	t.Helper()
	m := &moody{}
	m.address = backend(t, func(w http.ResponseWriter, _ *http.Request) {
		m.seen.Add(1)
		if rand.Int64N(100) < m.bad.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	return m
}

// outliers are the instances that are left out, by address, and why.
func outliers(t *testing.T, p *running) map[string]string {
	t.Helper()
	list, err := p.Show(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, e := range list[0].Endpoints {
		if e.Outlier != "" {
			found[e.Address] = e.Outlier
		}
	}
	return found
}

// TestOutlier: an instance that answers 5xx while the others do not is left
// out, and takes its part again after a time.
func TestOutlier(t *testing.T) {
	t.Parallel()
	for _, bad := range []int64{100, 60} {
		t.Run(fmt.Sprint(bad), func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, c *http.Client) {
				t.Helper()
				a, b := newMoody(t), newMoody(t)
				p := start(t, proxy.Limits{})
				r := routing(1, 1, a.address, b.address)
				r.Traffic.Outliers.Time = 6 * time.Second
				mustRoute(t, p, r)
				a.bad.Store(bad)
				eventually(t, "it is left out", func() bool {
					for range 20 {
						get(t, c, p.url)
					}
					return outliers(t, p)[a.address] != ""
				})
				before := a.seen.Load()
				for range 30 {
					if got := get(t, c, p.url); got.status != http.StatusOK {
						t.Errorf("%+v", got)
					}
				}
				if n := a.seen.Load() - before; n > 0 {
					t.Errorf("it was sent %d requests while it was left out", n)
				}
				wantMetrics(t, p, `noon_instances_left_out{app="shop",environment="production",service="web",release="r1.c0"} 1`, `noon_ejections_total{app="shop",environment="production"} 1`)
				a.bad.Store(0)
				eventually(t, "it is back", func() bool { return len(outliers(t, p)) == 0 })
				before = a.seen.Load()
				eventually(t, "it takes its part", func() bool { get(t, c, p.url); return a.seen.Load() > before })
			})
		})
	}
}

func wantMetrics(t *testing.T, p *running, lines ...string) {
	t.Helper()
	text, err := p.Metrics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		if !strings.Contains(string(text), line+"\n") {
			t.Errorf("%s is not told", line)
		}
	}
}

// TestNoOutlier: nobody is left out for what all do, if the site does not want
// it, or if too many are left out already.
func TestNoOutlier(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		bad  []int64
		rule noon.Outliers
		most int
	}{
		{"all answer 5xx", []int64{100, 100, 100}, noon.Outliers{}, 0},
		{"all answer it now and then", []int64{40, 40, 40}, noon.Outliers{}, 0},
		{"off", []int64{100, 0}, noon.Outliers{Off: true}, 0},
		{"two of three", []int64{100, 100, 0}, noon.Outliers{}, 1},
		{"alone", []int64{100}, noon.Outliers{}, 0},
		{"three of five, many may be", []int64{100, 100, 0, 0, 0}, noon.Outliers{Most: 80}, 2},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var addresses []string
			for _, bad := range row.bad {
				m := newMoody(t)
				m.bad.Store(bad)
				addresses = append(addresses, m.address)
			}
			p := start(t, proxy.Limits{})
			r := routing(1, 1, addresses...)
			r.Traffic.Outliers = row.rule
			mustRoute(t, p, r)
			c := client(t)
			most := 0
			for end := time.Now().Add(time.Second); time.Now().Before(end) || most < row.most; {
				get(t, c, p.url)
				if most = max(most, len(outliers(t, p))); most > row.most {
					t.Fatalf("left out: %v", outliers(t, p))
				}
			}
		})
	}
}

// TestStandsOut: an instance that is as good as the others never stands out by
// chance, and one that is much worse always does, however many answers there
// are.
func TestStandsOut(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rule := noon.Outliers{}
		n := rapid.IntRange(50, 5000).Draw(t, "answers")
		others := rapid.IntRange(50, 20_000).Draw(t, "answers of others")
		part := rapid.Float64Range(0, 1).Draw(t, "part")
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1)) //nolint:gosec // a seed that can be run again
		draw := func(n int, part float64) float64 {
			bad := 0.0
			for range n {
				if random.Float64() < part {
					bad++
				}
			}
			return bad
		}
		if why := proxy.StandsOut(float64(n), draw(n, part), 0, float64(others), draw(others, part), rule); why != "" {
			t.Fatalf("by chance: %s", why)
		}
		if why := proxy.StandsOut(float64(n), draw(n, .9), 0, float64(others), draw(others, .1), rule); why == "" {
			t.Fatal("nine of ten beside one of ten is nothing")
		}
	})
	for _, row := range []struct {
		row, others, bad float64
		want             bool
	}{{10, 20, 0, true}, {9, 20, 0, false}, {10, 20, 12, false}, {10, 2, 0, false}, {10, 0, 0, false}} {
		if got := proxy.StandsOut(row.row, row.row, int(row.row), row.others, row.bad, noon.Outliers{}) != ""; got != row.want {
			t.Errorf("%+v: %v", row, got)
		}
	}
}
