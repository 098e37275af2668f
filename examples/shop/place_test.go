package main_test

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
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

// postgres is a new place with a PostgreSQL database of this release.
func postgres(t *testing.T) place {
	t.Helper()
	url, err := server.PostgresDatabase(t.Context(), strings.ToLower(rand.Text()))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context()) //nolint:errcheck // it has done its work
	schema, err := os.ReadFile(filepath.Join("testdata", "postgres.sql"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), string(schema)); err != nil {
		t.Fatal(err)
	}
	return place{dir: t.TempDir(), url: url}
}
