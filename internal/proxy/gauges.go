package proxy

import (
	"fmt"
	"os"
	"runtime"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/proxy/meter"
)

// gauges tells what is at this moment, for Prometheus. Of work in flight it is
// this process's own: the one that an earlier proxy still finishes is seen in
// `noon top`.
func (p *Proxy) gauges() []meter.Gauge {
	statuses := p.ownStatuses()
	list := p.siteGauges(statuses)
	list = append(list, p.endpointGauges(statuses)...)
	list = append(list,
		meter.Gauge{Name: "noon_connections", Help: "Open connections of clients.", Value: float64(p.users.open.n.Load())},
		meter.Gauge{Name: "noon_build_info", Help: "The proxy's version; the value is 1.", Labels: []meter.Label{{Name: "version", Value: p.cfg.Version}}, Value: 1},
		meter.Gauge{Name: "go_goroutines", Help: "Goroutines.", Value: float64(runtime.NumGoroutine())},
		meter.Gauge{Name: "go_memstats_heap_alloc_bytes", Help: "Bytes of heap in use.", Value: heapBytes()},
	)
	return append(list, p.processGauges()...)
}

// siteGauges are shares, held requests and what is wrong.
func (p *Proxy) siteGauges(statuses []noon.RoutingStatus) []meter.Gauge {
	var shares, held, broken, ejections []meter.Gauge
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, st := range statuses {
		site := siteLabels(st.Site)
		for _, s := range st.Shares {
			shares = append(shares, meter.Gauge{
				Name: "noon_share_ratio", Help: "Part of new requests that a release gets.",
				Labels: append(siteLabels(st.Site), meter.Label{Name: "release", Value: s.Revision.String()}), Value: float64(s.Points) / noon.PointsWhole,
			})
		}
		waiting, problem, ejected := int64(0), 0.0, int64(0)
		if state := p.sites[st.Site]; state != nil {
			waiting, ejected = state.held.Load(), state.ejections.Load()
		}
		if st.Problem != "" {
			problem = 1
		}
		held = append(held, meter.Gauge{Name: "noon_held_requests", Help: "Requests that wait for an instance.", Labels: site, Value: float64(waiting)})
		broken = append(broken, meter.Gauge{Name: "noon_site_problem", Help: "1 if the site's routing can not be used as it is.", Labels: site, Value: problem})
		ejections = append(ejections, meter.Gauge{
			Name: "noon_ejections_total", Help: "How often an instance was left out for answering far more 5xx than others.", Labels: site, Value: float64(ejected), Counter: true,
		})
	}
	return slices.Concat(shares, held, broken, ejections)
}

// endpointGauges are what each release has in flight.
func (p *Proxy) endpointGauges(statuses []noon.RoutingStatus) []meter.Gauge {
	var requests, streams, instances, without []meter.Gauge
	out := p.leftOut()
	for _, s := range serviceTraffic(statuses) {
		labels := append(siteLabels(s.Site), meter.Label{Name: "service", Value: s.Service}, meter.Label{Name: "release", Value: s.Revision.String()})
		requests = append(requests, meter.Gauge{Name: "noon_requests_in_flight", Help: "Requests in flight.", Labels: labels, Value: float64(s.Requests)})
		streams = append(streams, meter.Gauge{Name: "noon_streams_in_flight", Help: "Upgraded connections and event streams.", Labels: labels, Value: float64(s.Streams)})
		instances = append(instances, meter.Gauge{Name: "noon_instances", Help: "Instances that are sent requests.", Labels: labels, Value: float64(s.Instances)})
		without = append(without, meter.Gauge{Name: "noon_instances_left_out", Help: "Instances that could not be reached, fail their health check or answer far more 5xx than others: others are preferred.", Labels: labels, Value: float64(out[group{s.Site, s.Service, s.Revision}])})
	}
	return slices.Concat(requests, streams, instances, without)
}

// group is the instances of one release of a service.
type group struct {
	site     noon.Site
	service  string
	revision noon.Revision
}

// leftOut counts the instances for which others are preferred just now.
func (p *Proxy) leftOut() map[group]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.sweeper.clock()
	count := map[group]int{}
	for _, state := range p.sites {
		for _, r := range state.routing.Endpoints {
			if e := state.endpoints[r.ID]; e != nil && !e.well(now) {
				count[group{e.site, e.Service, e.Revision}]++
			}
		}
	}
	return count
}

func siteLabels(site noon.Site) []meter.Label {
	// Room for the two labels that come after, so that appending copies nothing
	// and nothing is shared by mistake.
	labels := make([]meter.Label, 0, 4)
	return append(labels, meter.Label{Name: "app", Value: site.App}, meter.Label{Name: "environment", Value: site.Environment})
}

// heapBytes does not stop the world, as runtime.ReadMemStats would.
func heapBytes() float64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return float64(sample[0].Value.Uint64())
}

// processGauges are under the names that every exporter has them.
func (p *Proxy) processGauges() []meter.Gauge {
	list := []meter.Gauge{{
		Name: "process_start_time_seconds", Help: "When the process started, in Unix time.", Value: float64(p.sweeper.start.UnixMilli()) / 1e3,
	}}
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err == nil {
		cpu := time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
		list = append(list, meter.Gauge{Name: "process_cpu_seconds_total", Help: "CPU time, user and system.", Value: cpu.Seconds(), Counter: true})
	}
	// What only Linux tells is left out elsewhere.
	if open, err := os.ReadDir("/proc/self/fd"); err == nil {
		list = append(list, meter.Gauge{Name: "process_open_fds", Help: "Open file descriptors.", Value: float64(len(open))})
	}
	if pages, err := residentPages(); err == nil {
		list = append(list, meter.Gauge{Name: "process_resident_memory_bytes", Help: "Memory in RAM.", Value: float64(pages * os.Getpagesize())})
	}
	return list
}

func residentPages() (int, error) {
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(data))
	if len(fields) < 2 {
		return 0, fmt.Errorf("statm has %d fields", len(fields))
	}
	return strconv.Atoi(fields[1])
}
