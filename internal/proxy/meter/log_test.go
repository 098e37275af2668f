package meter_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/proxy/meter"
)

func openLog(t *testing.T, cfg meter.LogConfig) *meter.Log {
	t.Helper()
	if cfg.Path == "" {
		cfg.Path = filepath.Join(t.TempDir(), "access.log")
	}
	log, err := meter.OpenLog(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	return log
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	limit, tick := time.After(10*time.Second), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-limit:
			t.Fatalf("never %s", what)
		case <-tick.C:
		}
	}
}

// lines reads all files of a log, the oldest first.
func lines(t *testing.T, path string) (all []string) {
	t.Helper()
	for i := 9; i >= 0; i-- {
		name := path
		if i > 0 {
			name = fmt.Sprintf("%s.%d", path, i)
		}
		data, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		if len(data) > 0 && data[len(data)-1] != '\n' {
			t.Errorf("%s ends within a line", name)
		}
		all = append(all, strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")...)
	}
	return all
}

func numbered(i int) *meter.Entry {
	e := benchEntry()
	e.RequestID = fmt.Append(nil, i)
	return e
}

func TestLogWritesAllInOrderOverSeveralFiles(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "access.log")
	log := openLog(t, meter.LogConfig{Path: path, Size: 4000, Keep: 9})
	const count = 60
	for i := range count {
		log.Write(numbered(i))
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	all := lines(t, path)
	if len(all) != count || log.Written() != count || log.Dropped() != 0 {
		t.Fatalf("%d lines of %d, %d written, %d dropped", len(all), count, log.Written(), log.Dropped())
	}
	for i, line := range all {
		var read struct {
			ID string `json:"request_id"`
		}
		if err := json.Unmarshal([]byte(line), &read); err != nil || read.ID != fmt.Sprint(i) {
			t.Fatalf("line %d: %v: %s", i, err, line)
		}
	}
	entries, err := filepath.Glob(path + "*")
	if err != nil || len(entries) < 3 {
		t.Errorf("files are %v", entries)
	}
	for _, name := range entries {
		info, err := os.Stat(name)
		if err != nil || info.Size() > 4000 || info.Mode().Perm()&0o007 != 0 {
			t.Errorf("%s has %d bytes and mode %v", name, info.Size(), info.Mode())
		}
	}
	log.Write(numbered(0))
	if log.Dropped() != 1 {
		t.Error("a line after the end is not counted as dropped")
	}
}

// Two processes write the same log while one hands over to the other: neither
// file is rotated twice.
func TestTwoLogsOfOnePath(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "access.log")
	cfg := meter.LogConfig{Path: path, Size: 2000, Keep: 9}
	before, after := openLog(t, cfg), openLog(t, cfg)
	const each = 20
	for i := range each {
		for _, log := range []*meter.Log{before, after} {
			log.Write(numbered(i))
			eventually(t, "written", func() bool { return log.Written() == int64(i+1) })
		}
	}
	if n := len(lines(t, path)); n != 2*each {
		t.Errorf("%d lines of %d are in the files", n, 2*each)
	}
	if files, err := filepath.Glob(path + "*"); err != nil || len(files) > 10 {
		t.Errorf("%d files, %v", len(files), err)
	}
}

func TestOldFilesGo(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "access.log")
	log := openLog(t, meter.LogConfig{Path: path, Size: 1, Keep: 2}) // a line a file
	for i := range 10 {
		log.Write(numbered(i))
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	all := lines(t, path)
	if len(all) != 3 || !strings.Contains(all[2], `"request_id":"9"`) {
		t.Errorf("kept are %q", all)
	}
}

// A writer that can not keep up makes no request wait: what comes beyond the
// buffer is dropped, and counted.
func TestAFullLogDropsAndCounts(t *testing.T) {
	t.Parallel()
	log := openLog(t, meter.LogConfig{Buffer: 1500})
	var wg sync.WaitGroup
	const workers, each = 4, 2000
	for range workers {
		wg.Go(func() {
			for i := range each {
				log.Write(numbered(i))
			}
		})
	}
	wg.Wait()
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	if log.Written()+log.Dropped() != workers*each {
		t.Errorf("%d written and %d dropped of %d", log.Written(), log.Dropped(), workers*each)
	}
	if tooLong := openLog(t, meter.LogConfig{Buffer: 10}); true {
		tooLong.Write(numbered(1))
		if tooLong.Dropped() != 1 {
			t.Error("a line longer than the buffer is not counted as dropped")
		}
	}
}

func TestLogIsReopened(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "access.log")
	log := openLog(t, meter.LogConfig{Path: path, Text: true})
	log.Write(numbered(1))
	eventually(t, "written", func() bool { return log.Written() == 1 })
	if err := os.Rename(path, path+".moved"); err != nil {
		t.Fatal(err)
	}
	log.Reopen()
	eventually(t, "opened anew", func() bool { _, err := os.Stat(path); return err == nil })
	log.Write(numbered(2))
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	if all := lines(t, path); len(all) != 1 || !strings.Contains(all[0], "request_id=2") {
		t.Errorf("the new file has %q", all)
	}
	if all := lines(t, path+".moved"); len(all) != 1 || !strings.Contains(all[0], "request_id=1") {
		t.Errorf("the moved file has %q", all)
	}
}

// A file that can not be written loses lines, not requests, is told of once,
// and is written again when it can be.
func TestLogSurvivesItsDirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "logs")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	var told syncBuffer
	path := filepath.Join(dir, "access.log")
	log := openLog(t, meter.LogConfig{Path: path, Log: slog.New(slog.NewTextHandler(&told, nil))})
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	log.Reopen()
	eventually(t, "told", func() bool { return strings.Contains(told.String(), "can not be written") })
	for i := range 5 {
		log.Write(numbered(i))
		eventually(t, "dropped", func() bool { return log.Dropped() == int64(i+1) })
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	log.Write(numbered(6))
	eventually(t, "written again", func() bool { return log.Written() == 1 })
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(told.String(), "can not be written"); n != 1 {
		t.Errorf("told %d times:\n%s", n, told.String())
	}
	if !strings.Contains(told.String(), "dropped=5") {
		t.Errorf("the loss is not told:\n%s", told.String())
	}
}

type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func TestLogSamples(t *testing.T) {
	t.Parallel()
	log := openLog(t, meter.LogConfig{Rules: meter.Rules{{Prefix: "/none", Share: 0}, {Class: 2, Share: 0.1}}})
	none, failed := benchEntry(), benchEntry()
	none.Path, failed.Status = []byte("/none"), 502
	for range 4000 {
		log.Write(benchEntry())
		log.Write(none)
	}
	for range 100 {
		log.Write(failed)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	// 400 of 4000 by chance: 160 off is eight standard deviations.
	if n := log.Written(); n < 100+240 || n > 100+560 {
		t.Errorf("%d lines of about 500", n)
	}
}

func TestLogRefusesMistakes(t *testing.T) {
	t.Parallel()
	_, err := meter.OpenLog(meter.LogConfig{Path: filepath.Join(t.TempDir(), "missing", "access.log")})
	if noon.KindOf(err) != noon.Unavailable {
		t.Errorf("a directory that is missing: %v", err)
	}
	path := filepath.Join(t.TempDir(), "access.log")
	if _, err = meter.OpenLog(meter.LogConfig{Path: path, Rules: meter.Rules{{Share: 2}}}); noon.KindOf(err) != noon.Invalid {
		t.Errorf("a wrong rule: %v", err)
	}
	if _, err = os.Stat(path); err == nil {
		t.Error("the file was made although the rules are wrong")
	}
}

func TestLogAllocatesNothing(t *testing.T) {
	if raced {
		t.Skip("the race detector allocates")
	}
	log := openLog(t, meter.LogConfig{Size: -1})
	e := benchEntry()
	write := func() {
		for range 100 {
			log.Write(e)
		}
	}
	for range 20 {
		write() // until the buffers have their size
	}
	if n := testing.AllocsPerRun(20, write); n > 5 {
		t.Errorf("100 lines allocate %v times", n)
	}
}
