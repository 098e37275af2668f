package tui_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/noon-deploy/noon/internal/tui"
)

func TestConfirm(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]bool{"y\n": true, "YES\n": true, " y \n": true, "n\n": false, "\n": false, "": false, "yep\n": false, "y": true} {
		var out bytes.Buffer
		got, err := tui.Confirm(t.Context(), strings.NewReader(answer), &out, "Go on?")
		if err != nil || got != want {
			t.Errorf("answer %q: got %t, %v, want %t", answer, got, err, want)
		}
		if !strings.HasPrefix(out.String(), "Go on? [y/N] ") {
			t.Errorf("asked %q", out.String())
		}
	}
}

func TestConfirmInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	in, w := io.Pipe()
	t.Cleanup(func() { _ = w.Close() })
	if yes, err := tui.Confirm(ctx, in, io.Discard, "Go on?"); yes || !errors.Is(err, context.Canceled) {
		t.Errorf("got %t, %v", yes, err)
	}
}

func TestNoTerminal(t *testing.T) {
	t.Parallel()
	file, err := os.Create(t.TempDir() + "/file")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	if tui.IsTerminal(file) || tui.IsTerminal(&bytes.Buffer{}) || tui.IsTerminal(nil) {
		t.Error("a file, a buffer or nothing is taken for a terminal")
	}
	if w := tui.Width(file) + tui.Width(nil); w != 0 {
		t.Errorf("the width of no terminal is %d", w)
	}
	if _, err := tui.Secret(t.Context(), file, io.Discard, "Value"); err == nil {
		t.Error("a secret was asked for without a terminal")
	}
}
