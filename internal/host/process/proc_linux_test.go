package process

import (
	"os"
	"testing"
)

func FuzzParseStat(f *testing.F) {
	own, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(own)
	f.Add([]byte("1 (a ) b (c) S 1 2 3"))
	f.Add([]byte(""))
	f.Add([]byte(")"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := parseStat(data)
		if err == nil && s.state == 0 {
			t.Errorf("%q has no state", data)
		}
	})
}

func TestParseStatOfStrangeNames(t *testing.T) {
	t.Parallel()
	s, err := parseStat([]byte("7 (evil) S 1 (x)) R 1 7 8 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4711 0 0"))
	if err != nil || s.state != 'R' || s.parent != 1 || s.group != 7 || s.session != 8 || s.start != 4711 {
		t.Errorf("got %+v, %v", s, err)
	}
}

func TestRunsKnowsTheDead(t *testing.T) {
	t.Parallel()
	start, err := startTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if !runs(os.Getpid(), start) || runs(os.Getpid(), start+1) || runs(1<<30, start) {
		t.Error("runs is wrong about itself")
	}
	if (&claim{PID: 0, Boot: bootID()}).alive() || (&claim{PID: os.Getpid(), Start: start, Boot: "another"}).alive() {
		t.Error("a claim of nobody or of another boot is alive")
	}
}

func TestStakeHasOneWinner(t *testing.T) {
	t.Parallel()
	d := dir(t.TempDir())
	wins := make(chan bool, 20)
	for pid := range 20 {
		go func() {
			won, err := stake(d, claim{PID: pid + 1, Start: 1})
			wins <- won && err == nil
		}()
	}
	n := 0
	for range 20 {
		if <-wins {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d won", n)
	}
}
