//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"

	"github.com/noon-deploy/noon/bench/meter"
)

// report writes what was measured, as tables or as one JSON document.
type report struct {
	w    io.Writer
	json bool
	doc  document
}

type document struct {
	Date       string     `json:"date"`
	Machine    string     `json:"machine"`
	Load       string     `json:"load"` // averages of 1, 5 and 15 minutes before the run
	Rounds     int        `json:"rounds"`
	Seconds    float64    `json:"seconds"`
	Threads    int        `json:"threads"`
	Isolated   bool       `json:"isolated"`
	NoCounters string     `json:"no_counters,omitempty"` // why instructions are not counted
	Cases      []jsonCase `json:"cases"`
}

type jsonCase struct {
	ID    string     `json:"id"`
	Title string     `json:"title"`
	Peers []jsonPeer `json:"peers"`
	Bars  []verdict  `json:"bars"`
}

type jsonPeer struct {
	Name    string               `json:"name"`
	LeftOut string               `json:"left_out,omitempty"`
	Median  map[metric]float64   `json:"median,omitempty"`
	Ratio   float64              `json:"ratio,omitempty"` // of CPU, or memory, to the case's reference
	Rounds  []map[metric]float64 `json:"rounds,omitempty"`
	Errors  int                  `json:"errors"`
	Note    string               `json:"note,omitempty"`
}

func newReport(w io.Writer, o options) *report {
	r := &report{w: w, json: o.json, doc: document{
		Date: time.Now().UTC().Format(time.RFC3339), Machine: machine(), Load: loadAverage(),
		Rounds: o.rounds, Seconds: o.seconds, Threads: o.threads, Isolated: o.isolated,
	}}
	if c, err := meter.CountInstructions([]int{os.Getpid()}); err != nil {
		r.doc.NoCounters = err.Error()
	} else if err := c.Close(); err != nil {
		r.doc.NoCounters = err.Error()
	}
	return r
}

// machine describes what the numbers are of.
func machine() string {
	model := runtime.GOARCH
	if data, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(data)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	kernel := "Linux"
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		kernel += " " + unix.ByteSliceToString(u.Release[:])
	}
	return fmt.Sprintf("%d × %s, %s, %s", runtime.NumCPU(), model, kernel, runtime.Version())
}

// loadAverage tells how much else the machine had to do.
func loadAverage() string {
	data, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	fields := strings.Fields(string(data))
	return strings.Join(fields[:min(3, len(fields))], " ")
}

func (r *report) begin() error {
	if r.json {
		return nil
	}
	counters := "counted"
	if r.doc.NoCounters != "" {
		counters = "not counted on this machine (" + r.doc.NoCounters + ")"
	}
	_, err := fmt.Fprintf(r.w, `noon's proxy beside its peers, %s
%s; load average before the run: %s
%d rounds of %g s each, interleaved; medians; × is the median of the ratios within a round.
CPU time: user and system of the peer's processes, from their kernel CPU clocks. User instructions: %s.
`, r.doc.Date, r.doc.Machine, r.doc.Load, r.doc.Rounds, r.doc.Seconds, counters)
	return err
}

// add reports one case as soon as it is measured.
func (r *report) add(out outcome) error {
	c := jsonCase{ID: out.id, Title: out.title, Bars: out.verdicts()}
	for _, s := range out.peers {
		c.Peers = append(c.Peers, s.summary(out))
	}
	r.doc.Cases = append(r.doc.Cases, c)
	if r.json {
		return nil
	}
	return r.table(out, c)
}

func (r *report) end() error {
	if !r.json {
		return nil
	}
	e := json.NewEncoder(r.w)
	e.SetIndent("", "  ")
	return e.Encode(r.doc)
}

func (r *report) table(out outcome, c jsonCase) error {
	columns := out.columns()
	b := bufio.NewWriter(r.w)
	fmt.Fprintf(b, "\n%s: %s\n", c.ID, c.Title)
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "  peer\t")
	for _, m := range columns {
		fmt.Fprintf(w, "%s\t", m)
	}
	fmt.Fprintf(w, "× %s\terrors\t\n", out.ratio)
	for _, p := range c.Peers {
		if p.LeftOut == "" {
			row(w, p, columns)
		}
	}
	errs := []error{w.Flush()}
	for _, p := range c.Peers {
		switch {
		case p.LeftOut != "":
			fmt.Fprintf(b, "  %s was left out: %s\n", p.Name, p.LeftOut)
		case p.Note != "":
			fmt.Fprintf(b, "  %s: %s\n", p.Name, p.Note)
		}
	}
	for _, v := range c.Bars {
		fmt.Fprintf(b, "  %s\n", v)
	}
	return errors.Join(append(errs, b.Flush())...)
}

func row(w io.Writer, p jsonPeer, columns []metric) {
	fmt.Fprintf(w, "  %s\t", p.Name)
	for _, m := range columns {
		if v, ok := p.Median[m]; ok {
			fmt.Fprintf(w, "%s\t", number(m, v))
		} else {
			fmt.Fprint(w, "-\t")
		}
	}
	ratio := "-"
	if p.Ratio > 0 {
		ratio = fmt.Sprintf("%.2f", p.Ratio)
	}
	fmt.Fprintf(w, "%s\t%d\t\n", ratio, p.Errors)
}

func number(m metric, v float64) string {
	digits := 1
	if m == throughput || m == userShare {
		digits = 0
	}
	if m == p50 || m == p99 || m == addedP99 {
		digits = 2
	}
	return strconv.FormatFloat(v, 'f', digits, 64)
}

// columns are those for which there is a number at all.
func (o outcome) columns() []metric {
	all := slices.Concat([]metric{cpuTime, userShare, instructions, throughput, p50, p99}, o.more, []metric{memoryAll})
	return slices.DeleteFunc(all, func(m metric) bool {
		return !slices.ContainsFunc(o.peers, func(s *series) bool { _, ok := s.median(m); return ok })
	})
}
