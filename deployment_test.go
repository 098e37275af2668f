package noon_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/noon-deploy/noon"
)

// Every pair: a row is where a deployment is, an x what it may become. The
// columns are in the order of the rows.
const legalMoves = `
             queued walking held paused returning warm succeeded returned reverted superseded cancelled
queued       .      x       .    .      .         .    .         .        .        x          x
walking      .      .       x    x      x         x    x         .        .        .          .
held         .      x       .    .      x         .    .         .        .        .          .
paused       .      x       .    .      x         .    .         .        .        .          .
returning    .      .       .    .      .         .    .         x        .        .          .
warm         .      .       .    .      .         .    x         .        x        .          .
succeeded    .      .       .    .      .         .    .         .        x        .          .
returned     .      .       .    .      .         .    .         .        .        .          .
reverted     .      .       .    .      .         .    .         .        .        .          .
superseded   .      .       .    .      .         .    .         .        .        .          .
cancelled    .      .       .    .      .         .    .         .        .        .          .
`

func TestMoves(t *testing.T) {
	t.Parallel()
	lines := strings.Split(strings.TrimSpace(legalMoves), "\n")
	columns := strings.Fields(lines[0])
	if len(columns) != len(noon.Statuses()) || len(lines) != len(columns)+1 {
		t.Fatalf("the table has %d columns and %d rows for %d statuses", len(columns), len(lines)-1, len(noon.Statuses()))
	}
	for _, line := range lines[1:] {
		cells := strings.Fields(line)
		from := noon.Status(cells[0])
		for i, cell := range cells[1:] {
			to := noon.Status(columns[i])
			t.Run(fmt.Sprintf("%s to %s", from, to), func(t *testing.T) {
				checkMove(t, from, to, cell == "x")
			})
		}
	}
}

func checkMove(t *testing.T, from, to noon.Status, legal bool) {
	t.Helper()
	if got := noon.CanMove(from, to); got != legal {
		t.Fatalf("CanMove = %v, want %v", got, legal)
	}
	d := noon.Deployment{ID: 7, Status: from}
	defer func() {
		message := fmt.Sprint(recover())
		switch {
		case legal && d.Status != to:
			t.Errorf("status = %s after the move (%s)", d.Status, message)
		case !legal && d.Status != from:
			t.Errorf("status = %s after a move that is refused", d.Status)
		case !legal && !strings.Contains(message, fmt.Sprintf("illegal move of deployment 7: %s to %s", from, to)):
			t.Errorf("panic = %q, want one that names the deployment and the move", message)
		}
	}()
	d.Move(to)
}

func TestEveryStatusIsReached(t *testing.T) {
	t.Parallel()
	reached := []noon.Status{noon.Queued}
	for i := 0; i < len(reached); i++ {
		for _, to := range noon.Statuses() {
			if noon.CanMove(reached[i], to) && !slices.Contains(reached, to) {
				reached = append(reached, to)
			}
		}
	}
	for _, s := range noon.Statuses() {
		if !slices.Contains(reached, s) {
			t.Errorf("no way leads from queued to %s", s)
		}
	}
}

// What has ended stays ended, but a success can be left by a later rollback,
// and from every status an end can be reached.
func TestEnds(t *testing.T) {
	t.Parallel()
	var out []string
	for _, from := range noon.Statuses() {
		for _, to := range noon.Statuses() {
			if from.Ended() && noon.CanMove(from, to) {
				out = append(out, fmt.Sprintf("%s → %s", from, to))
			}
		}
	}
	if d := cmp.Diff([]string{"warm → succeeded", "warm → reverted", "succeeded → reverted"}, out); d != "" {
		t.Errorf("ways out of what has ended (-want +got):\n%s", d)
	}
	for _, from := range noon.Statuses() {
		if !from.Ended() && !slices.ContainsFunc(noon.Statuses(), func(to noon.Status) bool { return noon.CanMove(from, to) }) {
			t.Errorf("%s has not ended and has no way out", from)
		}
	}
}

func TestEndedAndGood(t *testing.T) {
	t.Parallel()
	var ended, good []noon.Status
	for _, s := range noon.Statuses() {
		if s.Ended() {
			ended = append(ended, s)
		}
		if s.Good() {
			good = append(good, s)
		}
	}
	if d := cmp.Diff([]noon.Status{noon.Warm, noon.Succeeded, noon.Returned, noon.Reverted, noon.Superseded, noon.Cancelled}, ended); d != "" {
		t.Errorf("ended (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]noon.Status{noon.Warm, noon.Succeeded}, good); d != "" {
		t.Errorf("good (-want +got):\n%s", d)
	}
}

// A walk along legal moves is never stuck before an end, and once it is over
// it is over: no status but warm and succeeded is left again.
func TestWalksOfMovesEnd(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := noon.Deployment{ID: 1, Status: noon.Queued}
		for range 50 {
			var next []noon.Status
			for _, to := range noon.Statuses() {
				if noon.CanMove(d.Status, to) {
					next = append(next, to)
				}
			}
			if len(next) == 0 {
				break
			}
			before := d.Status
			d.Move(rapid.SampledFrom(next).Draw(t, "to"))
			if before.Ended() && (!before.Good() || !d.Status.Ended()) {
				t.Fatalf("%s was left for %s", before, d.Status)
			}
		}
		if d.Name() != "d1" {
			t.Fatalf("name = %s", d.Name())
		}
	})
}

// declared reads the constants of a type from the source, so that a list of
// them that was forgotten is found.
func declared(t *testing.T, file, typ string) []string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if id, ok := spec.Type.(*ast.Ident); ok && id.Name == typ {
			value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			values = append(values, value)
		}
		return true
	})
	return values
}

func texts[S ~string](all []S) []string {
	var out []string
	for _, s := range all {
		out = append(out, string(s))
	}
	return out
}

func TestListsAreComplete(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		file, typ string
		listed    []string
	}{
		{"deployment.go", "Status", texts(noon.Statuses())},
		{"state.go", "StateKind", texts(noon.StateKinds())},
		{"app.go", "HookMoment", texts(noon.HookMoments())},
		{"app.go", "Coexistence", texts(noon.Coexistences())},
	} {
		want := declared(t, c.file, c.typ)
		slices.Sort(want)
		got := slices.Sorted(slices.Values(c.listed))
		if d := cmp.Diff(want, got); d != "" || len(got) == 0 {
			t.Errorf("%s (-declared +listed):\n%s", c.typ, d)
		}
	}
}
