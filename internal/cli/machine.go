package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/api"
	"github.com/noon-deploy/noon/internal/tui"
)

func (f *face) downCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "Stop every instance and every part of noon on this machine",
		Long: `down stops everything that noon runs: users are not served any more. What is
stored stays, and "noon serve" brings it all up again.`,
		Args: args(),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := f.api()
			if err != nil {
				return err
			}
			if _, err := client.Health(c.Context()); err != nil {
				return err
			}
			if err := f.consent(c.Context(), "Stop every app and noon itself on this machine?"); err != nil {
				return err
			}
			if err := client.Down(c.Context()); err != nil {
				return err
			}
			return f.emit(struct{}{}, func(tui.Page) string { return "everything has been stopped; `noon serve` brings it up again\n" })
		},
	}
}

func (f *face) upgradeCommand() *cobra.Command {
	binary := ""
	c := &cobra.Command{
		Use:   "upgrade",
		Short: "Let every part of noon go on with another binary, this one by default",
		Long: `upgrade replaces the running controller, host part and proxy by those of another
binary, by default the one that this command is of. Instances and requests are
not touched; a deployment under way goes on.`,
		Args: args(),
		RunE: func(c *cobra.Command, _ []string) error { return f.upgrade(c.Context(), binary) },
	}
	c.Flags().StringVar(&binary, "binary", "", "path of the binary (default: this one)")
	return c
}

func (f *face) upgrade(ctx context.Context, binary string) error {
	path, err := f.binary(binary)
	if err != nil {
		return err
	}
	c, err := f.api()
	if err != nil {
		return err
	}
	before, err := c.Health(ctx)
	if err != nil {
		return err
	}
	if err := f.consent(ctx, fmt.Sprintf("Upgrade noon %s to %s?", before.Version, path)); err != nil {
		return err
	}
	if err := c.Upgrade(ctx, api.UpgradeRequest{Binary: path}); err != nil {
		return err
	}
	after, err := successor(ctx, c, before)
	if err != nil {
		return err
	}
	return f.emit(after, func(tui.Page) string {
		return fmt.Sprintf("noon %s goes on as %s\n", before.Version, after.Version)
	})
}

// successor waits for the controller that another one becomes: the one before
// may go on answering for a moment.
func successor(ctx context.Context, c *api.Client, before api.Health) (api.Health, error) {
	var after api.Health
	err := retry(ctx, func() error {
		var err error
		if after, err = c.Health(ctx); err == nil && after.StartedAt.Equal(before.StartedAt) {
			err = &noon.Error{
				Kind: noon.Unavailable, Op: "upgrade", Subject: "the controller", Err: errors.New("the one before goes on"),
				Hint: "Its output tells why; `noon status` tells how the apps are.",
			}
		}
		return err
	})
	return after, err
}

// binary is the absolute path of a file that can be executed.
func (f *face) binary(path string) (string, error) {
	if path == "" {
		self, err := os.Executable()
		if err != nil {
			return "", fmt.Errorf("find the path of this binary: %w", err)
		}
		return self, nil
	}
	path = f.absolute(path)
	info, err := os.Stat(path)
	if err == nil && (info.IsDir() || info.Mode().Perm()&0o111 == 0) {
		err = errors.New("it can not be executed")
	}
	if err != nil {
		return "", &noon.Error{Kind: noon.Invalid, Op: "upgrade to", Subject: path, Err: err, Hint: "Name the path of an executable noon with --binary."}
	}
	return path, nil
}

func (f *face) backupCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "backup PATH",
		Short: "Write a copy of the ledger, while everything goes on",
		Args:  args("PATH"),
		RunE: func(c *cobra.Command, given []string) error {
			client, err := f.api()
			if err != nil {
				return err
			}
			path := f.absolute(given[0])
			if err := client.Backup(c.Context(), path); err != nil {
				return err
			}
			out := struct {
				Path string `json:"path"`
			}{path}
			return f.emit(out, func(tui.Page) string { return "wrote " + path + "\n" })
		},
	}
}

func (f *face) doctorCommand() *cobra.Command {
	var flags serveFlags
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Tell what is wrong with this machine, and how to mend it",
		Args:  args(),
		RunE:  func(c *cobra.Command, _ []string) error { return f.doctor(c.Context(), flags) },
	}
	flags.add(c)
	return c
}

func (f *face) doctor(ctx context.Context, flags serveFlags) error {
	if f.parts.Doctor == nil {
		return missingPart("doctor")
	}
	o, err := f.serveOptions(flags)
	if err != nil {
		return err
	}
	findings := f.findings(ctx, o)
	if err := f.emit(list(findings), func(p tui.Page) string { return p.Findings(findings) }); err != nil {
		return err
	}
	wrong := 0
	for _, found := range findings {
		if !found.OK {
			wrong++
		}
	}
	if wrong > 0 {
		return &noon.Error{
			Kind: noon.Failure, Op: "look at", Subject: "this machine", Err: fmt.Errorf("%s to mend", tui.Count(wrong, "thing")),
			Hint: "Each has its hint above.",
		}
	}
	return nil
}

// findings are the controller's, which looks at its own directories. Where it
// can not be reached this process looks; that there is none is a finding too.
func (f *face) findings(ctx context.Context, o ServeOptions) []api.Finding {
	c, err := f.api()
	var found []api.Finding
	if err == nil {
		found, err = c.Doctor(ctx)
	}
	if err != nil {
		found = append(f.parts.Doctor(ctx, o), api.Finding{Subject: "controller", Detail: err.Error(), Hint: noon.HintOf(err)})
	}
	return found
}

// DemoOptions is what the demo needs to know.
type DemoOptions struct {
	Seconds int     // how long customers come, about
	Rate    float64 // journeys of customers a second; 0: what the machine takes with ease
	Keep    bool    // keep the directory
	// Postgres is the address of an empty database for the shop whose releases
	// change it; "" plays the shop whose data are in an SQLite file.
	Postgres string
	JSON     bool // print the report as one JSON object
	Quiet    bool
	Binary   string
	Page     tui.Page // how text for people is drawn
	Stdout   io.Writer
	Stderr   io.Writer
	Version  string
}

func (f *face) demoCommand() *cobra.Command {
	o := DemoOptions{Seconds: 40}
	c := &cobra.Command{
		Use:   "demo",
		Short: "Watch releases of a shop come and go under load, with everything killed",
		Long: `demo runs a real small shop in a temporary directory, lets customers buy in it,
and meanwhile deploys, rolls back, tries releases that are broken, kills parts
of noon and upgrades it. It ends with a report of what was lost. It needs no
root and leaves nothing behind. The whole of it is always played; what is left
of the time is spent on more rounds of it.

With --postgres it is another shop: each of its six releases renames, splits,
moves or adds columns that the one before still uses, while both are live. The
database is not emptied at the end.`,
		Args: args(),
		RunE: func(c *cobra.Command, _ []string) error {
			if f.parts.Demo == nil {
				return missingPart("demo")
			}
			if o.Seconds < 1 {
				return usage(c.CommandPath(), fmt.Errorf("--seconds is %d and must be at least 1", o.Seconds))
			}
			if o.Rate < 0 {
				return usage(c.CommandPath(), fmt.Errorf("--rate is %v and must not be negative", o.Rate))
			}
			binary, err := f.binary("")
			if err != nil {
				return err
			}
			o.JSON, o.Quiet, o.Binary, o.Page = f.flags.json, f.flags.quiet, binary, f.page()
			o.Stdout, o.Stderr, o.Version = f.Stdout, f.Stderr, f.Version
			return f.parts.Demo(c.Context(), o)
		},
	}
	c.Flags().IntVar(&o.Seconds, "seconds", o.Seconds, "how long customers come, about")
	c.Flags().Float64Var(&o.Rate, "rate", 0, "customers a second (default: what the machine takes with ease)")
	c.Flags().StringVar(&o.Postgres, "postgres", "", "address of an empty PostgreSQL database whose role may make roles, for a shop that changes its tables")
	c.Flags().BoolVar(&o.Keep, "keep", false, "keep the directory with everything in it")
	return c
}
