// Command shop is a small web shop that is replaced while people buy in it: an
// example of an app that noon deploys.
//
//	shop web       answers customers on HOST:PORT
//	shop worker    handles orders
//	shop migrate   brings the SQLite database to what this release needs
//	shop nightly   makes the report of a day: yesterday's, or of the day given
//	shop announce  says in the log what is being deployed
//
// Everything comes from the environment: DATA_DIR, SESSION_KEY, ADMIN_TOKEN,
// HOST, PORT, and what noon adds: NOON_RELEASE and its like. DATABASE_URL names
// a PostgreSQL database; without it the data are in an SQLite file in DATA_DIR.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/noon-deploy/noon/examples/shop/store"
	"github.com/noon-deploy/noon/examples/shop/web"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil)).With("release", release())
	if err := run(ctx, log, os.Args[1:]); err != nil {
		log.Error("shop ended", "err", err)
		os.Exit(1)
	}
}

var errUsage = errors.New("usage: shop web | worker | migrate | nightly [YYYY-MM-DD] | announce")

func run(ctx context.Context, log *slog.Logger, args []string) error {
	if len(args) == 0 {
		return errUsage
	}
	if args[0] == "announce" {
		announce(log)
		return nil
	}
	dir := os.Getenv("DATA_DIR")
	if dir == "" {
		return errors.New("DATA_DIR is not set: it names the directory of the shop's data")
	}
	s, err := open(ctx, dir)
	if err != nil {
		return err
	}
	switch args[0] {
	case "web":
		err = serve(ctx, log, s, dir)
	case "worker":
		err = work(ctx, log, s)
	case "migrate":
		err = migrate(ctx, log, s)
	case "nightly":
		err = nightly(ctx, log, s, args[1:])
	default:
		err = errUsage
	}
	return errors.Join(err, s.Close())
}

func open(ctx context.Context, dir string) (*store.Store, error) {
	if url := os.Getenv("DATABASE_URL"); url != "" {
		return store.Postgres(ctx, url, release())
	}
	return store.SQLite(ctx, dir, release())
}

// release is the name that noon gave to the release.
func release() string { return fallback(os.Getenv("NOON_RELEASE"), "dev") }

func fallback(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

func serve(ctx context.Context, log *slog.Logger, s *store.Store, dir string) error {
	server, err := web.New(web.Config{
		DataDir: dir, SessionKey: os.Getenv("SESSION_KEY"), AdminToken: os.Getenv("ADMIN_TOKEN"), Release: release(),
	}, s, log)
	if err != nil {
		return err
	}
	if err := web.RemoveCutUploads(dir); err != nil {
		return err
	}
	address := net.JoinHostPort(fallback(os.Getenv("HOST"), "127.0.0.1"), fallback(os.Getenv("PORT"), "8080"))
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	log.InfoContext(ctx, "shop is open", "address", listener.Addr().String())
	err = server.Serve(ctx, listener.(*net.TCPListener))
	log.InfoContext(ctx, "shop is closed")
	return err
}

func nightly(ctx context.Context, log *slog.Logger, s *store.Store, args []string) error {
	day := time.Now().UTC().AddDate(0, 0, -1).Format(time.DateOnly)
	if len(args) > 0 {
		day = args[0]
		if _, err := time.Parse(time.DateOnly, day); err != nil {
			return fmt.Errorf("nightly %q: want a day such as 2026-11-22", day)
		}
	}
	r, err := s.MakeReport(ctx, day)
	if err != nil {
		return err
	}
	log.InfoContext(ctx, "report made", "day", r.Day, "orders", r.Orders, "pieces", r.Pieces, "revenue_cents", r.Revenue, "open", r.Open)
	return nil
}

func announce(log *slog.Logger) {
	log.Info("deploying", "app", os.Getenv("NOON_APP"), "environment", os.Getenv("NOON_ENVIRONMENT"), "commit", os.Getenv("NOON_COMMIT"))
}
