package daemon

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/fault"
	"github.com/noon-deploy/noon/internal/host"
	"github.com/noon-deploy/noon/internal/host/process"
	"github.com/noon-deploy/noon/internal/proxy"
	"github.com/noon-deploy/noon/internal/proxy/cert/sharing"
	"github.com/noon-deploy/noon/internal/release"
)

// Proxy runs the proxy until ctx ends or a successor has taken over.
func Proxy(ctx context.Context, opts Options) (err error) {
	inherited, err := proxy.Inherit()
	if err != nil {
		return err
	}
	access, err := openAccess(opts)
	if err != nil {
		return err
	}
	if access != nil {
		defer func() { err = errors.Join(err, access.Close()) }()
	}
	certificates := sharing.NewClient(opts.Paths.CertificateSocket())
	defer certificates.Close()
	p, err := proxy.Open(proxy.Config{
		Dir: opts.Paths.ProxyDir(), Listen: opts.Listen, Control: opts.Paths.ProxySocket(),
		Log: opts.Log, Faults: opts.Faults, Version: opts.Version, Inherited: inherited,
		Holder: opts.Paths.HolderSocket(), Access: access, Certificates: certificates,
	})
	if err != nil {
		return err
	}
	return p.Run(ctx)
}

// Host runs the host part until ctx ends. Instances go on without it.
func Host(ctx context.Context, opts Options) error {
	if err := keeperFaults(); err != nil {
		return err
	}
	store, err := release.Open(opts.Paths.ReleasesDir())
	if err != nil {
		return err
	}
	store.Faults = opts.Faults
	router := proxy.NewClient(opts.Paths.ProxySocket())
	runner, err := process.Open(process.Config{
		Dir: filepath.Join(opts.Paths.HostDir(), "run"), Keeper: []string{opts.Binary, "keeper"}, Exec: []string{opts.Binary, "exec-instance"},
		Log: opts.Log, Faults: opts.Faults,
	})
	if err != nil {
		return err
	}
	h, err := host.Open(host.Config{
		Name: noon.LocalHost, Version: opts.Version, Dir: opts.Paths.HostDir(), Runner: host.Runner{Lives: runner, Remains: runner}, Releases: store, Router: router,
		Log: opts.Log, Faults: opts.Faults,
	})
	if err != nil {
		return err
	}
	listener, err := listenUnix(ctx, opts.Paths.HostSocket())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	served := make(chan error, 1)
	go func() {
		defer cancel()
		served <- serveHTTP(ctx, listener, host.Handler(h))
	}()
	err = h.Run(ctx)
	cancel()
	return errors.Join(err, <-served)
}

// keeperFaults gives the keepers that this process starts crash points of
// their own, not the host part's.
func keeperFaults() error {
	return os.Setenv(fault.Env, os.Getenv(fault.Env+"_KEEPER"))
}
