package noon_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/noon-deploy/noon"
)

func TestErrorText(t *testing.T) {
	t.Parallel()
	cause := errors.New("no space left on device")
	for want, e := range map[string]*noon.Error{
		"unpack release r42: no space left on device": {Op: "unpack release", Subject: "r42", Err: cause, Hint: "Make room."},
		"unpack release: no space left on device":     {Op: "unpack release", Err: cause},
		"r42: no space left on device":                {Subject: "r42", Err: cause},
		"no space left on device":                     {Kind: noon.Failure, Err: cause},
		"unpack release r42":                          {Op: "unpack release", Subject: "r42"},
		"":                                            {Hint: "A hint is not a part of the text."},
	} {
		if e.Error() != want {
			t.Errorf("text = %q, want %q", e.Error(), want)
		}
	}
}

func TestErrorUnwraps(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("deploy: %w", &noon.Error{Op: "read", Err: fs.ErrNotExist})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Error("the cause is not found")
	}
}

// Another process sees the same kind, text and hint.
func TestErrorSurvivesJSON(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		e := &noon.Error{
			Kind:    noon.ErrorKind(rapid.SampledFrom([]string{"", "invalid", "stale", "failed", "from a newer noon"}).Draw(t, "kind")),
			Op:      rapid.String().Draw(t, "op"),
			Subject: rapid.String().Draw(t, "subject"),
			Hint:    rapid.String().Draw(t, "hint"),
		}
		if cause := rapid.StringN(1, -1, -1).Draw(t, "cause"); rapid.Bool().Draw(t, "has a cause") {
			e.Err = errors.New(cause)
		}
		data, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		back := &noon.Error{Hint: "is overwritten", Err: errors.New("is overwritten")}
		if err := json.Unmarshal(data, back); err != nil {
			t.Fatal(err)
		}
		if back.Error() != e.Error() || noon.KindOf(back) != noon.KindOf(e) || back.Kind != e.Kind || back.Hint != e.Hint || (back.Err == nil) != (e.Err == nil) {
			t.Fatalf("%#v came back as %#v", e, back)
		}
	})
}

// Inside of other values it is null when there is none.
func TestErrorInAValue(t *testing.T) {
	t.Parallel()
	for _, d := range []noon.Deployment{{ID: 1}, {ID: 1, Error: &noon.Error{Kind: noon.Failure, Op: "check", Subject: "smoke home", Err: errors.New("500")}}} {
		data, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		var back noon.Deployment
		if err := json.Unmarshal(data, &back); err != nil {
			t.Fatal(err)
		}
		again, err := json.Marshal(back)
		if diff := cmp.Diff(string(data), string(again)); diff != "" || err != nil {
			t.Errorf("(-first +again): %s %v", diff, err)
		}
	}
}

func FuzzErrorJSON(f *testing.F) {
	for _, seed := range []string{`{}`, `null`, `{"kind":"stale","cause":"x"}`, `{"kind":7}`, `[]`, `"x"`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var e noon.Error
		if json.Unmarshal(data, &e) != nil {
			return
		}
		out, err := json.Marshal(&e)
		if err != nil {
			t.Fatal(err)
		}
		var back noon.Error
		if err := json.Unmarshal(out, &back); err != nil || back.Error() != e.Error() || back.Hint != e.Hint || back.Kind != e.Kind {
			t.Errorf("%s came back as %#v (%v)", out, back, err)
		}
	})
}

func TestKindAndHint(t *testing.T) {
	t.Parallel()
	inner := &noon.Error{Kind: noon.NotFound, Op: "find", Hint: "Look elsewhere."}
	for _, c := range []struct {
		name string
		err  error
		kind noon.ErrorKind
		hint string
	}{
		{"none", nil, noon.Internal, ""},
		{"a plain one", errors.New("x"), noon.Internal, ""},
		{"itself", inner, noon.NotFound, "Look elsewhere."},
		{"wrapped", fmt.Errorf("deploy: %w", inner), noon.NotFound, "Look elsewhere."},
		{"joined", errors.Join(errors.New("x"), inner), noon.NotFound, "Look elsewhere."},
		{"the outer kind, the first hint", &noon.Error{Kind: noon.Conflict, Err: fmt.Errorf("y: %w", inner)}, noon.Conflict, "Look elsewhere."},
		{"the outer hint", &noon.Error{Kind: noon.Conflict, Err: inner, Hint: "Wait."}, noon.Conflict, "Wait."},
		{"no kind", &noon.Error{Op: "x"}, noon.Internal, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if kind := noon.KindOf(c.err); kind != c.kind {
				t.Errorf("kind = %s, want %s", kind, c.kind)
			}
			if hint := noon.HintOf(c.err); hint != c.hint {
				t.Errorf("hint = %q, want %q", hint, c.hint)
			}
		})
	}
}

func TestAsError(t *testing.T) {
	t.Parallel()
	if noon.AsError(nil) != nil {
		t.Error("no error is none")
	}
	e := &noon.Error{Kind: noon.Stale, Op: "apply", Hint: "Nothing to do."}
	if noon.AsError(e) != e {
		t.Error("an Error is itself")
	}
	wrapped := fmt.Errorf("walk: %w", e)
	got := noon.AsError(wrapped)
	if got.Kind != noon.Stale || got.Error() != "walk: apply" || got.Hint != "Nothing to do." {
		t.Errorf("wrapped: %#v", got)
	}
	if plain := noon.AsError(errors.New("x")); plain.Kind != noon.Internal || plain.Error() != "x" {
		t.Errorf("plain: %#v", plain)
	}
}

func TestErrorKeepsTheHintOfItsCauseOnTheWire(t *testing.T) {
	t.Parallel()
	cause := &noon.Error{Kind: noon.Conflict, Op: "abort", Err: errors.New("it has ended"), Hint: "Roll back."}
	data, err := json.Marshal(&noon.Error{Kind: noon.Conflict, Op: "change", Err: fmt.Errorf("write: %w", cause)})
	if err != nil {
		t.Fatal(err)
	}
	var read noon.Error
	if err := json.Unmarshal(data, &read); err != nil || read.Hint != cause.Hint {
		t.Errorf("read %+v (%v) from %s, want the hint %q", read, err, data, cause.Hint)
	}
}

func TestEveryKindHasAStatus(t *testing.T) {
	t.Parallel()
	want := map[noon.ErrorKind]int{
		noon.Invalid: 400, noon.NotFound: 404, noon.Conflict: 409, noon.Stale: 409, noon.Failure: 422,
		noon.Unavailable: 503, noon.Internal: 500, "of a newer noon": 500,
	}
	for kind, status := range want {
		if got := kind.HTTPStatus(); got != status {
			t.Errorf("%s is %d, want %d", kind, got, status)
		}
	}
}
