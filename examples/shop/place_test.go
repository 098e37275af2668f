package main_test

import (
	"crypto/rand"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/noon-deploy/noon/internal/database/change"
	engine "github.com/noon-deploy/noon/internal/database/postgres"
)

// place is where a shop has its data.
type place struct {
	dir string
	url string // of a PostgreSQL database, "" for SQLite in dir
}

// sqlite is a new place with an SQLite file of this release.
func sqlite(t *testing.T) place {
	t.Helper()
	at := place{dir: t.TempDir()}
	once(t, at, "migrate")
	return at
}

// databases runs a test on every kind of database.
func databases(t *testing.T, test func(*testing.T, place)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, sqlite(t))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, postgres(t))
	})
}

// postgres is a new place with a PostgreSQL database of this release, as noon
// makes it.
func postgres(t *testing.T) place {
	t.Helper()
	ctx := t.Context()
	address, err := server.PostgresDatabase(ctx, strings.ToLower(rand.Text()))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join("migrations", "pg", "0001_init.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	set, err := change.Read(change.File{Name: "0001_init.yaml", Data: text})
	if err != nil {
		t.Fatal(err)
	}
	schemas, err := engine.Open(ctx, engine.Config{URL: address, App: "shop", Wait: true})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := schemas.Plan(ctx, set)
	if err != nil {
		t.Fatal(err)
	}
	if err := schemas.Reach(ctx, engine.Order{Plan: &plan, Phase: engine.Expanded}, nil); err != nil {
		t.Fatal(err)
	}
	role, err := schemas.Role(ctx, "r1", plan.To, "secret")
	if err != nil {
		t.Fatal(err)
	}
	own, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	own.User = url.UserPassword(role, "secret")
	return place{dir: t.TempDir(), url: own.String()}
}
