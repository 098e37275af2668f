package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/noon-deploy/noon/internal/api"
	"github.com/noon-deploy/noon/internal/cli"
	"github.com/noon-deploy/noon/internal/daemon"
	"github.com/noon-deploy/noon/internal/database/grammar"
	"github.com/noon-deploy/noon/internal/demo"
	"github.com/noon-deploy/noon/internal/fault"
	"github.com/noon-deploy/noon/internal/host/process"
	"github.com/noon-deploy/noon/internal/sockets"
)

// parts is what this build of noon is made of.
func parts() cli.Parts {
	return cli.Parts{
		Serve:   serve,
		Host:    with(daemon.Host),
		Proxy:   with(daemon.Proxy),
		Keeper:  process.KeeperMain,
		Exec:    process.ExecMain,
		Sockets: func(ctx context.Context, args []string) int { return sockets.Main(ctx, version, args) },
		Grammar: grammar.Main,
		Doctor: func(ctx context.Context, o cli.ServeOptions) []api.Finding {
			return daemon.Doctor(ctx, daemon.Options{Paths: daemon.Paths{Data: o.Data, Run: o.Run}, Listen: o.Listen, Version: o.Version})
		},
		Demo: play,
	}
}

// play plays the demo and prints its report. What is told meanwhile goes to
// stderr where stdout is for the report alone.
func play(ctx context.Context, o cli.DemoOptions) error {
	progress := o.Stdout
	switch {
	case o.Quiet:
		progress = io.Discard
	case o.JSON:
		progress = o.Stderr
	}
	r, err := demo.Run(ctx, demo.Options{
		Binary: o.Binary, For: time.Duration(o.Seconds) * time.Second, Rate: o.Rate, Keep: o.Keep, Database: o.Postgres,
		Version: o.Version, Environ: os.Environ(), Progress: progress, Started: time.Now(),
	})
	if r == nil {
		return err
	}
	return errors.Join(r.Write(o.Stdout, o.JSON, demo.Paint{Good: o.Page.Good, Bad: o.Page.Bad, Dim: o.Page.Dim}), err, r.Err())
}

func with(run func(context.Context, daemon.Options) error) func(context.Context, cli.ServeOptions) error {
	return func(ctx context.Context, o cli.ServeOptions) error {
		opts, err := options(o)
		if err != nil {
			return err
		}
		return run(ctx, opts)
	}
}

func options(o cli.ServeOptions) (daemon.Options, error) {
	faults, err := fault.FromEnv()
	if err != nil {
		return daemon.Options{}, err
	}
	binary, err := os.Executable()
	if err != nil {
		return daemon.Options{}, fmt.Errorf("find the path of this binary: %w", err)
	}
	return daemon.Options{
		Paths: daemon.Paths{Data: o.Data, Run: o.Run}, Listen: o.Listen, Metrics: o.Metrics, Binary: binary, Access: daemon.AccessOptions(o.Access),
		Version: o.Version, Log: o.Log, Faults: faults,
	}, nil
}

// serve runs the controller. Asked to upgrade, it becomes the new binary: the
// process, and whoever watches it, stay the same.
func serve(ctx context.Context, o cli.ServeOptions) error {
	opts, err := options(o)
	if err != nil {
		return err
	}
	next, err := daemon.Serve(ctx, opts)
	if err != nil || next == "" {
		return err
	}
	return fmt.Errorf("become %s: %w", next, syscall.Exec(next, append([]string{next}, os.Args[1:]...), os.Environ()))
}
