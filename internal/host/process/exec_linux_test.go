package process

import (
	"fmt"
	"os"
	"testing"
)

// TestZombieWithThreadsRuns: while a thread execs, the first thread of its
// process is a zombie for a moment. The process has not ended.
func TestZombieWithThreadsRuns(t *testing.T) {
	t.Parallel()
	line := func(state string, threads int) []byte {
		return fmt.Appendf(nil, "7 (a) b) %s 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 %d 0 4711 0 0", state, threads)
	}
	cases := []struct {
		state   string
		threads int
		over    bool
	}{{"S", 1, false}, {"R", 5, false}, {"Z", 2, false}, {"Z", 1, true}, {"X", 0, true}}
	for _, c := range cases {
		s, err := parseStat(line(c.state, c.threads))
		if err != nil {
			t.Fatal(err)
		}
		if s.over() != c.over || s.start != 4711 || s.threads != c.threads {
			t.Errorf("%s with %d threads: %+v, over %v", c.state, c.threads, s, s.over())
		}
	}
	self, err := readStat(os.Getpid())
	if err != nil || self.threads < 2 || !runs(os.Getpid(), self.start) {
		t.Errorf("this process: %+v, %v", self, err)
	}
}
