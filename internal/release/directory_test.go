package release_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/noon-deploy/noon"
)

func TestDirectory(t *testing.T) {
	t.Parallel()
	s := open(t)
	r := shop(t)
	r.write("db/migrations/0001_a.up.sql", "select 1").write("db/migrations/deep/0002_b.up.sql", "no").write("db/seed.sql", "no").
		write("db/migrations/.swp", "\xe4").write("latin/0001_a.up.sql", "\xe4")
	r.commit("Migrations")
	digest := build(t, s, r.recipe()).Digest
	got, err := s.Directory(t.Context(), digest, "./db/migrations/", 100)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"0001_a.up.sql": "select 1"}, got); diff != "" {
		t.Error(diff)
	}
	_, err = s.Directory(t.Context(), digest, "migrations", 100)
	wantError(t, err, noon.Invalid, "no file of it is part of the release")
	_, err = s.Directory(t.Context(), digest, "latin", 100)
	wantError(t, err, noon.Invalid, "latin/0001_a.up.sql: it is not UTF-8")
	_, err = s.Directory(t.Context(), digest, "db/migrations", 3)
	wantError(t, err, noon.Invalid, "the limit is 3")
}
