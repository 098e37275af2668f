//go:build linux

package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/noon-deploy/noon/bench/load"
	"github.com/noon-deploy/noon/bench/origin"
)

// The names that bars refer to.
const (
	direct  = "direct"
	noonOne = "noon"
	haproxy = "haproxy"
	caddy   = "caddy"
)

// hostName is the one that every peer serves.
const hostName = "bench.example"

// metric is one column.
type metric string

const (
	cpuTime      metric = "CPU µs"
	instructions metric = "instr. k"
	memoryEach   metric = "KiB each"
	addedP99     metric = "p99 added ms"
)

// bar is what noon is to reach.
type bar struct {
	name    string // bar or ambition
	of      metric
	most    float64
	against string // the peer whose value is multiplied; none: a plain number
}

// testCase is one row of what the data plane must show.
type testCase struct {
	id, title string
	secure    bool
	bars      []bar
	ratio     string // the peer of the column of ratios
	variants  []variant
	held      func() (open, again exchange) // memory: connections that are only held
	plan      func(o options) load.Plan
	run       func(load.Plan) (load.Result, error)
	more      []metric // columns beside the usual
}

// variant is a peer that only one case has.
type variant struct {
	name      string
	routes    int
	snapshots float64 // a second, meanwhile
}

// connections at once, as in the research that set the bars.
const connections = 64

func cases() []testCase {
	return append(plainCases(), append(secureCases(), otherCases()...)...)
}

func plainCases() []testCase {
	simple := func(request []byte, body int) func(options) load.Plan {
		return func(options) load.Plan {
			return load.Plan{Requests: [][]byte{request}, Body: body, Connections: connections}
		}
	}
	return []testCase{
		{
			id: "get", title: "GET 200 B, keep-alive, 64 connections", ratio: haproxy, run: load.Run, plan: simple(get("/", ""), origin.Small),
			bars: []bar{{"bar", cpuTime, 1.2, haproxy}, {"ambition", cpuTime, .85, haproxy}, {"ambition", instructions, 20, ""}},
		},
		{
			id: "64k", title: "GET 64 KiB, keep-alive, 64 connections", ratio: haproxy, run: load.Run, plan: simple(get("/64k", ""), origin.Large),
			bars: []bar{{"bar", cpuTime, 1.3, haproxy}, {"ambition", cpuTime, 1, haproxy}},
		},
		{
			id: "post", title: "POST 16 KiB, keep-alive, 64 connections", ratio: haproxy, run: load.Run, plan: simple(post(16<<10), origin.Small),
			bars: []bar{{"bar", cpuTime, 1, haproxy}, {"ambition", cpuTime, .7, haproxy}},
		},
		{
			id: "connect", title: "GET 200 B, a new connection for every request, 64 at once", ratio: haproxy, run: load.Run,
			plan: func(options) load.Plan {
				return load.Plan{Requests: [][]byte{get("/", "Connection: close\r\n")}, Body: origin.Small, Connections: connections, Fresh: true}
			},
			bars: []bar{{"bar", cpuTime, 1.9, haproxy}, {"ambition", cpuTime, 1.2, haproxy}},
		},
	}
}

func secureCases() []testCase {
	return []testCase{
		{
			id: "tls", title: "GET 200 B, TLS 1.3, HTTP/1.1 keep-alive, 64 connections", secure: true, ratio: haproxy, run: load.RunTLS,
			plan: func(options) load.Plan {
				return load.Plan{Requests: [][]byte{get("/", "")}, Body: origin.Small, Connections: connections}
			},
			bars: []bar{{"bar", cpuTime, 1.4, haproxy}, {"ambition", cpuTime, 1, haproxy}},
		},
		{
			id: "h2", title: "GET 200 B, HTTP/2 over TLS 1.3, 64 streams (16 on each of 4 connections)", secure: true, ratio: haproxy, run: load.RunHTTP2,
			plan: func(options) load.Plan {
				return load.Plan{Host: hostName, Path: "/", Body: origin.Small, Connections: 4, Streams: 16}
			},
			bars: []bar{{"bar", cpuTime, .6, caddy}, {"ambition", cpuTime, 1.3, haproxy}},
		},
	}
}

func otherCases() []testCase {
	ask := load.Get(get("/", ""), origin.Small)
	return []testCase{
		{
			id: "idle", title: "memory of an idle keep-alive connection", ratio: haproxy, more: []metric{memoryEach},
			held: func() (exchange, exchange) { return ask, ask },
			bars: []bar{{"bar", memoryEach, 8, ""}, {"ambition", memoryEach, 2, ""}},
		},
		{
			id: "websocket", title: "memory of an idle WebSocket", ratio: haproxy, more: []metric{memoryEach},
			held: func() (exchange, exchange) { return load.Upgrade(hostName), load.Echo },
			bars: []bar{{"bar", memoryEach, 12, ""}, {"ambition", memoryEach, 6, ""}},
		},
		{
			id: "open", title: "2,000 requests/s whatever the answers do (open loop), GET 200 B", ratio: haproxy, run: load.Run, more: []metric{addedP99},
			plan: func(options) load.Plan {
				return load.Plan{Requests: [][]byte{get("/", "")}, Body: origin.Small, Connections: 4 * connections, Rate: 2000}
			},
			bars: []bar{{"bar", addedP99, 1, haproxy}},
		},
		{
			id: "routes", title: "GET 200 B with 10,000 routes, and 100 snapshots/s meanwhile", ratio: noonOne, run: load.Run, more: []metric{snapshots},
			variants: []variant{{"noon", 0, 0}, {"noon-10k", 10_000, 0}, {"noon-10k-100/s", 10_000, 100}},
			plan: func(options) load.Plan {
				return load.Plan{Requests: [][]byte{get("/", "")}, Body: origin.Small, Connections: connections}
			},
			bars: []bar{{"bar", cpuTime, 1.05, noonOne}, {"ambition", cpuTime, 1, noonOne}},
		},
	}
}

// subject is the name of the peer that the bars of a case are for.
func (c testCase) subject() string {
	if n := len(c.variants); n > 0 {
		return c.variants[n-1].name
	}
	return noonOne
}

// request as a browser sends it, but for the length of its headers.
func get(path, more string) []byte {
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nAccept: */*\r\n%s\r\n", path, hostName, more)
}

func post(size int) []byte {
	return fmt.Appendf(nil, "POST / HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nAccept: */*\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n%s", hostName, size, strings.Repeat("b", size))
}

// warmFor is how long a round runs before anything is counted.
const warmFor = 500 * time.Millisecond
