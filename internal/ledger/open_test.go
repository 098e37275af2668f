package ledger_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/ledger"
)

// filled makes a ledger with a little of everything and closes it.
func filled(t *testing.T) (path string) {
	t.Helper()
	path = newPath(t)
	l := must(ledger.Open(t.Context(), path, testKey()))(t)
	var d noon.Deployment
	var epoch int64
	for n := range 16 {
		write(t, l, n, &d, &epoch)
	}
	noErr(t, l.Close())
	return path
}

// refused opens a ledger that can not be opened and checks that nothing of it
// was changed.
func refused(t *testing.T, path string, key ledger.Key, opts ...ledger.Option) error {
	t.Helper()
	before, _ := os.ReadFile(path)
	l, err := ledger.Open(t.Context(), path, key, opts...)
	if err == nil {
		_ = l.Close()
		t.Fatal("it was opened")
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("the file was changed")
	}
	if !strings.HasPrefix(err.Error(), "open ledger "+path+": ") {
		t.Errorf("error does not tell what was done to what: %v", err)
	}
	return err
}

func TestDamagedFilesAreRefused(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func([]byte) []byte{
		"garbage":     func(b []byte) []byte { return bytes.Repeat([]byte("garbage "), len(b)/8) },
		"text":        func([]byte) []byte { return []byte("shop\n") },
		"empty":       func([]byte) []byte { return nil },
		"half of it":  func(b []byte) []byte { return b[:len(b)/2] },
		"header lost": func(b []byte) []byte { return append(make([]byte, 100), b[100:]...) },
		"a page zeroed": func(b []byte) []byte {
			return append(append(b[:pageSize:pageSize], make([]byte, pageSize)...), b[2*pageSize:]...)
		},
		"pages swapped": func(b []byte) []byte {
			return slices.Concat(b[:pageSize], b[2*pageSize:3*pageSize], b[pageSize:2*pageSize], b[3*pageSize:])
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filled(t)
			noErr(t, os.WriteFile(path, damage(must(os.ReadFile(path))(t)), 0o600))
			wantHint(t, refused(t, path, testKey()), noon.Invalid, "put a backup")
		})
	}
}

func TestMissingFileWithItsLogIsRefused(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	noErr(t, os.WriteFile(path+"-wal", []byte("log"), 0o600))
	wantHint(t, refused(t, path, testKey()), noon.Invalid, "put a backup")
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a new ledger was begun (%v)", err)
	}
}

func TestPlacesThatCanNotHoldALedger(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	wantHint(t, refused(t, filepath.Join(dir, "missing", "ledger.db"), testKey()), noon.Invalid, "data directory exists")
	noErr(t, os.Mkdir(filepath.Join(dir, "ledger.db"), 0o700))
	wantHint(t, refused(t, filepath.Join(dir, "ledger.db"), testKey()), noon.Invalid, "Move it away")
}

func TestAwkwardPaths(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a b", "a?mode=memory", "a#b", "a%41", "ä", "a&b='c'"} {
		dir := filepath.Join(t.TempDir(), name)
		noErr(t, os.Mkdir(dir, 0o700))
		path := filepath.Join(dir, "ledger.db")
		l := open(t, path)
		create(t, l, walking(production()))
		noErr(t, l.Backup(t.Context(), filepath.Join(dir, "backup.db")))
		for _, file := range []string{path, filepath.Join(dir, "backup.db")} {
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestNewerSchemaIsRefused(t *testing.T) {
	t.Parallel()
	path := filled(t)
	rawExec(t, path, `INSERT INTO schema_version VALUES (99, '0099_future.sql', 0)`)
	err := refused(t, path, testKey())
	wantHint(t, err, noon.Invalid, "Use a noon at least as new")
	if !strings.Contains(err.Error(), "its schema has version 99, this noon knows up to 4") {
		t.Errorf("error is %v", err)
	}
}

func TestAnotherKeyIsRefused(t *testing.T) {
	t.Parallel()
	wantHint(t, refused(t, filled(t), ledger.Key{}), noon.Invalid, "secret.key")
}

// with is the embedded schema and more files.
func with(t *testing.T, more fstest.MapFS) fstest.MapFS {
	t.Helper()
	schema := maps.Clone(more)
	for _, name := range must(fs.Glob(ledger.Schema(), "*.sql"))(t) {
		schema[name] = &fstest.MapFile{Data: must(fs.ReadFile(ledger.Schema(), name))(t)}
	}
	return schema
}

func TestSchemaGoesForward(t *testing.T) {
	t.Parallel()
	path := filled(t)
	before := dump(t, path)
	later := with(t, fstest.MapFS{
		"0005_more.sql": {Data: []byte("CREATE TABLE more (id BIGINT NOT NULL PRIMARY KEY);\nINSERT INTO more (id) VALUES (1);")},
		"0006_most.sql": {Data: []byte("UPDATE more SET id = id + 1;")},
	})
	for range 2 { // the second time there is nothing to do
		l := must(ledger.Open(t.Context(), path, testKey(), ledger.WithSchema(later)))(t)
		if n := must(l.WriterInt(t.Context(), `SELECT id FROM more`))(t); n != 2 {
			t.Errorf("more holds %d, want 2", n)
		}
		noErr(t, l.Close())
	}
	if after := dump(t, path); after != before {
		t.Errorf("the content changed:\n%s", after)
	}
	wantHint(t, refused(t, path, testKey()), noon.Invalid, "at least as new") // by a noon that does not know them
}

func TestBrokenMigrationChangesNothing(t *testing.T) {
	t.Parallel()
	path := filled(t)
	before := dump(t, path)
	broken := with(t, fstest.MapFS{"0005_broken.sql": {Data: []byte("DELETE FROM event;\nCREATE TABLE extra (id BIGINT);\nINSERT INTO nowhere VALUES (1);")}})
	err := refused(t, path, testKey(), ledger.WithSchema(broken))
	if !strings.Contains(err.Error(), "apply 0005_broken.sql") {
		t.Errorf("error is %v", err)
	}
	if after := dump(t, path); after != before {
		t.Errorf("the content changed:\n%s", after)
	}
	open(t, path) // and the ledger is as good as before
}

func TestSchemaFilesAreInOrder(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"0006_gap.sql", "0001_again.sql", "two.sql"} {
		if _, err := ledger.Open(t.Context(), newPath(t), testKey(), ledger.WithSchema(with(t, fstest.MapFS{name: {}}))); err == nil || !strings.Contains(err.Error(), "is not number") {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}

// TestSchemaIsPortable keeps the text to what both engines understand.
func TestSchemaIsPortable(t *testing.T) {
	t.Parallel()
	for _, name := range must(fs.Glob(ledger.Schema(), "*.sql"))(t) {
		text := string(must(fs.ReadFile(ledger.Schema(), name))(t))
		for _, word := range []string{"AUTOINCREMENT", "INTEGER", "BLOB", "REAL", "DATETIME", "STRICT", "ROWID", "PRAGMA", "SERIAL", "JSONB", "BYTEA", "OR IGNORE", "OR REPLACE"} {
			if strings.Contains(strings.ToUpper(text), word) {
				t.Errorf("%s has %s in it", name, word)
			}
		}
	}
	path := filled(t)
	db := raw(t, path)
	var n int
	noErr(t, db.QueryRowContext(t.Context(), `SELECT count(*) FROM sqlite_schema s, pragma_table_info(s.name) c WHERE s.type = 'table' AND c.type NOT IN ('TEXT', 'BIGINT')`).Scan(&n))
	noErr(t, db.Close())
	if n != 0 {
		t.Errorf("%d columns are neither TEXT nor BIGINT", n)
	}
}

func TestFilesAreOurs(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	l := open(t, path)
	create(t, l, walking(production()))
	backup := filepath.Join(t.TempDir(), "backup.db")
	noErr(t, l.Backup(t.Context(), backup))
	for _, file := range []string{path, path + "-wal", path + "-shm", backup} {
		if mode := must(os.Stat(file))(t).Mode().Perm(); mode != 0o600 {
			t.Errorf("%s has mode %04o, want 0600", filepath.Base(file), mode)
		}
	}
	if entries := must(os.ReadDir(filepath.Dir(path)))(t); len(entries) != 3 {
		t.Errorf("something was left over: %v", entries)
	}
	noErr(t, os.Chmod(backup, 0o644))
	open(t, backup)
	if mode := must(os.Stat(backup))(t).Mode().Perm(); mode != 0o600 {
		t.Errorf("opened with mode %04o, want it tightened to 0600", mode)
	}
}

func TestCreationThatWasInterrupted(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	for _, suffix := range []string{".new", ".new-wal", ".new-shm", ".new-journal"} {
		noErr(t, os.WriteFile(path+suffix, []byte("half"), 0o600))
	}
	l := open(t, path)
	create(t, l, walking(production()))
	if left := must(filepath.Glob(path + ".new*"))(t); len(left) != 0 {
		t.Errorf("left over: %v", left)
	}
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	l := open(t, path)
	ctx := t.Context()
	d := create(t, l, walking(production()))
	epoch := acquire(t, l, production())
	noErr(t, l.WriterExec(ctx, `PRAGMA max_page_count = 1`)) // it becomes what there is
	before := dump(t, path)
	var err error
	for n := 0; err == nil && n < 100; n++ {
		before = dump(t, path)
		err = l.Record(ctx, d, epoch, noon.Event{Detail: "small"}, noon.Event{Detail: strings.Repeat("large", 1000)})
	}
	wantHint(t, err, noon.Failure, "Free space")
	if after := dump(t, path); after != before {
		t.Errorf("half of a record was written:\n%s", after)
	}
	if got := must(l.Deployment(ctx, d.ID))(t); got.ID != d.ID {
		t.Error("nothing can be read while the disk is full")
	}
	noErr(t, l.WriterExec(ctx, `PRAGMA max_page_count = 100000`))
	noErr(t, l.Record(ctx, d, epoch, noon.Event{Detail: strings.Repeat("large", 1000)}))
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	l := open(t, path)
	before := dump(t, path)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := l.Create(ctx, walking(production()))
	wantKind(t, err, noon.Unavailable)
	if !errors.Is(err, context.Canceled) || dump(t, path) != before {
		t.Errorf("error is %v", err)
	}
	create(t, l, walking(production())) // the connection is as good as before
}
