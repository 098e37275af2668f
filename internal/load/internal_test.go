package load

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestLatencyIsCloseToTheTruth(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Uint64Range(0, math.MaxInt64).Draw(t, "n")
		upper := upperOf(bucketOf(n))
		if upper < time.Duration(n) || float64(upper) > float64(n)*1.07+1 {
			t.Fatalf("%d is in a bucket up to %d", n, upper)
		}
	})
	var h histogram
	for i := range 100 {
		h.add(time.Duration(i+1) * time.Millisecond)
	}
	got := h.latency()
	if got.Max != 100*time.Millisecond || got.P50 < 50*time.Millisecond || got.P50 > 55*time.Millisecond || got.P99 < 99*time.Millisecond {
		t.Errorf("%+v", got)
	}
	if empty := (&histogram{}).latency(); empty != (Latency{}) {
		t.Errorf("%+v", empty)
	}
}

func TestReadEvent(t *testing.T) {
	t.Parallel()
	in := bufio.NewReader(strings.NewReader(": a comment\n\nretry: 5\r\nid: 3\r\nevent:stock\ndata: a\ndata: b\n\nevent: bye\n"))
	got, err := readEvent(in)
	if diff := cmp.Diff(event{name: "stock", id: "3", data: "a\nb"}, got, cmp.AllowUnexported(event{})); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if _, err := readEvent(in); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("an event that was cut off: %v", err)
	}
}

func FuzzReadEvent(f *testing.F) {
	f.Add([]byte("id: 1\nevent: stock\ndata: {}\n\n"))
	f.Add([]byte(":\n\n\r\n\ndata\n\n"))
	f.Add(bytes.Repeat([]byte("data: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n"), 3000))
	f.Fuzz(func(t *testing.T, sent []byte) {
		in := bufio.NewReaderSize(bytes.NewReader(sent), maxEvent)
		for {
			e, err := readEvent(in)
			if err != nil {
				return
			}
			if len(e.data) > maxEvent || strings.ContainsAny(e.id+e.name, "\n") {
				t.Fatalf("%q", e)
			}
		}
	})
}
