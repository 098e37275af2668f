package ledger_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/ledger"
)

// The layout of a log: https://sqlite.org/fileformat2.html#walformat
const (
	logHeader   = 32
	frameHeader = 24
	pageSize    = 4096
	frame       = frameHeader + pageSize
)

// logEnd returns how much of a log belongs to its present round: frames of the
// round before, which it overwrites, have other salts.
func logEnd(log []byte) int {
	end := logHeader
	for end+frame <= len(log) && bytes.Equal(log[end+8:end+16], log[16:24]) {
		end += frame
	}
	return end
}

// round is what one filling of the log looked like.
type round struct {
	db    []byte   // the file, which is not written while the log fills
	log   []byte   // as it was at the end
	older []byte   // what the log held before: a lost overwrite brings it back
	ends  []int    // log's length after each acknowledged write
	dumps []string // dumps[i] is the content after i writes of this round
}

func (r *round) note(t *testing.T, path string) {
	t.Helper()
	r.log = must(os.ReadFile(path + "-wal"))(t)
	r.ends = append(r.ends, logEnd(r.log))
	r.dumps = append(r.dumps, dump(t, path))
}

// write is one of each kind of write.
func write(t *testing.T, l *ledger.Ledger, n int, d *noon.Deployment, epoch *int64) {
	t.Helper()
	ctx := t.Context()
	var err error
	switch n % 8 {
	case 0:
		*epoch, err = l.Acquire(ctx, production(), "test")
	case 1:
		*d, err = l.Create(ctx, walking(production()))
	case 2, 3:
		d.At++
		err = l.Record(ctx, *d, *epoch, noon.Event{Kind: noon.Intent, Detail: fmt.Sprint(n)}, noon.Event{Kind: noon.Done, Detail: string(make([]byte, 3000))})
	case 4:
		_, err = l.SetConfig(ctx, production(), []ledger.Change{{Name: "N", Value: fmt.Sprint(n)}, {Name: "S", Value: fmt.Sprint(n), Secret: true}}, "ada")
	case 5:
		_, err = l.AddRelease(ctx, release(n), []byte("app: shop"))
	case 6:
		_, err = l.ClaimRun(ctx, production(), "nightly", noon2026().AddDate(0, 0, n))
	case 7:
		_, err = l.NextGeneration(ctx, production(), *epoch)
	}
	noErr(t, err)
}

// fillTwice fills the log, folds it into the file, and fills it again.
func fillTwice(t *testing.T) (first, second round, folded []byte) {
	t.Helper()
	path := newPath(t)
	l := open(t, path, fixedClock())
	var d noon.Deployment
	var epoch int64
	first.db = must(os.ReadFile(path))(t)
	first.note(t, path)
	for n := range 8 {
		write(t, l, n, &d, &epoch)
		first.note(t, path)
	}
	if now := must(os.ReadFile(path))(t); !bytes.Equal(now, first.db) {
		t.Fatal("the file was written while the log was filling: the test does not test what it says")
	}
	noErr(t, l.WriterExec(t.Context(), `PRAGMA wal_checkpoint(FULL)`))
	folded = must(os.ReadFile(path))(t)
	second.db, second.older = folded, first.log
	second.dumps = []string{first.dumps[len(first.dumps)-1]}
	for n := range 4 {
		write(t, l, n, &d, &epoch)
		second.note(t, path)
	}
	// Before the first write of the round the file alone holds everything.
	second.ends = append([]int{0}, second.ends...)
	if bytes.Equal(second.log[:logHeader], first.log[:logHeader]) {
		t.Fatal("the log did not begin a new round")
	}
	return first, second, folded
}

// recovered opens what was left on a disk and returns its content.
func recovered(t *testing.T, db, log []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ledger.db")
	noErr(t, os.WriteFile(path, db, 0o600))
	noErr(t, os.WriteFile(path+"-wal", log, 0o600))
	l, err := ledger.Open(t.Context(), path, testKey(), fixedClock())
	noErr(t, err)
	noErr(t, l.Close())
	content := dump(t, path)
	noErr(t, os.RemoveAll(filepath.Dir(path)))
	return content
}

// wantAcknowledged loses the power when cut bytes of the log have reached the
// disk: what is found must be exactly the writes that lie before the cut.
func (r *round) wantAcknowledged(t *testing.T, cut int, tail []byte, how string) {
	t.Helper()
	want := 0
	for i, end := range r.ends {
		if end <= cut {
			want = i
		}
	}
	if got := recovered(t, r.db, append(bytes.Clone(r.log[:cut]), tail...)); got != r.dumps[want] {
		for i, d := range r.dumps {
			if got == d {
				t.Fatalf("log cut at %d, %s: found %d writes, %d were acknowledged", cut, how, i, want)
			}
		}
		t.Fatalf("log cut at %d, %s: found what never was:\n%s", cut, how, got)
	}
}

// cuts are places in the log: every boundary of a frame, and in each frame a
// torn header and a torn page. whole tells them apart.
func (r *round) cuts(visit func(cut int, whole bool)) {
	visit(1, false)
	visit(logHeader-1, false)
	last := r.ends[len(r.ends)-1]
	for at := logHeader; at < last; at += frame {
		visit(at, true)
		visit(at+frameHeader/2, false)
		visit(at+frameHeader+pageSize/2, false)
	}
	visit(last-1, false)
	visit(last, true)
}

func TestPowerLossAnywhereInTheLog(t *testing.T) {
	t.Parallel()
	first, second, _ := fillTwice(t)
	garbage := make([]byte, frame)
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(garbage)
	first.cuts(func(cut int, whole bool) {
		if whole || cut%2 == 0 {
			first.wantAcknowledged(t, cut, nil, "nothing after it")
		}
		if whole || cut%2 == 1 {
			first.wantAcknowledged(t, cut, garbage[:1+cut%len(garbage)], "garbage after it")
		}
		if whole {
			first.wantAcknowledged(t, cut, make([]byte, frame), "zeroes after it")
		}
	})
	second.cuts(func(cut int, _ bool) {
		second.wantAcknowledged(t, cut, second.older[min(cut, len(second.older)):], "the round before after it")
	})
}

// TestPowerLossWhileFolding loses the power while the log is folded into the
// file: any pages of it may be old, new or torn, the log is still there.
func TestPowerLossWhileFolding(t *testing.T) {
	t.Parallel()
	first, _, folded := fillTwice(t)
	for seed := range uint64(16) {
		random := rand.New(rand.NewPCG(seed, 1))
		db := bytes.Clone(folded)
		for at := 0; at < len(folded); at += pageSize {
			old := make([]byte, pageSize)
			if at < len(first.db) {
				copy(old, first.db[at:])
			}
			switch random.IntN(3) {
			case 0:
				copy(db[at:at+pageSize], old)
			case 1:
				copy(db[at:at+512*random.IntN(8)], old)
			}
		}
		if got := recovered(t, db, first.log); got != first.dumps[len(first.dumps)-1] {
			t.Fatalf("seed %d: found\n%s", seed, got)
		}
	}
}

// TestFramesAreWhatTheTestThinks keeps the tests above honest: every write
// ends with a frame that the log marks as a commit.
func TestFramesAreWhatTheTestThinks(t *testing.T) {
	t.Parallel()
	first, second, _ := fillTwice(t)
	for _, r := range []round{first, second} {
		for i, end := range r.ends {
			if end == 0 {
				continue
			}
			if binary.BigEndian.Uint32(r.log[end-frame+4:]) == 0 {
				t.Errorf("write %d does not end with a commit", i)
			}
			if i > 0 && end <= r.ends[i-1] {
				t.Errorf("write %d added nothing to the log", i)
			}
		}
	}
}
