package migration_test

import (
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/noon-deploy/noon/internal/database/migration"
	"github.com/noon-deploy/noon/internal/database/migration/sqltext"
)

// Files in memory are read as those of a directory are.
func TestReadFiles(t *testing.T) {
	t.Parallel()
	files := map[string]string{"0001_a.up.sql": "create table a (n int);", "0001_a.down.sql": "drop table a;", "0002_b.sql": "-- noon: expand\nselect 1;\n", "notes.txt": "no"}
	dir := fstest.MapFS{}
	for name, text := range files {
		dir[name] = &fstest.MapFile{Data: []byte(text)}
	}
	want, err := migration.Read(dir, sqltext.PostgreSQL)
	if err != nil {
		t.Fatal(err)
	}
	got, err := migration.ReadFiles(files, sqltext.PostgreSQL)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" || len(got.Migrations) != 2 {
		t.Error(diff)
	}
}
