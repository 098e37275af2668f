// Command noon deploys database-backed web applications with nothing lost.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/noon-deploy/noon/internal/cli"
)

var version = "dev" // set by the linker

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the second signal ends the process
	return cli.Run(ctx, cli.OS(version), parts())
}
