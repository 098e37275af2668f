package meter

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/noon-deploy/noon"
)

// LogConfig is what a log needs to begin. Zero means the default.
type LogConfig struct {
	Path   string // of the file; its directory exists
	Text   bool   // lines for people instead of JSON
	Rules  Rules
	Redact *Redaction
	Size   int64        // bytes of a file before the next is begun: 64 MiB; less than 0: no limit
	Keep   int          // files before the present one: 4
	Buffer int          // bytes that may wait to be written: 4 MiB; what comes beyond is dropped
	Log    *slog.Logger // told when lines are lost
}

// The defaults of LogConfig.
const (
	DefaultSize   = 64 << 20
	DefaultKeep   = 4
	DefaultBuffer = 4 << 20
)

// Log writes entries to a file, in the order they come, without ever making a
// request wait: they are put in memory, and one goroutine writes them in large
// pieces. What the memory has no room for, or the file, is dropped and counted.
type Log struct {
	cfg  LogConfig
	file *rotating
	pool sync.Pool // *[]byte, to write an entry outside of mu

	mu      sync.Mutex
	waiting []byte
	lines   int64 // in waiting
	spare   []byte
	closed  bool
	wake    chan struct{}

	reopen  atomic.Bool
	written atomic.Int64
	dropped atomic.Int64
	done    chan struct{}
	failed  error // of the last Close; read after done
}

// OpenLog opens the file, to go on at its end, and begins.
func OpenLog(cfg LogConfig) (*Log, error) {
	cfg = cfg.withDefaults()
	if err := cfg.Rules.Check(); err != nil {
		return nil, &noon.Error{Kind: noon.Invalid, Op: "open the access log", Subject: cfg.Path, Err: err, Hint: "Correct the rules; nothing is logged."}
	}
	file := &rotating{path: cfg.Path, most: cfg.Size, keep: cfg.Keep}
	if err := file.open(); err != nil {
		return nil, &noon.Error{Kind: noon.Unavailable, Op: "open the access log", Subject: cfg.Path, Err: err, Hint: "Its directory must exist and be writable."}
	}
	l := &Log{cfg: cfg, file: file, wake: make(chan struct{}, 1), done: make(chan struct{})}
	l.pool.New = func() any { b := make([]byte, 0, 1<<10); return &b }
	go l.run()
	return l, nil
}

func (c LogConfig) withDefaults() LogConfig {
	if c.Size == 0 {
		c.Size = DefaultSize
	}
	if c.Keep <= 0 {
		c.Keep = DefaultKeep
	}
	if c.Buffer <= 0 {
		c.Buffer = DefaultBuffer
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Write takes an entry, if the rules say so. It never waits for the file, and
// keeps nothing of the entry.
func (l *Log) Write(e *Entry) {
	e.Share = l.cfg.Rules.Share(e)
	if e.Share < 1 && rand.Float64() >= e.Share {
		return
	}
	if e.Redact == nil {
		e.Redact = l.cfg.Redact
	}
	scratch, ok := l.pool.Get().(*[]byte)
	if !ok {
		scratch = new([]byte)
	}
	if l.cfg.Text {
		*scratch = e.AppendText((*scratch)[:0])
	} else {
		*scratch = e.AppendJSON((*scratch)[:0])
	}
	l.put(*scratch)
	if cap(*scratch) <= 64<<10 {
		l.pool.Put(scratch)
	}
}

func (l *Log) put(text []byte) {
	l.mu.Lock()
	if l.closed || len(l.waiting)+len(text) > l.cfg.Buffer {
		l.mu.Unlock()
		l.dropped.Add(1)
		return
	}
	first := len(l.waiting) == 0
	l.waiting = append(l.waiting, text...)
	l.lines++
	l.mu.Unlock()
	if first {
		l.signal()
	}
}

func (l *Log) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Reopen has the file opened anew by its path before the next line: for tools
// that move it away.
func (l *Log) Reopen() {
	l.reopen.Store(true)
	l.signal()
}

// Written is how many lines the file took.
func (l *Log) Written() int64 { return l.written.Load() }

// Dropped is how many lines were lost, because they came faster than the file
// took them or because it took none.
func (l *Log) Dropped() int64 { return l.dropped.Load() }

// Close writes what waits and closes the file. Entries that come later are
// dropped.
func (l *Log) Close() error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.signal()
	<-l.done
	return l.failed
}

func (l *Log) run() {
	defer close(l.done)
	well := true
	for range l.wake {
		text, lines, closed := l.take()
		var err error
		if l.reopen.Swap(false) {
			err = l.file.reopen()
		}
		if len(text) > 0 {
			n, werr := l.file.write(text)
			err = errors.Join(err, werr)
			l.written.Add(n)
			l.dropped.Add(lines - n)
		}
		if well && err != nil {
			l.cfg.Log.Error("access log can not be written, lines are dropped until it can", "path", l.cfg.Path, "err", err)
		} else if !well && err == nil && len(text) > 0 {
			l.cfg.Log.Info("access log is written again", "path", l.cfg.Path, "dropped", l.dropped.Load())
		}
		well = err == nil && (well || len(text) > 0)
		if closed {
			l.failed = errors.Join(err, l.file.close())
			return
		}
	}
}

// take swaps the two buffers.
func (l *Log) take() (text []byte, lines int64, closed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	text, lines = l.waiting, l.lines
	l.waiting, l.spare, l.lines = l.spare[:0], text, 0
	return text, lines, l.closed
}
