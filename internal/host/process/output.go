package process

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// The output of a process is one stream of bytes, kept in segments that are
// called after the offset they begin at. Beside each segment lies an index of
// when its parts arrived. Segments bound what a process can write.
const (
	segmentSize  = 8 << 20
	segmentsKept = 4
	chunk        = 1 << 20
	logSuffix    = ".log"
	indexSuffix  = ".idx"
)

// output copies the FIFO to the segments.
type output struct {
	dir   string
	log   *slog.Logger
	pipe  *os.File
	seg   *os.File
	index *os.File
	base  int64 // offset of the segment
	size  int64 // of the segment
	stamp time.Time
	lost  int64 // bytes that could not be written
	cause error
	done  sync.WaitGroup
}

// openOutput begins to copy, going on where the last keeper ended.
func openOutput(d dir, log *slog.Logger) (*output, error) {
	pipe, err := os.OpenFile(d.path(outputFIFO), os.O_RDWR|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	growPipe(pipe)
	o := &output{dir: d.path(outputDir), log: log, pipe: pipe}
	segments, err := segmentsIn(o.dir)
	if err == nil {
		var base int64
		if len(segments) > 0 {
			base = segments[len(segments)-1]
		}
		err = o.open(base)
	}
	if err != nil {
		pipe.Close()
		return nil, err
	}
	o.done.Go(o.copy)
	return o, nil
}

// segmentsIn lists the offsets of the segments in order.
func segmentsIn(dir string) ([]int64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var bases []int64
	for _, e := range entries {
		digits, ok := strings.CutSuffix(e.Name(), logSuffix)
		if base, err := strconv.ParseInt(digits, 10, 64); ok && err == nil {
			bases = append(bases, base)
		}
	}
	slices.Sort(bases)
	return bases, nil
}

func segmentPath(dir string, base int64, suffix string) string {
	return filepath.Join(dir, fmt.Sprintf("%020d%s", base, suffix))
}

func (o *output) open(base int64) error {
	// Not O_APPEND: splice(2) refuses it. There is one writer.
	seg, err := os.OpenFile(segmentPath(o.dir, base, logSuffix), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	size, err := seg.Seek(0, 2)
	if err != nil {
		seg.Close()
		return err
	}
	// Without an index lines have no times; that is no reason to lose them.
	index, err := os.OpenFile(segmentPath(o.dir, base, indexSuffix), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		o.log.Warn("open output index", "err", err)
	}
	o.seg, o.index, o.base, o.size = seg, index, base, size
	return nil
}

// copy ends when the deadline of the pipe is set.
func (o *output) copy() {
	raw, err := o.pipe.SyscallConn()
	if err != nil {
		o.log.Error("copy output", "err", err)
		return
	}
	err = raw.Read(func(fd uintptr) bool {
		o.take(int(fd))
		return false
	})
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		o.log.Error("copy output", "err", err)
	}
}

// drain takes what is in the pipe when the process has ended.
func (o *output) drain() {
	_ = o.pipe.SetReadDeadline(time.Unix(1, 0))
	o.done.Wait()
	if raw, err := o.pipe.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { o.take(int(fd)) })
	}
	if o.seg != nil {
		_ = o.seg.Sync()
	}
}

func (o *output) close() {
	_ = o.pipe.SetReadDeadline(time.Unix(1, 0))
	o.done.Wait()
	o.pipe.Close()
	o.seg.Close()
	o.index.Close() // nil is fine
}

// take moves what the pipe holds.
func (o *output) take(pipe int) {
	for {
		o.mark()
		n, lost, err := move(pipe, int(o.seg.Fd()), chunk)
		o.lost += int64(lost)
		switch {
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EAGAIN):
			return
		case err != nil:
			o.size += int64(n)
			if !o.drop(pipe, err) {
				return
			}
		case n == 0:
			return
		default:
			o.size += int64(n)
			o.recovered()
			o.rotate()
		}
	}
}

// mark notes the time at which the next bytes arrive.
func (o *output) mark() {
	now := time.Now()
	if o.index == nil || now.Sub(o.stamp) < 5*time.Millisecond && o.size > 0 {
		return
	}
	o.stamp = now
	record := binary.BigEndian.AppendUint64(nil, uint64(o.base+o.size))
	record = binary.BigEndian.AppendUint64(record, uint64(now.UnixNano()))
	_, _ = o.index.Write(record) // a time less is no harm
}

// drop throws away what can not be written: a full disk must not stop the
// process, which waits when the pipe is full.
func (o *output) drop(pipe int, cause error) bool {
	if o.cause == nil {
		o.log.Error("write output", "err", cause)
	}
	o.cause = cause
	buf := make([]byte, 64<<10)
	n, err := syscall.Read(pipe, buf)
	if err != nil || n == 0 {
		return errors.Is(err, syscall.EINTR)
	}
	o.lost += int64(n)
	return true
}

// recovered says what was lost, where it was lost, once writing works again.
func (o *output) recovered() {
	if o.lost == 0 {
		return
	}
	note := fmt.Sprintf("\nnoon: %d bytes of output were lost: %v\n", o.lost, o.cause)
	n, err := o.seg.WriteString(note)
	o.size += int64(n)
	if err == nil {
		o.lost, o.cause = 0, nil
	}
}

// rotate begins a new segment, at the end of a line where that is possible.
func (o *output) rotate() {
	if o.size < segmentSize {
		return
	}
	last := make([]byte, 1)
	if _, err := o.seg.ReadAt(last, o.size-1); err == nil && last[0] != '\n' && o.size < segmentSize+chunk {
		return
	}
	seg, index := o.seg, o.index
	if err := o.open(o.base + o.size); err != nil {
		o.log.Error("begin segment of output", "err", err)
		return
	}
	seg.Close()
	index.Close()
	segments, err := segmentsIn(o.dir)
	if err != nil {
		return
	}
	for len(segments) > segmentsKept {
		_ = os.Remove(segmentPath(o.dir, segments[0], logSuffix))
		_ = os.Remove(segmentPath(o.dir, segments[0], indexSuffix))
		segments = segments[1:]
	}
}

// note adds a line of noon's own before the process is started.
func (o *output) note(line string) {
	if _, err := o.pipe.WriteString(line + "\n"); err != nil {
		o.log.Warn("note in output", "err", err)
	}
}
