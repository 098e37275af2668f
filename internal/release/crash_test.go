package release_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/noon-deploy/noon/internal/fault"
	"github.com/noon-deploy/noon/internal/release"
)

// childEnv makes the test binary one noon process that can be killed: a job
// and its arguments, separated by newlines.
const childEnv = "NOON_RELEASE_CHILD"

func childCommand(tb testing.TB, args ...string) *exec.Cmd {
	tb.Helper()
	cmd := exec.CommandContext(tb.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+strings.Join(args, "\n"))
	return cmd
}

func child(job string) int {
	if err := childJob(strings.Split(job, "\n")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func childJob(args []string) error {
	points, err := fault.FromEnv()
	if err != nil {
		return err
	}
	if args[0] == "limited" {
		if err := limitFiles(); err != nil {
			return err
		}
	}
	s, err := release.Open(args[1])
	if err != nil {
		return err
	}
	s.Faults = points
	ctx := context.Background()
	c, err := s.Build(ctx, release.Recipe{Repo: args[2], Parse: parse, Env: []string{"PIDS=" + os.Getenv("PIDS")}})
	if err != nil {
		return err
	}
	if err := s.Unpack(ctx, c.Digest, args[3]); err != nil {
		return err
	}
	_, _, err = s.Prune(ctx, []string{c.Digest})
	return err
}

// TestKilledAnywhere kills a process that builds, unpacks and prunes at every
// point it passes. Whoever opens the store next finds it whole, and the same
// work done again gives the same release.
func TestKilledAnywhere(t *testing.T) {
	t.Parallel()
	old, now := shop(t), shop(t)
	now.write("static/app.js", "let a = 2\n").commit("Change")
	want := build(t, open(t), now.recipe())
	before := build(t, open(t), old.recipe())
	seen := map[string]bool{}
	for n := 1; ; n++ {
		dir := filepath.Join(t.TempDir(), "releases")
		build(t, openAt(t, dir), old.recipe())
		place := filepath.Join(t.TempDir(), "unpacked", "r2")
		name := killAt(t, n, dir, now.dir, place)
		if name == "" {
			break
		}
		seen[name] = true
		s := openAt(t, dir)
		wantClean(t, dir, s)
		digests, err := s.Digests(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		possible := [][]string{{before.Digest}, {before.Digest, want.Digest}, {want.Digest}}
		if !slices.ContainsFunc(possible, func(p []string) bool { return slices.Equal(p, digests) }) {
			t.Errorf("killed at %s (%d): the store has %v", name, n, digests)
		}
		if _, err := os.Lstat(place); err == nil {
			if err := s.Verify(t.Context(), want.Digest, place); err != nil {
				t.Errorf("killed at %s (%d): %v", name, n, err)
			}
		}
		finish(t, s, now, want.Digest, place)
		wantClean(t, dir, s)
		if t.Failed() {
			t.Fatalf("killed at %s (%d)", name, n)
		}
	}
	for _, name := range []string{
		"release.checkout.before", "release.checkout.after", "release.blob.before", "release.blob.after", "release.blob.placed",
		"release.index.before", "release.index.after", "release.unpack.before", "release.unpack.after", "release.prune.blob",
	} {
		if !seen[name] {
			t.Errorf("never killed at %s", name)
		}
	}
}

// killAt runs a child that dies at its n-th point, and returns the name of the
// point, "" if the child ended by itself.
func killAt(t *testing.T, n int, args ...string) string {
	t.Helper()
	log := filepath.Join(t.TempDir(), "log")
	cmd := childCommand(t, append([]string{"build"}, args...)...)
	cmd.Env = append(cmd.Env, fmt.Sprintf("%s=*:%d", fault.Env, n), fault.EnvLog+"="+log)
	out, err := cmd.CombinedOutput()
	if err == nil {
		return ""
	}
	name, _ := os.ReadFile(log)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != -1 || len(name) == 0 {
		t.Fatalf("child: %v\n%s", err, out)
	}
	return string(bytes.TrimSpace(name))
}

// finish does the work of the killed process again.
func finish(t *testing.T, s *release.Store, r repo, digest, place string) {
	t.Helper()
	if c := build(t, s, r.recipe()); c.Digest != digest {
		t.Errorf("built again: %s, want %s", c.Digest, digest)
	}
	if err := s.Unpack(t.Context(), digest, place); err != nil {
		t.Error(err)
	}
	if err := s.Verify(t.Context(), digest, place); err != nil {
		t.Error(err)
	}
	if _, _, err := s.Prune(t.Context(), []string{digest}); err != nil {
		t.Error(err)
	}
	if siblings := list(t, filepath.Dir(place)); slices.ContainsFunc(siblings, func(l string) bool { return strings.Contains(l, " .noon-unpack-") }) {
		// A release that was placed is not unpacked again, so what the
		// killed process left goes with the next release.
		t.Errorf("left beside the release: %q", siblings)
	}
	if err := release.RemoveTree(place); err != nil {
		t.Error(err)
	}
}
