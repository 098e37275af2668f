package tui

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// IsTerminal reports whether a reader or writer is a terminal.
func IsTerminal(v any) bool {
	f, ok := v.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Width returns the columns of the terminal behind a writer, 0 if it is none.
func Width(v any) int {
	f, ok := v.(*os.File)
	if !ok {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return width
}

// Confirm asks a question that is answered with yes or no; no is the default,
// and what an end of input means.
func Confirm(ctx context.Context, in io.Reader, out io.Writer, question string) (bool, error) {
	fmt.Fprintf(out, "%s [y/N] ", question)
	line, err := answer(ctx, func() (string, error) { return bufio.NewReader(in).ReadString('\n') })
	if err != nil {
		fmt.Fprintln(out)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return true, nil
	}
	return false, nil
}

// Secret asks for a value on the terminal without showing it.
func Secret(ctx context.Context, in *os.File, out io.Writer, question string) (string, error) {
	state, err := term.GetState(int(in.Fd()))
	if err != nil {
		return "", fmt.Errorf("read terminal: %w", err)
	}
	fmt.Fprintf(out, "%s: ", question)
	value, err := answer(ctx, func() (string, error) {
		data, err := term.ReadPassword(int(in.Fd()))
		return string(data), err
	})
	fmt.Fprintln(out)
	if err != nil {
		// An interrupted read has left the terminal without echo.
		return "", errors.Join(err, term.Restore(int(in.Fd()), state))
	}
	return value, nil
}

// answer reads until ctx ends. A read of a terminal can not be cancelled: one
// that is given up ends with the process, which is about to end.
func answer(ctx context.Context, read func() (string, error)) (string, error) {
	type result struct {
		text string
		err  error
	}
	got := make(chan result, 1)
	go func() {
		text, err := read()
		got <- result{text, err}
	}()
	select {
	case r := <-got:
		return r.text, r.err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}
