package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/noon-deploy/noon"
)

// ServeOptions is what the parts of noon that run for long need to know.
type ServeOptions struct {
	Data    string   // directory of everything that has to last
	Run     string   // directory of sockets
	Listen  []string // where the proxy takes requests, host:port
	Metrics string   // where the controller answers GET /metrics, "" nowhere
	Access  AccessOptions
	Log     *slog.Logger
	Stderr  io.Writer
	Version string
}

// AccessOptions say what the proxy writes of every request.
type AccessOptions struct {
	On        bool
	Rules     []string // which requests are written
	Query     []string // parameters of queries whose values are written
	Addresses bool     // whole addresses of clients, not only their networks
}

// serveFlags are those of every part that runs for long.
type serveFlags struct {
	data, run, format, level, metrics string
	listen                            []string
	access                            AccessOptions
}

func (s *serveFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&s.data, "data", "", "directory of everything that has to last (NOON_DATA; default /var/lib/noon for root, else noon in $XDG_DATA_HOME or ~/.local/share)")
	c.Flags().StringVar(&s.run, "run", "", "directory of sockets (NOON_RUN; default run in the data directory)")
	c.Flags().StringArrayVar(&s.listen, "listen", []string{"127.0.0.1:8080"}, "where the proxy takes requests: HOST:PORT, tls:HOST:PORT for TLS, proxy:… where a PROXY protocol header comes first (repeatable)")
	c.Flags().BoolVar(&s.access.On, "access-log", false, "have the proxy write a line for each request; noon proxy log shows them")
	c.Flags().StringArrayVar(&s.access.Rules, "access-rule", nil, `which requests are written, for example "share=0.1 class=2 prefix=/static/"; the first that fits counts, errors always are (repeatable)`)
	c.Flags().StringArrayVar(&s.access.Query, "access-query", nil, "parameter of queries whose value is written, not only its name (repeatable)")
	c.Flags().BoolVar(&s.access.Addresses, "access-addresses", false, "write whole addresses of clients, not only their networks")
	c.Flags().StringVar(&s.format, "log-format", "text", "text or json")
	c.Flags().StringVar(&s.level, "log-level", "info", "debug, info, warn or error")
}

func (f *face) serveCommand() *cobra.Command {
	var flags serveFlags
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run the controller, and host and proxy if they do not run yet",
		Long: `serve runs the controller in the foreground. The host part and the proxy are
processes of their own: they are started if they do not answer, and they and
every instance live on when the controller ends. "noon down" ends everything.`,
		Args: args(),
		RunE: func(c *cobra.Command, _ []string) error {
			return f.part(c.Context(), "serve", f.parts.Serve, flags)
		},
	}
	flags.add(c)
	c.Flags().StringVar(&flags.metrics, "metrics", "", "answer GET /metrics for Prometheus on an address of this machine, for example 127.0.0.1:9180")
	return c
}

// partCommand is a part that noon starts by itself; people seldom do.
func (f *face) partCommand(name, short string, run func(context.Context, ServeOptions) error) *cobra.Command {
	var flags serveFlags
	c := &cobra.Command{
		Use: name, Short: short, Hidden: true, Args: args(),
		RunE: func(c *cobra.Command, _ []string) error { return f.part(c.Context(), name, run, flags) },
	}
	flags.add(c)
	return c
}

// missingCommand stands for a part that Run starts before the commands are
// made: it is reached only if this build lacks it.
func (f *face) missingCommand(name string) *cobra.Command {
	return &cobra.Command{
		Use: name, Hidden: true, DisableFlagParsing: true,
		RunE: func(*cobra.Command, []string) error { return missingPart(name) },
	}
}

func (f *face) part(ctx context.Context, name string, run func(context.Context, ServeOptions) error, flags serveFlags) error {
	if run == nil {
		return missingPart(name)
	}
	o, err := f.serveOptions(flags)
	if err != nil {
		return err
	}
	return run(ctx, o)
}

func (f *face) serveOptions(flags serveFlags) (ServeOptions, error) {
	dirs, err := f.directories(flags.data, flags.run)
	if err != nil {
		return ServeOptions{}, err
	}
	if dirs.data == "" {
		if dirs.data, err = f.dataHome(); err != nil {
			return ServeOptions{}, err
		}
	}
	// The longest of the sockets.
	if err := shortEnough(filepath.Join(dirs.run, "proxy.sock")); err != nil {
		return ServeOptions{}, err
	}
	for _, address := range flags.listen {
		if err := validAddress("--listen", address); err != nil {
			return ServeOptions{}, err
		}
	}
	if flags.metrics != "" {
		if err := validAddress("--metrics", flags.metrics); err != nil {
			return ServeOptions{}, err
		}
	}
	log, err := logger(f.Stderr, flags.format, flags.level)
	return ServeOptions{
		Data: dirs.data, Run: dirs.run, Listen: flags.listen, Metrics: flags.metrics, Access: flags.access, Log: log, Stderr: f.Stderr, Version: f.Version,
	}, err
}

func validAddress(flag, address string) error {
	if flag == "--listen" {
		address = strings.TrimPrefix(strings.TrimPrefix(address, "proxy:"), "tls:") // what is spoken there
	}
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		if n, perr := strconv.Atoi(port); perr != nil || n < 0 || n > 65535 {
			err = fmt.Errorf("%q is not a port", port)
		}
	}
	if err != nil {
		return &noon.Error{Kind: noon.Invalid, Op: "read", Subject: flag, Err: err, Hint: "Give HOST:PORT, for example 127.0.0.1:8080 or :80."}
	}
	return nil
}

func logger(w io.Writer, format, level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, &noon.Error{
			Kind: noon.Invalid, Op: "read", Subject: "--log-level", Err: fmt.Errorf("%q is not a level", level),
			Hint: "It is debug, info, warn or error.",
		}
	}
	options := &slog.HandlerOptions{Level: l}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	return nil, &noon.Error{
		Kind: noon.Invalid, Op: "read", Subject: "--log-format", Err: errors.New(strconv.Quote(format) + " is not a format"),
		Hint: "It is text or json.",
	}
}
