package rehearsal_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/rehearsal"
)

// childAddress makes this test binary a process that rehearses until it is
// killed.
const childAddress = "NOON_REHEARSAL_CHILD"

func child(ctx context.Context, address string) int {
	_, _, err := rehearsal.Run(ctx, rehearsal.Order{
		Address: address, Owner: os.Getenv(childAddress + "_OWNER"), Log: slog.New(slog.DiscardHandler),
		Steps: []rehearsal.Step{{Phase: noon.DataBoth, Run: func(ctx context.Context, _ rehearsal.Copy) error {
			fmt.Fprintln(os.Stdout, "in the middle") // read by who kills
			<-ctx.Done()
			return ctx.Err()
		}}},
	})
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// TestKilled: what a rehearsal that was killed has left is removed by the next
// one, and by that one only.
func TestKilled(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, kind)
			w.rows(10)
			w.files["0001_title.sql"] = "ALTER TABLE customers ADD COLUMN title varchar(20);"
			before := w.everything()
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), childAddress+"="+w.address, childAddress+"_OWNER="+w.order.Owner)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if _, err := out.Read(make([]byte, 1)); err != nil {
				t.Fatalf("it did not come to the middle: %v", err)
			}
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // by the signal
			if w.everything() == before {
				t.Error("the rehearsal that was killed has left nothing: this test shows nothing")
			}
			w.good()
			w.same(before)
		})
	}
}

// TestCancelled: nothing is left of one that somebody ended.
func TestCancelled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "postgres")
	w.rows(10)
	before := w.everything()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	w.order.Steps = []rehearsal.Step{{Phase: noon.DataBoth, Run: func(ctx context.Context, _ rehearsal.Copy) error {
		cancel()
		<-ctx.Done()
		return ctx.Err()
	}}}
	if _, _, err := w.rehearse(ctx); err == nil {
		t.Error("it ended well")
	}
	w.same(before)
}
