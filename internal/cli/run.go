package cli

import (
	"context"
	"io"
	"os"
	"time"

	"github.com/noon-deploy/noon/internal/api"
)

// Process is what a run of noon has around it.
type Process struct {
	Args    []string // without the name of the command
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
	Getenv  func(string) string
	Dir     string // working directory
	UID     int
	Now     func() time.Time
	Version string
}

// OS returns the surroundings of this process.
func OS(version string) Process {
	dir, err := os.Getwd()
	if err != nil {
		dir = "." // it was removed under us; commands that need it say so
	}
	return Process{
		Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Getenv: os.Getenv, Dir: dir, UID: os.Getuid(), Now: time.Now, Version: version,
	}
}

// Parts is what the commands start but do not contain. A nil part gives a
// clear error.
type Parts struct {
	Serve   func(ctx context.Context, o ServeOptions) error         // the controller, with host and proxy
	Host    func(ctx context.Context, o ServeOptions) error         // the host part alone
	Proxy   func(ctx context.Context, o ServeOptions) error         // the proxy alone
	Keeper  func(ctx context.Context, args []string) int            // watches one instance
	Exec    func(args []string) int                                 // becomes one instance
	Sockets func(ctx context.Context, args []string) int            // holds the proxy's listening sockets
	Grammar func(in io.Reader, out, complaint io.Writer) int        // reads SQL for another process of noon
	Doctor  func(ctx context.Context, o ServeOptions) []api.Finding // looks at this machine
	Demo    func(ctx context.Context, o DemoOptions) error
}

// Run runs one command and returns its exit code. ctx ends when the user
// interrupts it.
func Run(ctx context.Context, p Process, parts Parts) int {
	// These run once per instance, or do nothing but hold something: nothing is
	// built for them that they do not need.
	if len(p.Args) > 0 {
		switch {
		case p.Args[0] == "keeper" && parts.Keeper != nil:
			return parts.Keeper(ctx, p.Args[1:])
		case p.Args[0] == "exec-instance" && parts.Exec != nil:
			return parts.Exec(p.Args[1:])
		case p.Args[0] == "sockets" && parts.Sockets != nil:
			return parts.Sockets(ctx, p.Args[1:])
		case p.Args[0] == "grammar" && parts.Grammar != nil:
			return parts.Grammar(p.Stdin, p.Stdout, p.Stderr)
		}
	}
	f := newFace(p, parts) //nolint:contextcheck // commands are given ctx when they run
	defer f.close()
	if err := f.root.ExecuteContext(ctx); err != nil {
		return f.fail(ctx, err)
	}
	return 0
}
