//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/noon-deploy/noon/bench/load"
	"github.com/noon-deploy/noon/bench/meter"
	"github.com/noon-deploy/noon/bench/peer"
)

// sample is what one round shows of one peer.
type sample struct {
	values map[metric]float64
	errors int
	note   string
}

// The usual columns, beside those that bars are about.
const (
	userShare  metric = "user %"
	throughput metric = "requests/s"
	p50        metric = "p50 ms"
	p99        metric = "p99 ms"
	memoryAll  metric = "MiB"
	snapshots  metric = "snapshots/s"
)

type exchange = func(net.Conn) error

// target is what a round measures: the processes, and where they serve.
type target struct {
	name    string
	address string
	pids    []int
	running *peer.Running // nil: the origin itself
	variant variant
}

// served measures one round of requests.
func served(ctx context.Context, c testCase, t target, plan load.Plan) (sample, error) {
	var marks []meter.CPU
	var counts []uint64
	counter, noCounter := meter.CountInstructions(t.pids)
	plan.Address = t.address
	plan.Mark = func() error {
		cpu, err := meter.ReadCPU(t.pids)
		marks = append(marks, cpu)
		if noCounter == nil && err == nil {
			var n uint64
			n, err = counter.Read()
			counts = append(counts, n)
		}
		return err
	}
	began := time.Now()
	swaps, stop := meanwhile(ctx, t)
	result, err := c.run(plan)
	done, swapErr := stop()
	lasted := time.Since(began)
	if noCounter == nil {
		err = errors.Join(err, counter.Close())
	}
	if err = errors.Join(err, swapErr); err != nil {
		return sample{}, err
	}
	if result.Requests() == 0 {
		return sample{}, fmt.Errorf("nothing was answered: %w", result.Example)
	}
	used := marks[1].Since(marks[0])
	each := 1 / float64(result.Requests())
	s := sample{errors: result.Errors, values: map[metric]float64{
		cpuTime:    float64(used.Total.Nanoseconds()) / 1e3 * each,
		throughput: float64(result.Requests()) / result.Elapsed.Seconds(),
		p50:        millis(result.Percentile(.5)), p99: millis(result.Percentile(.99)),
	}}
	if share := used.UserShare(); share >= 0 {
		s.values[userShare] = 100 * share
	}
	if noCounter == nil {
		s.values[instructions] = float64(counts[1]-counts[0]) / 1e3 * each
	}
	if result.Example != nil {
		s.note = result.Example.Error()
	}
	if t.variant.routes > 0 {
		s.note = fmt.Sprintf("%d routes took %.1f s to load", t.variant.routes, t.running.Took.Seconds())
	}
	if swaps {
		s.values[snapshots] = float64(done) / lasted.Seconds()
	}
	bytes, err := meter.Memory(t.pids)
	s.values[memoryAll] = float64(bytes) / (1 << 20)
	return s, err
}

func millis(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

// callers give noon snapshots at once: an acknowledgement takes as long as the
// disk does. The sites of two callers are never the same, so that none is
// overtaken by a newer one.
const callers = 8

// meanwhile gives noon new snapshots while it serves, if the variant says so.
// The first caller has the site that the load goes to. stop tells how many were
// acknowledged.
func meanwhile(ctx context.Context, t target) (swaps bool, stop func() (int, error)) {
	if t.variant.snapshots == 0 {
		return false, func() (int, error) { return 0, nil }
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	done, errs := make([]int, callers), make([]error, callers)
	for part := range callers {
		wg.Go(func() { done[part], errs[part] = swap(ctx, t, part) })
	}
	return true, func() (int, error) {
		cancel()
		wg.Wait()
		sum := 0
		for _, n := range done {
			sum += n
		}
		return sum, errors.Join(errs...)
	}
}

// swap is one caller. What it has asked for it waits for.
func swap(ctx context.Context, t target, part int) (done int, err error) {
	control := peer.NewControl(t.running.Setup)
	tick := time.NewTicker(time.Duration(callers * float64(time.Second) / t.variant.snapshots))
	defer tick.Stop()
	for sequence := time.Now().UnixNano(); ; sequence++ { // grows from round to round
		select {
		case <-ctx.Done():
			return done, nil
		case <-tick.C:
		}
		site := peer.Served
		if part > 0 {
			site = 1 + (part+callers*done)%t.running.Setup.Sites()
		}
		if err := control.Route(context.WithoutCancel(ctx), site, sequence); err != nil {
			return done, err
		}
		done++
	}
}

// settleFor is how long connections rest before their memory is read.
const settleFor = 3 * time.Second

// held measures the memory of connections that do nothing.
func held(ctx context.Context, c testCase, t target, n int) (sample, error) {
	open, again := c.held()
	before, err := meter.Memory(t.pids)
	if err != nil {
		return sample{}, err
	}
	conns, err := load.Hold(t.address, n, open)
	if err != nil {
		return sample{}, err
	}
	defer conns.Close()
	select {
	case <-ctx.Done():
		return sample{}, ctx.Err()
	case <-time.After(settleFor):
	}
	after, err := meter.Memory(t.pids)
	if err != nil {
		return sample{}, err
	}
	if err := conns.Again(again); err != nil {
		return sample{}, fmt.Errorf("not all connections were held: %w", err)
	}
	return sample{values: map[metric]float64{
		memoryEach: float64(after-before) / 1024 / float64(n),
		memoryAll:  float64(after) / (1 << 20),
	}}, nil
}
