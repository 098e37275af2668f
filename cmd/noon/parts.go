package main

import (
	"context"
	"fmt"
	"os"
	"syscall"

	"github.com/noon-deploy/noon/internal/api"
	"github.com/noon-deploy/noon/internal/cli"
	"github.com/noon-deploy/noon/internal/daemon"
	"github.com/noon-deploy/noon/internal/fault"
	"github.com/noon-deploy/noon/internal/host/process"
)

// parts is what this build of noon is made of.
func parts() cli.Parts {
	return cli.Parts{
		Serve:  serve,
		Host:   with(daemon.Host),
		Proxy:  with(daemon.Proxy),
		Keeper: process.KeeperMain,
		Exec:   process.ExecMain,
		Doctor: func(ctx context.Context, o cli.ServeOptions) []api.Finding {
			return daemon.Doctor(ctx, daemon.Options{Paths: daemon.Paths{Data: o.Data, Run: o.Run}, Listen: o.Listen, Version: o.Version})
		},
	}
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
		Paths: daemon.Paths{Data: o.Data, Run: o.Run}, Listen: o.Listen, Binary: binary,
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
