package meter_test

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/proxy/meter"
)

// took gives latencies as a web app has them, made before the clock runs.
func took() []time.Duration {
	list := make([]time.Duration, 1024)
	for i := range list {
		list[i] = time.Duration(rand.ExpFloat64() * float64(5*time.Millisecond))
	}
	return list
}

func BenchmarkDone(b *testing.B) {
	s := &meter.Series{} // one cell
	list := took()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		s.Done(200, list[i&1023], 0, 200)
	}
}

func BenchmarkDoneBusy(b *testing.B) {
	s := (&meter.Registry{Cells: 8}).Series(meter.Key{})
	list := took()
	for range 1 << 15 {
		s.Done(200, time.Millisecond, 0, 200)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		s.Done(200, list[i&1023], 0, 200)
	}
}

func BenchmarkDoneParallel(b *testing.B) {
	for name, s := range map[string]*meter.Series{"one-cell": {}, "cells": (&meter.Registry{Cells: 8}).Series(meter.Key{})} {
		b.Run(name, func(b *testing.B) {
			for range 1 << 15 {
				s.Done(200, time.Millisecond, 0, 200)
			}
			list := took()
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					s.Done(200, list[i&1023], 0, 200)
				}
			})
		})
	}
}

func BenchmarkSession(b *testing.B) {
	s := &meter.Series{}
	b.ReportAllocs()
	for i := uint64(0); b.Loop(); i++ {
		s.Session(i & 0xffff)
	}
}

func benchEntry() *meter.Entry {
	return &meter.Entry{
		Time: time.Unix(1_790_000_000, 123456789), Method: []byte("GET"), Host: []byte("shop.example.com"),
		Path: []byte("/products/42"), Query: []byte("q=shoes&page=2"), Protocol: "HTTP/1.1", Status: 200, In: 0, Out: 5120,
		Took: 3210 * time.Microsecond, FirstByte: 3 * time.Millisecond,
		Key:      meter.Key{Site: noon.Site{App: "shop", Environment: "production"}, Service: "web", Route: "/", Revision: noon.Revision{Release: 42, Config: 3}},
		Instance: "web-7f3a", Client: netip.MustParseAddr("192.0.2.17"), UserAgent: []byte("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
		RequestID: []byte("0192f3a1c4d57e8f"), TraceID: []byte("4bf92f3577b34da6a3ce929d0e0e4736"),
	}
}

func BenchmarkAppendJSON(b *testing.B) {
	e, buf := benchEntry(), make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		buf = e.AppendJSON(buf[:0])
	}
}

func BenchmarkLogWrite(b *testing.B) {
	log, err := meter.OpenLog(meter.LogConfig{Path: b.TempDir() + "/access.log", Size: -1})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	b.ReportAllocs()
	for b.Loop() {
		log.Write(benchEntry())
	}
	b.ReportMetric(float64(log.Dropped())/float64(b.N), "dropped/op")
}

func BenchmarkWritePrometheus(b *testing.B) {
	var r meter.Registry
	for i := range 100 {
		s := r.Series(meter.Key{Site: noon.Site{App: "shop", Environment: "production"}, Service: "web", Route: "/", Revision: noon.Revision{Release: i + 1}})
		s.Done(200, time.Millisecond, 1, 1)
		s.Session(uint64(i))
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := r.WritePrometheus(discard{}, nil); err != nil {
			b.Fatal(err)
		}
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
