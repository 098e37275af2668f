package sockets

import (
	"context"
	"errors"
	"flag"
	"io"
	"log/slog"
	"os"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/fault"
)

// Config is what a holder needs to know to begin.
type Config struct {
	Version string
	Socket  string   // where it is spoken to
	Lock    string   // file that is locked by the one holder
	Worker  string   // control socket of the worker
	Output  string   // file that the worker's output is appended to
	Listen  []string // what is bound if no worker has it
	Argv    []string // of a worker, if none runs
	Log     *slog.Logger
	Faults  *fault.Points
}

// Args is the command line that Main reads this configuration from.
func (c Config) Args() []string {
	args := []string{"--socket", c.Socket, "--lock", c.Lock, "--worker", c.Worker, "--output", c.Output}
	for _, name := range c.Listen {
		args = append(args, "--listen", name)
	}
	return append(append(args, "--"), c.Argv...)
}

func parseArgs(args []string) (Config, error) {
	var c Config
	flags := flag.NewFlagSet("sockets", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&c.Socket, "socket", "", "")
	flags.StringVar(&c.Lock, "lock", "", "")
	flags.StringVar(&c.Worker, "worker", "", "")
	flags.StringVar(&c.Output, "output", "", "")
	flags.Func("listen", "", func(name string) error {
		c.Listen = append(c.Listen, name)
		return nil
	})
	err := flags.Parse(args)
	c.Argv = flags.Args()
	if err == nil && (c.Socket == "" || c.Lock == "" || c.Worker == "" || c.Output == "" || len(c.Listen) == 0 || len(c.Argv) == 0) {
		err = errors.New("--socket, --lock, --worker, --output, --listen and the command of a worker are needed")
	}
	if err != nil {
		return c, &noon.Error{Kind: noon.Invalid, Op: "hold sockets", Err: err, Hint: "noon serve starts this part; people do not."}
	}
	return c, nil
}

// Main is the holder's process. It ends with ctx, and leaves the worker
// running.
func Main(ctx context.Context, version string, args []string) int {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if err := hold(ctx, version, args, log); err != nil {
		log.Error("sockets can not be held", "err", err)
		return 1
	}
	return 0
}

func hold(ctx context.Context, version string, args []string, log *slog.Logger) error {
	cfg, err := parseArgs(args)
	if err != nil {
		return err
	}
	cfg.Version, cfg.Log = version, log
	if cfg.Faults, err = fault.FromEnv(); err != nil {
		return err
	}
	before, err := takeState()
	if err != nil {
		return err
	}
	h, err := open(cfg, before)
	if err != nil {
		return err
	}
	return h.run(ctx)
}
