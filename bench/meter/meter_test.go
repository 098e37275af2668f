//go:build linux

package meter_test

import (
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/noon-deploy/noon/bench/meter"
)

// spin uses CPU time of this process until some has been used.
func spin(d time.Duration) {
	for start := time.Now(); time.Since(start) < d; {
	}
}

func TestCPUGrowsWithWork(t *testing.T) {
	before, err := meter.ReadCPU([]int{os.Getpid()})
	if err != nil {
		t.Fatal(err)
	}
	spin(30 * time.Millisecond)
	after, err := meter.ReadCPU([]int{os.Getpid()})
	if err != nil {
		t.Fatal(err)
	}
	if used := after.Since(before).Total; used <= 0 {
		t.Errorf("30 ms of work used %v", used)
	}
}

func TestFamilyHasChildren(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "echo up; cat; exit 0")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	family, err := meter.Family(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(family, os.Getpid()) || !slices.Contains(family, cmd.Process.Pid) {
		t.Errorf("%v lacks %d or its child %d", family, os.Getpid(), cmd.Process.Pid)
	}
	if bytes, err := meter.Memory(family); err != nil || bytes < 1<<20 {
		t.Errorf("the memory of this process is %d bytes, %v", bytes, err)
	}
	_ = in.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := meter.Family(cmd.Process.Pid); err == nil {
		t.Error("a process that has ended has a family")
	}
}

func TestInstructionsAreCountedOrRefused(t *testing.T) {
	c, err := meter.CountInstructions([]int{os.Getpid()})
	if err != nil {
		t.Skipf("no counters here: %v", err)
	}
	before, err := c.Read()
	if err != nil {
		t.Fatal(err)
	}
	spin(5 * time.Millisecond)
	after, err := c.Read()
	if err != nil {
		t.Fatal(err)
	}
	if after <= before {
		t.Errorf("%d instructions before, %d after", before, after)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}
