package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/api"
	"github.com/noon-deploy/noon/internal/load"
)

// open starts noon and waits until all of it is there.
func (d *demo) open(ctx context.Context) error {
	d.say.line("in       %s, customers at %s", d.place.dir, d.place.base())
	if err := d.serve.start(); err != nil {
		return err
	}
	h, err := d.healthy(ctx)
	if err != nil {
		return err
	}
	d.say.line("serve    noon %s: controller %d, host %d, proxy %d", h.Version, h.PID, h.Identities["host"], h.Identities["proxy"])
	return nil
}

// healthy waits until controller, host part and proxy answer.
func (d *demo) healthy(ctx context.Context) (api.Health, error) {
	return reach(ctx, d, "every part of noon", func(ctx context.Context) (api.Health, error) {
		h, err := d.client.Health(ctx)
		if err == nil && (h.Identities["host"] == 0 || h.Identities["proxy"] == 0) {
			err = &noon.Error{Kind: noon.Unavailable, Op: "reach", Subject: fmt.Sprint(h.Parts), Err: errors.New("a part does not answer")}
		}
		return h, err
	})
}

// build commits the releases of the shop and builds each.
func (d *demo) build(ctx context.Context) error {
	commits, err := d.commit(ctx)
	if err != nil {
		return err
	}
	for i, commit := range commits {
		if err := d.git(ctx, "checkout", "--quiet", commit); err != nil {
			return err
		}
		start := time.Now()
		if i == 0 {
			d.say.line("build    r1 … (the first time on a machine Go compiles a database for it, a minute or two)")
		}
		var r noon.Release
		if err := d.noon.must(ctx, "", &r, "build"); err != nil {
			return err
		}
		if r.Number != i+1 {
			return fmt.Errorf("release %d of the shop was numbered %s", i+1, r.Name())
		}
		d.say.line("build    %s  %s  (%s)", r.Name(), r.Title, seconds(time.Since(start)))
	}
	return nil
}

// commit makes a repository with one commit for each release.
func (d *demo) commit(ctx context.Context) ([]string, error) {
	if err := d.git(ctx, "init", "--quiet"); err != nil {
		return nil, err
	}
	var commits []string
	for n := 1; n <= d.plot.shop.Count(); n++ {
		if err := d.plot.shop.Write(d.place.source(), n); err != nil {
			return nil, err
		}
		for _, args := range [][]string{{"add", "--all"}, {"commit", "--quiet", "--message", d.plot.shop.Title(n)}} {
			if err := d.git(ctx, args...); err != nil {
				return nil, err
			}
		}
		out, err := d.gitOutput(ctx, "rev-parse", "HEAD")
		if err != nil {
			return nil, err
		}
		commits = append(commits, strings.TrimSpace(out))
	}
	return commits, nil
}

func (d *demo) git(ctx context.Context, args ...string) error {
	_, err := d.gitOutput(ctx, args...)
	return err
}

// gitOutput runs git as nobody in particular: the user's own settings, hooks
// and signatures are not for the demo.
func (d *demo) gitOutput(ctx context.Context, args ...string) (string, error) {
	settings := []string{"-c", "user.name=demo", "-c", "user.email=demo@shop.example", "-c", "commit.gpgSign=false", "-c", "core.hooksPath=/dev/null", "-c", "advice.detachedHead=false"}
	cmd := exec.CommandContext(ctx, "git", append(settings, args...)...)
	cmd.Dir = d.place.source()
	cmd.Env = append(d.noon.env, "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "LC_ALL=C", "GIT_TERMINAL_PROMPT=0")
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	if exited := (*exec.ExitError)(nil); errors.As(err, &exited) {
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exited.Stderr)))
	}
	if err != nil {
		return "", fmt.Errorf("git %s: %w", args[0], err)
	}
	return string(out), nil
}

// configure gives the environment what the releases declare.
func (d *demo) configure(ctx context.Context) error {
	if err := d.noon.must(ctx, "", nil, "env", "set", "DATA_DIR="+d.place.shopData()); err != nil {
		return err
	}
	secrets := [][2]string{{"SESSION_KEY", token()}, {"ADMIN_TOKEN", d.owner}}
	if d.opts.Database != "" {
		secrets = append(secrets, [2]string{"DATABASE_URL", d.opts.Database})
	}
	told := "DATA_DIR"
	for _, secret := range secrets {
		if err := d.noon.must(ctx, secret[1], nil, "env", "set", "--secret", secret[0]); err != nil {
			return err
		}
		told += ", " + secret[0]
	}
	d.say.line("env      %s are set", told)
	return nil
}

// first brings r1 up: nobody is there yet.
func (d *demo) first(ctx context.Context) error {
	return d.deploy(ctx, move{args: []string{"deploy", "r1"}, to: "r1", want: good, what: "deploy r1"})
}

// welcome lets customers come.
func (d *demo) welcome(ctx context.Context) error {
	rate := d.opts.Rate
	if rate == 0 {
		var err error
		if rate, err = pace(ctx, d.place.address); err != nil {
			return err
		}
	}
	d.book.rate = rate
	d.customers = load.New(load.Config{
		Base: d.place.base(), Rate: rate, Streams: streams, Seed: uint64(d.opts.Started.UnixNano()), Timeout: answerLimit,
	})
	d.customers.SetAllowed("r1")
	coming, leave := context.WithCancel(ctx)
	d.leave = leave
	d.book.opened = time.Now()
	d.book.live("r1")
	d.say.line("open     %.0f customers a second walk in, %d hold a stream", rate, streams)
	d.crowd.Go(func() {
		if err := d.customers.Run(coming); err != nil {
			d.book.unexpected("customers: %v", err)
		}
	})
	return d.served(ctx, "r1")
}

// Customers.
const (
	streams     = 6
	answerLimit = 30 * time.Second
	servedMost  = 60 * time.Second
	servedCount = 25 // answers of a release that count as having been used
)

// served waits until customers have used a release for a bit.
func (d *demo) served(ctx context.Context, release string) error {
	if d.customers == nil {
		return nil
	}
	before := d.customers.Result().PerRelease[release]
	return await(ctx, "customers to use "+release, servedMost, func(context.Context) (bool, error) {
		return d.customers.Result().PerRelease[release] >= before+servedCount, nil
	})
}

// close lets the customers finish, and compares what they were told with what
// is there.
func (d *demo) close(ctx context.Context) error {
	d.book.closed = time.Now()
	d.leave()
	d.crowd.Wait()
	d.say.line("close    the last customer has left; comparing what they were told with what is stored")
	var err error
	verify := func(ctx context.Context) (load.Verification, error) {
		return d.customers.Verify(ctx, d.stored())
	}
	err = await(ctx, "the shop's worker to handle all orders", partLimit, func(ctx context.Context) (bool, error) {
		d.book.verified, err = verify(ctx)
		return d.book.verified.Unhandled == 0, err
	})
	if err != nil && ctx.Err() == nil && d.book.verified.Unhandled > 0 {
		err = nil // it is in the verification, and in the report
	}
	if err != nil {
		return err
	}
	d.book.load = d.customers.Result()
	if err := d.takeDown(ctx); err != nil {
		return err
	}
	d.say.line("down     nothing of it is left")
	return nil
}

// copyBinary makes the noon that the running one is upgraded to.
func (d *demo) copyBinary() (string, error) {
	path := d.place.file(filepath.Join("bin", "noon"))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // as programs are kept
		return "", fmt.Errorf("copy noon: %w", err)
	}
	data, err := os.ReadFile(d.opts.Binary)
	if err != nil {
		return "", fmt.Errorf("copy noon: %w", err)
	}
	if err := os.WriteFile(path, data, 0o755); err != nil { //nolint:gosec // it is executed
		return "", fmt.Errorf("copy noon: %w", err)
	}
	return path, nil
}
