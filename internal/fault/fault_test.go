package fault_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/noon-deploy/noon/internal/fault"
)

const childEnv = "NOON_FAULT_TEST_CHILD"

// TestMain is also the child: a process that passes points and tells of each.
func TestMain(m *testing.M) {
	if os.Getenv(childEnv) == "" {
		os.Exit(m.Run())
	}
	points, err := fault.FromEnv()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	for name := range strings.FieldsSeq(passes) {
		points.Point(name)
		fmt.Fprintln(os.Stdout, name)
	}
	os.Exit(0)
}

const passes = "a b a c a b"

// child runs the child and returns the points it got past.
func child(t *testing.T, spec, log string) (passed string, err error) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), childEnv+"=1", fault.Env+"="+spec, fault.EnvLog+"="+log)
	var out bytes.Buffer
	cmd.Stdout = &out
	err = cmd.Run()
	return strings.Join(strings.Fields(out.String()), " "), err
}

func TestPointKillsAtTheOneAskedFor(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ spec, passed, at string }{
		{"a", "", "a"},
		{"a:1", "", "a"},
		{"a:2", "a b", "a"},
		{"a:3", "a b a c", "a"},
		{"b:2", "a b a c a", "b"},
		{"c", "a b a", "c"},
		{"*", "", "a"},
		{"*:4", "a b a", "c"},
		{"*:6", "a b a c a", "b"},
	} {
		t.Run(c.spec, func(t *testing.T) {
			t.Parallel()
			log := filepath.Join(t.TempDir(), "log")
			passed, err := child(t, c.spec, log)
			exit, ok := errors.AsType[*exec.ExitError](err)
			if !ok {
				t.Fatalf("the child ended with %v, want SIGKILL", err)
			}
			if status, ok := exit.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
				t.Fatalf("the child ended with %v, want SIGKILL", exit)
			}
			if passed != c.passed {
				t.Errorf("the child got past %q, want %q", passed, c.passed)
			}
			if data, err := os.ReadFile(log); err != nil || string(data) != c.at+"\n" {
				t.Errorf("the log holds %q (%v), want %q", data, err, c.at)
			}
		})
	}
}

func TestPointNotReachedDoesNothing(t *testing.T) {
	t.Parallel()
	for _, spec := range []string{"", "a:4", "*:7", "z"} {
		log := filepath.Join(t.TempDir(), "log")
		passed, err := child(t, spec, log)
		if err != nil || passed != passes {
			t.Errorf("%q: the child got past %q and ended with %v", spec, passed, err)
		}
		if _, err := os.Stat(log); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%q: there is a log of a death that did not happen", spec)
		}
	}
}

func TestLogThatCanNotBeWrittenDoesNotSaveTheProcess(t *testing.T) {
	t.Parallel()
	if passed, err := child(t, "b", filepath.Join(t.TempDir(), "missing", "log")); err == nil || passed != "a" {
		t.Errorf("the child got past %q and ended with %v", passed, err)
	}
}

func TestFromEnvRefuses(t *testing.T) {
	for _, spec := range []string{"a:0", "a:-1", "a:x", "a:", ":1", ":", "a:1:2"} {
		t.Setenv(fault.Env, spec)
		points, err := fault.FromEnv()
		if err == nil || points != nil {
			t.Errorf("%q was taken", spec)
		} else if !strings.Contains(err.Error(), fault.Env) {
			t.Errorf("%q: %v does not name the variable", spec, err)
		}
	}
}

func TestNoPoints(t *testing.T) {
	t.Setenv(fault.Env, "")
	points, err := fault.FromEnv()
	if points != nil || err != nil {
		t.Fatalf("got %v, %v without %s", points, err, fault.Env)
	}
	points.Point("a") // nil never kills
}
