package change_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/change"
)

func read(t *testing.T, text string) (change.Set, error) {
	t.Helper()
	return change.Read(change.File{Name: "c.yaml", Data: []byte(text)})
}

// Every operation is read, from files that stand one behind the other.
func TestRead(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/all.yaml")
	if err != nil {
		t.Fatal(err)
	}
	set, err := change.Read(change.File{Name: "a.yaml", Data: data}, change.File{Name: "b.json", Data: []byte("{\n\t\"operations\": [\n\t\t{\"drop_table\": {\"name\": \"old\"}}\n\t]\n}")})
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, op := range set.Operations {
		kinds = append(kinds, op.Kind())
	}
	want := "create_table rename_table add_column drop_column rename_column alter_column merge_columns split_column move_column create_index create_index " +
		"drop_index create_constraint create_constraint drop_constraint drop_multicolumn_constraint rename_constraint add_enum_value rename_enum_value " +
		"set_replica_identity sql sql drop_table"
	if got := strings.Join(kinds, " "); got != want {
		t.Errorf("kinds\n got %s\nwant %s", got, want)
	}
	if at := set.Operations[len(set.Operations)-1].At; at != "b.json:3" {
		t.Errorf("the last operation is at %s", at)
	}
	if at := set.Operations[1].At; at != "a.yaml:20" {
		t.Errorf("the second operation is at %s", at)
	}
	columns := set.Operations[9].CreateIndex.Columns
	if len(columns) != 2 || columns[0].Column != "zip" || columns[0].Sort != "DESC" || columns[1].Column != "city" {
		t.Errorf("pgroll's map of columns is read as %+v", columns)
	}
	if d := set.Operations[5].AlterColumn.Default; d == nil || !d.Null {
		t.Errorf("default: null is read as %+v", d)
	}
	lost := strings.Join(set.Irreversible(), "\n")
	for _, want := range []string{"drop_column users.nick", "drop_table old", "add_enum_value", "sql of a.yaml:53: what it removes"} {
		if !strings.Contains(lost, want) {
			t.Errorf("%s is not irreversible in\n%s", want, lost)
		}
	}
}

// A mistake is named with its place, and with what to do.
func TestMistakes(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 64)
	for _, c := range []struct{ text, want string }{
		{"", "c.yaml: the file has no operations"},
		{"name: x", "c.yaml: the file has no operations"},
		{"operations:\n  - add_colum: {}", "c.yaml:2:5: unknown field \"add_colum\""},
		{"operations:\n  - rename_column: {table: a, from: b, too: c}", "unknown field \"too\""},
		{"operations:\n  - rename_column: {table: a, from: b}", "c.yaml:2: to is missing"},
		{"operations:\n  - {}", "exactly one kind"},
		{"operations:\n  - drop_table: {name: a}\n    drop_index: {name: b}", "exactly one kind"},
		{"operations:\n  - drop_table: {name: " + long + "}", "has 64 bytes, a name has at most 63"},
		{"operations:\n  - alter_column: {table: a, column: b}", "nothing of the column is altered"},
		{"operations:\n  - sql: {up: x, phase: later}", "it can be expand or contract"},
		{"operations:\n  - create_constraint: {table: a, name: b, type: exclude}", "it can be check, unique"},
		{"operations:\n  - move_column: {from: {table: a, column: b, key: [x]}, to: {table: c, column: d}}", "as many columns as each other"},
		{"operations: [", "c.yaml:1"},
		{"{\"operations\": [\n,]}", "line 2"},
	} {
		_, err := read(t, c.text)
		var own *noon.Error
		switch {
		case err == nil:
			t.Errorf("%q is accepted", c.text)
		case !strings.Contains(err.Error(), c.want):
			t.Errorf("%q: %v, want %s", c.text, err, c.want)
		case !errors.As(err, &own) || own.Kind != noon.Invalid || own.Hint == "":
			t.Errorf("%q: %v is no noon.Error of kind invalid with a hint", c.text, err)
		}
	}
}

// A file of pgroll is read as it is.
func TestPgroll(t *testing.T) {
	t.Parallel()
	set, err := change.Read(change.File{Name: "02.json", Data: []byte(`{"name": "02", "operations": [
		{"alter_column": {"table": "users", "column": "age", "type": "integer", "up": "CAST(age AS integer)", "down": "CAST(age AS text)"}},
		{"drop_constraint": {"table": "users", "name": "c", "up": "age", "down": "coalesce(age, 0)"}},
		{"create_index": {"name": "i", "table": "users", "columns": {"b": {"sort": "ASC"}, "a": {}}}},
		{"sql": {"up": "select 1", "onComplete": true}}]}`)})
	if err != nil {
		t.Fatal(err)
	}
	want := change.IndexColumns{{Column: "b", Sort: "ASC"}, {Column: "a"}}
	if diff := cmp.Diff(want, set.Operations[2].CreateIndex.Columns); diff != "" {
		t.Error(diff)
	}
	if set.Operations[1].DropConstraint.Down[""] != "coalesce(age, 0)" || !set.Operations[3].SQL.OnComplete {
		t.Errorf("read as %+v", set.Operations)
	}
}

// Whatever is in a file, it is read or refused, and what is read is complete.
func FuzzRead(f *testing.F) {
	if data, err := os.ReadFile("testdata/all.yaml"); err == nil {
		f.Add(data)
	}
	f.Add([]byte(`{"operations": [{"drop_table": {"name": "a"}}]}`))
	f.Add([]byte("operations:\n  - sql: {up: select 1}\n"))
	f.Add([]byte("operations: [{alter_column: {default: null, table: &a x, column: *a}}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		set, err := change.Read(change.File{Name: "f", Data: data})
		if err != nil {
			if noon.KindOf(err) != noon.Invalid {
				t.Errorf("%v has kind %s", err, noon.KindOf(err))
			}
			return
		}
		for _, op := range set.Operations {
			if op.Kind() == "" || op.At == "" {
				t.Errorf("an operation without kind or place: %+v", op)
			}
		}
		set.Irreversible()
	})
}
