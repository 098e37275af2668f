package process

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/noon-deploy/noon/internal/host"
)

// maxLine is where a line without end is cut.
const maxLine = 64 << 10

// followEvery is how often a followed output is looked at.
const followEvery = 50 * time.Millisecond

// Output implements host.Remains.
func (r *Runner) Output(ctx context.Context, id string, from host.From, follow bool, emit func(host.Line) error) error {
	d, err := r.there(id)
	if err != nil {
		return err
	}
	rd := &reader{dir: d.path(outputDir), at: from.Offset}
	if from.Offset == 0 && from.Lines >= 0 {
		if rd.at, err = rd.before(from.Lines); err != nil {
			return err
		}
	}
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		ended := d.has(exitFile) || !d.has(aboutFile) // looked at before reading: then nothing comes behind
		if err := rd.emit(ended || !follow, emit); err != nil {
			return err
		}
		if ended || !follow {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// reader reads the segments as the one stream they are.
type reader struct {
	dir   string
	at    int64 // offset of the next line
	times times
}

// segment is a part of the stream that is there.
type segment struct{ base, size int64 }

func (rd *reader) segments() ([]segment, error) {
	bases, err := segmentsIn(rd.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []segment
	for _, base := range bases {
		info, err := os.Stat(segmentPath(rd.dir, base, logSuffix))
		if errors.Is(err, fs.ErrNotExist) {
			continue // rotated away just now
		}
		if err != nil {
			return nil, err
		}
		list = append(list, segment{base, info.Size()})
	}
	return list, nil
}

// before gives the offset at which the last n lines begin.
func (rd *reader) before(n int) (int64, error) {
	segments, err := rd.segments()
	if err != nil || len(segments) == 0 {
		return 0, err
	}
	for i, s := range slices.Backward(segments) {
		f, err := os.Open(segmentPath(rd.dir, s.base, logSuffix))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, err
		}
		at, left, err := linesBack(f, s.size, n, i == len(segments)-1)
		f.Close()
		if err != nil {
			return 0, err
		}
		if left <= 0 {
			return s.base + at, nil
		}
		n = left
	}
	return segments[0].base, nil
}

// linesBack looks for the beginning of the n-th last line; left is how many
// lines are to be looked for further back.
func linesBack(f io.ReaderAt, size int64, n int, last bool) (int64, int, error) {
	if n == 0 && last {
		return size, 0, nil
	}
	buf := make([]byte, 64<<10)
	end := size
	if last && end > 0 { // the newline that ends the last line begins none
		one := buf[:1]
		if _, err := f.ReadAt(one, end-1); err != nil {
			return 0, 0, err
		}
		if one[0] == '\n' {
			end--
		}
	}
	for end > 0 {
		start := max(0, end-int64(len(buf)))
		part := buf[:end-start]
		if _, err := f.ReadAt(part, start); err != nil {
			return 0, 0, err
		}
		for {
			i := bytes.LastIndexByte(part, '\n')
			if i < 0 {
				break
			}
			if n--; n <= 0 {
				return start + int64(i) + 1, 0, nil
			}
			part = part[:i]
		}
		end = start
	}
	return 0, n, nil
}

// emit gives the whole lines from at on, and what is behind the last one if
// nothing more comes.
func (rd *reader) emit(rest bool, emit func(host.Line) error) error {
	segments, err := rd.segments()
	if err != nil {
		return err
	}
	if len(segments) > 0 && rd.at < segments[0].base {
		rd.at = segments[0].base // rotated away
	}
	var line []byte
	begin := rd.at
	for _, s := range segments {
		if s.base+s.size <= begin+int64(len(line)) {
			continue
		}
		line, err = rd.scan(s, line, emit)
		if err != nil {
			return err
		}
		begin = rd.at
	}
	if rest && len(line) > 0 {
		return rd.give(line, int64(len(line)), emit)
	}
	return nil
}

// scan gives the lines of one segment; head is the beginning of a line from
// the segment before, and what it returns is one for the next.
func (rd *reader) scan(s segment, head []byte, emit func(host.Line) error) ([]byte, error) {
	f, err := os.Open(segmentPath(rd.dir, s.base, logSuffix))
	if errors.Is(err, fs.ErrNotExist) {
		return head, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	rd.times = loadTimes(rd.dir, s.base)
	in := io.NewSectionReader(f, 0, s.size)
	if _, err := in.Seek(max(0, rd.at+int64(len(head))-s.base), io.SeekStart); err != nil {
		return nil, err
	}
	buf := make([]byte, 64<<10)
	line := head
	for {
		n, err := in.Read(buf)
		var stopped error
		if line, stopped = rd.split(line, buf[:n], emit); stopped != nil {
			return nil, stopped
		}
		if err == io.EOF {
			return line, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// split gives the lines that end in part and returns the beginning of the
// next.
func (rd *reader) split(line, part []byte, emit func(host.Line) error) ([]byte, error) {
	for len(part) > 0 {
		end := bytes.IndexByte(part, '\n')
		if end < 0 && len(line)+len(part) < maxLine {
			return append(line, part...), nil
		}
		take, newline := end, int64(1)
		if end < 0 || len(line)+end > maxLine {
			take, newline = maxLine-len(line), 0
		}
		line = append(line, part[:take]...)
		if err := rd.give(line, int64(len(line))+newline, emit); err != nil {
			return nil, err
		}
		line, part = line[:0], part[take+int(newline):]
	}
	return line, nil
}

func (rd *reader) give(line []byte, length int64, emit func(host.Line) error) error {
	at := rd.times.of(rd.at)
	rd.at += length
	return emit(host.Line{At: at, Text: string(bytes.ToValidUTF8(bytes.TrimSuffix(line, []byte("\r")), []byte("\uFFFD"))), Next: rd.at})
}

// times finds when a part of a segment arrived.
type times []arrival

type arrival struct {
	offset int64
	at     time.Time
}

// of gives the time of the last record at or before offset, the first if
// there is none.
func (t times) of(offset int64) time.Time {
	i, _ := slices.BinarySearchFunc(t, offset+1, func(a arrival, o int64) int { return cmp.Compare(a.offset, o) })
	if len(t) == 0 {
		return time.Time{}
	}
	return t[max(0, i-1)].at
}

// loadTimes reads the index of a segment. A record is written before what it
// is of, so that an index read after the size of its segment is complete.
func loadTimes(dir string, base int64) times {
	data, err := os.ReadFile(segmentPath(dir, base, indexSuffix))
	if err != nil {
		return nil // lines without a time are better than none
	}
	var t times
	for len(data) >= 16 {
		t = append(t, arrival{int64(binary.BigEndian.Uint64(data)), time.Unix(0, int64(binary.BigEndian.Uint64(data[8:]))).UTC()})
		data = data[16:]
	}
	return t
}
