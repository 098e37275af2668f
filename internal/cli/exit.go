package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/manifest"
	"github.com/noon-deploy/noon/internal/tui"
)

// Exit codes that do not follow from the kind of an error.
const (
	exitFailed      = 1
	exitConsent     = 6
	exitInterrupted = 130
)

// exit is one row of the table of exit codes.
type exit struct {
	code    int
	kinds   []noon.ErrorKind
	meaning string
}

// exits is the one table that exit codes, their help and the reference come
// from.
func exits() []exit {
	return []exit{
		{0, nil, "it worked"},
		{exitFailed, []noon.ErrorKind{noon.Failure}, "it was tried and did not work; a deployment went back, a check of `noon doctor` failed"},
		{2, []noon.ErrorKind{noon.Invalid}, "what was asked for is wrong: a flag, an argument, noon.yaml, missing configuration; nothing was changed"},
		{3, []noon.ErrorKind{noon.NotFound}, "it does not exist"},
		{4, []noon.ErrorKind{noon.Conflict, noon.Stale}, "something else is in the way or has taken over; a deployment was superseded or cancelled"},
		{5, []noon.ErrorKind{noon.Unavailable}, "the controller or another part of noon can not be reached"},
		{exitConsent, nil, "consent was not given, or could not be asked for without a terminal (see --yes)"},
		{7, []noon.ErrorKind{noon.Internal}, "a bug in noon or a broken machine"},
		{exitInterrupted, nil, "interrupted; a deployment that was being watched goes on"},
	}
}

// coded is an error whose exit code does not follow from its kind.
type coded struct {
	err  error
	code int
}

func (c coded) Error() string { return c.err.Error() }
func (c coded) Unwrap() error { return c.err }

// errQuiet is an error that has been shown already.
var errQuiet = errors.New("shown already")

func exitCode(ctx context.Context, err error) int {
	if c, ok := errors.AsType[coded](err); ok {
		return c.code
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return exitInterrupted
	}
	kind := noon.KindOf(err)
	for _, e := range exits() {
		if slices.Contains(e.kinds, kind) {
			return e.code
		}
	}
	return exitFailed
}

// fail shows an error on stderr and returns the exit code.
func (f *face) fail(ctx context.Context, err error) int {
	code := exitCode(ctx, err)
	switch {
	case errors.Is(err, errQuiet):
	case f.wantsJSON():
		f.failJSON(err, code)
	case code == exitInterrupted && errors.Is(err, context.Canceled):
		fmt.Fprintln(f.Stderr, "noon: interrupted")
	default:
		fmt.Fprint(f.Stderr, errorText(err))
	}
	return code
}

// errorText writes an error for people: every mistake of a manifest, or one
// line and a hint.
func errorText(err error) string {
	if mistakes, ok := errors.AsType[*manifest.Error](err); ok {
		return mistakes.Error() + "\n"
	}
	text := "noon: " + tui.CleanLines(err.Error()) + "\n"
	if hint := noon.HintOf(err); hint != "" {
		text += "  hint: " + tui.CleanLines(hint) + "\n"
	}
	return text
}

func (f *face) failJSON(err error, code int) {
	out := struct {
		Error    *noon.Error         `json:"error"`
		Exit     int                 `json:"exit"`
		Mistakes []*manifest.Mistake `json:"mistakes,omitempty"`
	}{Error: jsonError(err), Exit: code}
	if mistakes, ok := errors.AsType[*manifest.Error](err); ok {
		out.Mistakes = mistakes.Mistakes
	}
	enc := json.NewEncoder(f.Stderr)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(out); err != nil {
		fmt.Fprint(f.Stderr, errorText(err))
	}
}

// jsonError keeps the fields of the outermost noon.Error, whatever was wrapped
// around it here.
func jsonError(err error) *noon.Error {
	var mistakes *manifest.Error
	var c coded
	var e *noon.Error
	switch {
	case errors.As(err, &mistakes) && errors.As(err, &e):
		return e
	case errors.As(err, &c):
		return noon.AsError(c.err)
	}
	return noon.AsError(err)
}

// usage is an error about how a command was called.
func usage(command string, err error) error {
	return &noon.Error{
		Kind: noon.Invalid, Op: spoken(command), Err: errors.New(strings.TrimSpace(firstLine(err.Error()))),
		Hint: fmt.Sprintf("`%s --help` tells how it is used.", command),
	}
}

// spoken is the path of a command without the name that errors begin with
// anyway.
func spoken(path string) string {
	_, rest, _ := strings.Cut(path, " ")
	return rest
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
