package realapps

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// load is users who go through the app's own journey all the time, each a
// process of the example's, and the book of what they were told is kept.
type load[T any] struct {
	t     *testing.T
	began time.Time
	ends  []io.Closer // of the users' input: its end asks them to go
	users sync.WaitGroup

	mu       sync.Mutex
	journeys int
	failures []string
	kept     []T
	longest  time.Duration
}

// startLoad sends users through a journey until stop. A user's program prints
// one line of JSON a journey, {"error": …} or the T that is to stay.
func startLoad[T any](m *machine, users int, program string, args ...string) *load[T] {
	m.t.Helper()
	l := &load[T]{t: m.t, began: time.Now()}
	for range users {
		cmd := exec.Command(program, args...)
		cmd.Dir, cmd.Env, cmd.Stderr = m.repo, append(append(os.Environ(), "SITE_URL="+m.url), m.users...), os.Stderr
		in, err := cmd.StdinPipe()
		if err != nil {
			m.t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			m.t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			m.t.Fatal(err)
		}
		l.ends = append(l.ends, in)
		l.users.Go(func() { l.follow(cmd, out) })
	}
	m.t.Cleanup(l.end)
	l.more(1) // before anything is deployed, all is well
	return l
}

func (l *load[T]) follow(cmd *exec.Cmd, out io.Reader) {
	lines := bufio.NewScanner(out)
	last := time.Now()
	for lines.Scan() {
		l.note(lines.Bytes(), time.Since(last))
		last = time.Now()
	}
	if err := cmd.Wait(); err != nil {
		l.mu.Lock()
		l.failures = append(l.failures, "a user has gone: "+err.Error())
		l.mu.Unlock()
	}
}

func (l *load[T]) note(line []byte, took time.Duration) {
	var failed struct{ Error string }
	var kept T
	err := json.Unmarshal(line, &failed)
	if err == nil && failed.Error == "" {
		err = json.Unmarshal(line, &kept)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.journeys++
	l.longest = max(l.longest, took)
	switch {
	case err != nil:
		l.failures = append(l.failures, fmt.Sprintf("%q: %v", line, err))
	case failed.Error != "":
		l.failures = append(l.failures, time.Now().Format("15:04:05.000 ")+failed.Error)
	default:
		l.kept = append(l.kept, kept)
	}
}

// more waits until users have gone through n more journeys.
func (l *load[T]) more(n int) {
	l.t.Helper()
	seen := l.count()
	eventually(l.t, 2*time.Minute, "users go on", func() error {
		if now := l.count(); now < seen+n {
			return fmt.Errorf("%d of %d journeys", now-seen, n)
		}
		return nil
	})
}

func (l *load[T]) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.journeys
}

func (l *load[T]) end() {
	for _, in := range l.ends {
		_ = in.Close() // it may be closed already
	}
	l.users.Wait()
}

// stop lets the journeys under way end, prints the account, and returns what
// is to be there and what has failed.
func (l *load[T]) stop() (kept []T, failures []string) {
	l.t.Helper()
	l.end()
	l.t.Logf("%d journeys in %s, %d failed, the longest took %s", l.journeys,
		time.Since(l.began).Round(100*time.Millisecond), len(l.failures), l.longest.Round(time.Millisecond))
	if len(l.failures) > 0 {
		l.t.Logf("failed:\n%s", strings.Join(l.failures[:min(len(l.failures), 10)], "\n"))
	}
	return l.kept, l.failures
}

// good is stop where nobody may have noticed anything.
func (l *load[T]) good() []T {
	l.t.Helper()
	kept, failures := l.stop()
	if len(failures) > 0 {
		l.t.Errorf("%d journeys failed, want 0", len(failures))
	}
	return kept
}

// same wants what is there to be what users were told, no more and no less.
func same[T comparable](t *testing.T, what string, there, told []T) {
	t.Helper()
	seen := map[T]int{}
	for _, v := range there {
		seen[v]++
	}
	var missing, wrong []string
	for _, v := range told {
		if seen[v]--; seen[v] < 0 {
			missing = append(missing, fmt.Sprint(v))
		}
	}
	for v, n := range seen {
		if n > 0 {
			wrong = append(wrong, fmt.Sprint(v))
		}
	}
	slices.Sort(wrong)
	if len(missing)+len(wrong) > 0 {
		t.Errorf("%s: %d lost, %d that nobody was told of\nlost: %.2000s\nmore: %.2000s", what, len(missing), len(wrong), missing, wrong)
	}
	t.Logf("%s: all %d compared, %d lost, %d more", what, len(told), len(missing), len(wrong))
}

// program builds one of the example's Go programs.
func (m *machine) program(file string) string {
	m.t.Helper()
	out := filepath.Join(m.dir, filepath.Base(filepath.Dir(file)))
	cmd := exec.CommandContext(m.t.Context(), "go", "build", "-o", out, file)
	cmd.Dir, cmd.Env = m.repo, m.environ()
	if said, err := cmd.CombinedOutput(); err != nil {
		m.t.Fatalf("build %s: %v: %s", file, err, said)
	}
	return out
}
