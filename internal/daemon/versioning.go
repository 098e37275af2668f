package daemon

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/change"
)

// versioning is one task on a versioned store. What was done is in the journal
// of the database itself, with the names and sums of the files; it is compared
// with those of the release each time.
type versioning struct {
	engine schemaEngine
	store  migrated
	left   *migrated // nil: no other release
	lossy  bool      // a person has accepted what a withdrawal loses
	schemaStatus
	password string // of the release's role
	progress func(string)
}

// active is the version that is being worked on or served beside the one
// before, nil if there is none.
func (v *versioning) active() *schemaVersion {
	for i := range v.versions {
		if !v.versions[i].complete {
			return &v.versions[i]
		}
	}
	return nil
}

// inForce is the newest version that is complete; 0 are the tables themselves.
func (v *versioning) inForce() int {
	number := 0
	for _, version := range v.versions {
		if version.complete {
			number = max(number, version.number)
		}
	}
	return number
}

// pending are the files of the release that no complete version has, in order.
// A file that was applied and is another one now is refused, and so is a release
// that lacks one: the database has lost what it needs.
func (v *versioning) pending() ([]string, error) {
	applied := map[string]string{}
	for _, version := range v.versions {
		if version.complete {
			for _, f := range version.files {
				applied[f.Name] = f.Sum
			}
		}
	}
	var list []string
	for _, name := range v.store.names() {
		sum, done := applied[name]
		if !done {
			list = append(list, name)
			continue
		}
		if now := change.Sum([]byte(v.store.files[name])); now != sum {
			return nil, &noon.Error{
				Kind: noon.Conflict, Op: "change " + v.store.Name, Subject: name,
				Err:  fmt.Errorf("it was applied with another content (%.12s, now %.12s)", sum, now),
				Hint: "Nothing was changed. Restore the file as it was, and write what shall change into a new one.",
			}
		}
	}
	return list, v.knows(applied)
}

// knows refuses a release that lacks files which the database has been changed
// by. The plan refuses it too, but for a database that noon's own ledger does
// not remember.
func (v *versioning) knows(applied map[string]string) error {
	var unknown []string
	for _, name := range slices.Sorted(maps.Keys(applied)) {
		if _, ok := v.store.files[name]; !ok {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	return &noon.Error{
		Kind: noon.Conflict, Op: "change " + v.store.Name, Subject: v.store.release,
		Err:  fmt.Errorf("the database has been changed by %s, and %s does not know of it", strings.Join(unknown, ", "), v.store.release),
		Hint: "Nothing was changed. Deploy a release that brings all migrations which the database has, or give the environment another database.",
	}
}

// expand has a version that is made of files served beside the one before, and
// returns its number.
func (v *versioning) expand(ctx context.Context, files ...string) (int, error) {
	set, err := v.store.changes(files...)
	if err != nil {
		return 0, err
	}
	return v.engine.Expand(ctx, set, v.progress)
}

// both has the store serve the release and the one before it.
func (v *versioning) both(ctx context.Context) error {
	files, err := v.pending()
	if err != nil {
		return err
	}
	number, err := v.served(ctx, v.active(), files)
	if err != nil {
		return err
	}
	return v.admitTo(ctx, number)
}

// served has a version made of files served, and returns its number. One that
// is on its way already is gone on with.
func (v *versioning) served(ctx context.Context, active *schemaVersion, files []string) (int, error) {
	if active != nil && slices.Equal(names(*active), files) {
		return active.number, v.reach(ctx, schemaOrder{version: active.number, phase: schemaExpanded})
	}
	return v.next(ctx, active, files)
}

// next expands a version for files, after one that nobody needs is out of the
// way. It returns the number of the version to use.
func (v *versioning) next(ctx context.Context, active *schemaVersion, files []string) (int, error) {
	if active != nil {
		if v.left != nil && contains(v.left.names(), names(*active)) {
			return 0, &noon.Error{
				Kind: noon.Conflict, Op: "change " + v.store.Name, Subject: strings.Join(names(*active), ", "),
				Err:  fmt.Errorf("it is not complete yet, and the release before needs it"),
				Hint: "Nothing was changed. `noon status` tells what its completion waits for.",
			}
		}
		if err := v.reach(ctx, schemaOrder{version: active.number, phase: schemaWithdrawn, acceptLoss: v.lossy}); err != nil {
			return 0, err
		}
	}
	if len(files) == 0 {
		return v.inForce(), nil
	}
	return v.expand(ctx, files...)
}

// alone has the store serve the release only: what it brought is completed,
// what only another one brought is withdrawn.
func (v *versioning) alone(ctx context.Context) error {
	files, err := v.pending()
	if err != nil {
		return err
	}
	if files, err = v.settle(ctx, files); err != nil {
		return err
	}
	if v.left == nil {
		if err := v.first(ctx, files); err != nil {
			return err
		}
	}
	if err := v.look(ctx); err != nil {
		return err
	}
	if err := v.admitTo(ctx, v.inForce()); err != nil {
		return err
	}
	return v.dismiss(ctx)
}

// settle ends what is under way, or what a crash has left of what was ended,
// and gives the files that are still to come.
func (v *versioning) settle(ctx context.Context, files []string) ([]string, error) {
	active := v.active()
	if active == nil {
		if number := v.inForce(); number > 0 {
			return files, v.reach(ctx, schemaOrder{version: number, phase: schemaContracted})
		}
		return files, nil
	}
	n := len(active.files)
	whole := slices.Equal(names(*active), files)
	if !whole && (v.left != nil || n > len(files) || !slices.Equal(names(*active), files[:n])) {
		return files, v.reach(ctx, schemaOrder{version: active.number, phase: schemaWithdrawn, acceptLoss: v.lossy})
	}
	if !active.expanded { // a first deployment has ended in the middle of it
		if err := v.reach(ctx, schemaOrder{version: active.number, phase: schemaExpanded}); err != nil {
			return nil, err
		}
	}
	unused := !whole || !active.expanded
	return files[n:], v.reach(ctx, schemaOrder{version: active.number, phase: schemaContracted, unchecked: unused})
}

// look reads what the database's own journal says.
func (v *versioning) look(ctx context.Context) (err error) {
	v.schemaStatus, err = v.engine.Status(ctx)
	return err
}

// dismiss takes from all other releases the way in.
func (v *versioning) dismiss(ctx context.Context) error {
	for _, release := range v.releases {
		if release == v.store.release {
			continue
		}
		if err := v.engine.DropRole(ctx, release); err != nil {
			return err
		}
	}
	return nil
}

// first builds the schema for a release that is the first: file by file, as if
// each had been a release.
func (v *versioning) first(ctx context.Context, files []string) error {
	for _, name := range files {
		number, err := v.expand(ctx, name)
		if err != nil {
			return err
		}
		if err := v.reach(ctx, schemaOrder{version: number, phase: schemaContracted, unchecked: true}); err != nil {
			return err
		}
	}
	return nil
}

func (v *versioning) admit(ctx context.Context) error {
	if _, err := v.pending(); err != nil {
		return err
	}
	return v.admitTo(ctx, v.inForce())
}

// admitTo makes the release's role, and has it see a version.
func (v *versioning) admitTo(ctx context.Context, number int) error {
	_, err := v.engine.Role(ctx, v.store.release, number, v.password)
	return err
}

func (v *versioning) reach(ctx context.Context, o schemaOrder) error {
	return v.engine.Reach(ctx, o, v.progress)
}

// names are the files that a version was made of.
func names(v schemaVersion) []string {
	list := make([]string, 0, len(v.files))
	for _, f := range v.files {
		list = append(list, f.Name)
	}
	return list
}

// contains reports whether all of some are among many.
func contains(many, some []string) bool {
	return !slices.ContainsFunc(some, func(s string) bool { return !slices.Contains(many, s) })
}
