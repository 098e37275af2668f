//go:build linux

// Bench measures noon's proxy beside its peers, see
// docs/reference/benchmarks.md. make bench-proxy builds and runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/noon-deploy/noon/bench/origin"
	"github.com/noon-deploy/noon/bench/peer"
)

// options are what a run is asked for.
type options struct {
	rounds   int
	seconds  float64
	cases    string
	peers    string
	threads  int
	held     int
	bin      string
	noon     string
	json     bool
	profile  string
	isolated bool
}

func main() {
	// Children end with the thread that started them: this one.
	runtime.LockOSThread()
	if len(os.Args) == 2 && os.Args[1] == "origin" {
		exit(playOrigin())
	}
	exit(measure(os.Args[1:]))
}

func exit(err error) {
	if err == nil || errors.Is(err, flag.ErrHelp) {
		os.Exit(0)
	}
	fmt.Fprintln(os.Stderr, "bench:", err)
	os.Exit(1)
}

func measure(args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	if !inside() {
		ran, err := isolate()
		if ran {
			return err
		}
		fmt.Fprintf(os.Stderr, "bench: no network namespace of its own (%v): the loopback is shared with all that runs here\n", err)
	}
	o.isolated = inside()
	if o.isolated {
		if err := loopbackUp(); err != nil {
			return err
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return benchmark(ctx, o)
}

func parse(args []string) (options, error) {
	var o options
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.IntVar(&o.rounds, "rounds", 5, "rounds of each case")
	f.Float64Var(&o.seconds, "seconds", 3, "what is counted in a round")
	f.StringVar(&o.cases, "case", "", "cases, comma separated: "+strings.Join(names(cases(), func(c testCase) string { return c.id }), ", ")+" (default all)")
	f.StringVar(&o.peers, "peers", "", "peers, comma separated: direct, "+strings.Join(names(peer.Kinds(), func(k peer.Kind) string { return k.Name }), ", ")+" (default all)")
	f.IntVar(&o.threads, "threads", 2, "threads or processes that serve, GOMAXPROCS of those in Go")
	f.IntVar(&o.held, "held", 5000, "connections that are held open to measure memory")
	f.StringVar(&o.bin, "bin", ".cache/bench", "directory of the peers' binaries")
	f.StringVar(&o.noon, "noon", "", "binary of noon")
	f.BoolVar(&o.json, "json", false, "print JSON, not tables")
	f.StringVar(&o.profile, "profile", "", "directory for CPU profiles of noon's proxy, one a case")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if o.rounds < 1 || o.seconds <= 0 || o.threads < 1 || o.held < 1 || f.NArg() > 0 {
		return o, errors.New("rounds, seconds, threads and held must be positive, and there are no arguments")
	}
	return o, errors.Join(
		known("case", o.cases, names(cases(), func(c testCase) string { return c.id })),
		known("peers", o.peers, append(names(peer.Kinds(), func(k peer.Kind) string { return k.Name }), direct)),
	)
}

func names[T any](all []T, name func(T) string) []string {
	var list []string
	for _, v := range all {
		list = append(list, name(v))
	}
	return list
}

func known(what, list string, all []string) error {
	for name := range strings.SplitSeq(list, ",") {
		if name != "" && !slices.Contains(all, name) {
			return fmt.Errorf("--%s: there is no %q; there are %s", what, name, strings.Join(all, ", "))
		}
	}
	return nil
}

// chosen reports whether a list names it; an empty one names all.
func chosen(list, name string) bool {
	return list == "" || slices.Contains(strings.Split(list, ","), name)
}

// playOrigin is the back end's process. It ends when its input does.
func playOrigin() error {
	s, err := origin.Listen(2)
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stdout, strings.Join(s.Addresses, " "))
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // any end of it is the end
		os.Exit(0)
	}()
	return s.Serve()
}

func seconds(f float64) time.Duration { return time.Duration(f * float64(time.Second)) }
