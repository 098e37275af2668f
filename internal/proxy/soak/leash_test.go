package soak_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// vitals are what a proxy says of its own process.
type vitals struct {
	PID        int
	Goroutines int
	Files      int
	Resident   int64 // bytes; 0 if the system does not tell
}

func ownVitals() vitals {
	// The pipes that the kernel moves bytes through lie in a pool of the runtime.
	runtime.GC()
	runtime.GC()
	v := vitals{PID: os.Getpid(), Goroutines: runtime.NumGoroutine()}
	if entries, err := os.ReadDir("/dev/fd"); err == nil {
		v.Files = len(entries)
	}
	if data, err := os.ReadFile("/proc/self/statm"); err == nil {
		if fields := strings.Fields(string(data)); len(fields) > 1 {
			pages, _ := strconv.ParseInt(fields[1], 10, 64) // 0 says that nobody knows
			v.Resident = pages * int64(os.Getpagesize())
		}
	}
	return v
}

// obey is the proxy's end of the leash: it tells how the process is whenever
// it is asked, and ends it when nobody can ask any more.
func obey(path string) error {
	conn, err := net.Dial("unix", path)
	if err != nil {
		return err
	}
	out := json.NewEncoder(conn)
	if err := out.Encode(ownVitals()); err != nil {
		return err
	}
	go func() {
		in := bufio.NewScanner(conn)
		for in.Scan() && out.Encode(ownVitals()) == nil {
		}
		os.Exit(3)
	}()
	return nil
}

// leash holds every process that a proxy becomes.
type leash struct {
	l     net.Listener
	done  sync.WaitGroup
	mu    sync.Mutex
	procs []*leashed
}

// leashed is one of them.
type leashed struct {
	conn net.Conn
	in   *json.Decoder
	mu   sync.Mutex
	last vitals
}

func newLeash(t *testing.T, dir string) *leash {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(dir, "leash"))
	if err != nil {
		t.Fatal(err)
	}
	h := &leash{l: l}
	h.done.Go(h.accept)
	return h
}

func (h *leash) accept() {
	for {
		conn, err := h.l.Accept()
		if err != nil {
			return
		}
		p := &leashed{conn: conn, in: json.NewDecoder(conn)}
		_ = conn.SetDeadline(time.Now().Add(patience))
		if p.in.Decode(&p.last) != nil {
			conn.Close()
			continue
		}
		h.mu.Lock()
		h.procs = append(h.procs, p)
		h.mu.Unlock()
	}
}

// close ends all processes.
func (h *leash) close() {
	h.l.Close()
	h.done.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.procs {
		p.conn.Close()
	}
}

// alive asks all processes; those that have ended are left out from then on.
func (h *leash) alive() []vitals {
	h.mu.Lock()
	procs := h.procs
	h.mu.Unlock()
	var found []vitals
	var left []*leashed
	for _, p := range procs {
		if v, err := p.ask(); err == nil {
			found, left = append(found, v), append(left, p)
		} else {
			p.conn.Close()
		}
	}
	h.mu.Lock()
	h.procs = append(left, h.procs[len(procs):]...)
	h.mu.Unlock()
	return found
}

func (p *leashed) ask() (vitals, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.conn.SetDeadline(time.Now().Add(patience))
	if _, err := fmt.Fprintln(p.conn); err != nil {
		return vitals{}, err
	}
	err := p.in.Decode(&p.last)
	return p.last, err
}

// one returns the vitals of the only process.
func (h *leash) one() (vitals, error) {
	all := h.alive()
	if len(all) != 1 {
		return vitals{}, fmt.Errorf("%d processes: %+v", len(all), all)
	}
	return all[0], nil
}

// eventually polls until holds returns nil.
func eventually(t *testing.T, what string, limit time.Duration, holds func() error) {
	t.Helper()
	over := time.After(limit)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := holds()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-over:
			t.Fatalf("%s: not within %v: %v", what, limit, err)
		}
	}
}
