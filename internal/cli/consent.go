package cli

import (
	"context"
	"errors"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/tui"
)

// consent asks whether to go on. It is never guessed: without a terminal, or
// when a machine reads the answer, --yes has to give it.
func (f *face) consent(ctx context.Context, question string) error {
	if err := f.askable(question); err != nil || f.flags.yes {
		return err
	}
	yes, err := tui.Confirm(ctx, f.Stdin, f.Stderr, question)
	if err != nil {
		return err
	}
	if !yes {
		return coded{code: exitConsent, err: &noon.Error{
			Kind: noon.Invalid, Op: "ask", Subject: question, Err: errors.New("the answer was no"), Hint: "Nothing was changed.",
		}}
	}
	return nil
}

// askable is an error if consent is neither given nor can be asked for.
func (f *face) askable(question string) error {
	if f.flags.yes || !f.flags.json && tui.IsTerminal(f.Stdin) {
		return nil
	}
	return coded{code: exitConsent, err: &noon.Error{
		Kind: noon.Invalid, Op: "ask", Subject: question, Err: errors.New("there is no terminal to ask on"),
		Hint: "Give consent with --yes.",
	}}
}
