// Package migrations holds the steps that bring a database to what this
// release needs. They only go forward, and each leaves the database such that
// the release before still works with it.
package migrations

import (
	"embed"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

//go:embed *.sql
var files embed.FS

// Migration is one step.
type Migration struct {
	Version int
	Name    string // "0001_init.sql"
	SQL     string
}

// All returns the steps in order.
func All() ([]Migration, error) {
	names, err := fs.Glob(files, "*.sql") // sorted
	if err != nil {
		return nil, fmt.Errorf("list migrations: %w", err)
	}
	all := make([]Migration, 0, len(names))
	for i, name := range names {
		number, _, _ := strings.Cut(name, "_")
		version, err := strconv.Atoi(number)
		if err != nil || version != i+1 {
			return nil, fmt.Errorf("migration %s: want a name that begins with %04d_", name, i+1)
		}
		text, err := files.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read migration: %w", err)
		}
		all = append(all, Migration{Version: version, Name: name, SQL: string(text)})
	}
	return all, nil
}

// Needed is the version of the schema that this release needs at least.
func Needed() (int, error) {
	all, err := All()
	return len(all), err
}
