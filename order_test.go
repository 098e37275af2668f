package noon_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/noon-deploy/noon"
)

func fences() *rapid.Generator[noon.Fence] {
	return rapid.Custom(func(t *rapid.T) noon.Fence {
		return noon.Fence{Epoch: rapid.Int64Range(0, 3).Draw(t, "epoch"), Generation: rapid.Int64Range(0, 3).Draw(t, "generation")}
	})
}

// checkOrder holds a comparison against the laws of a total order.
func checkOrder[T comparable](t *rapid.T, a, b, c T, compare func(a, b T) int) {
	if (compare(a, b) == 0) != (a == b) {
		t.Fatalf("%v and %v compare as %d", a, b, compare(a, b))
	}
	if compare(a, b) != -compare(b, a) {
		t.Fatalf("%v, %v: %d one way, %d the other", a, b, compare(a, b), compare(b, a))
	}
	if compare(a, b) <= 0 && compare(b, c) <= 0 && compare(a, c) > 0 {
		t.Fatalf("%v ≤ %v ≤ %v, but not the first and the last", a, b, c)
	}
}

func TestFenceIsATotalOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		checkOrder(t, fences().Draw(t, "a"), fences().Draw(t, "b"), fences().Draw(t, "c"), noon.Fence.Compare)
	})
}

// A newer controller wins over any number of snapshots of an older one.
func TestFenceEpochComesFirst(t *testing.T) {
	t.Parallel()
	older, newer := noon.Fence{Epoch: 3, Generation: 17}, noon.Fence{Epoch: 4, Generation: 1}
	if older.Compare(newer) >= 0 || newer.Compare(noon.Fence{Epoch: 4, Generation: 2}) >= 0 {
		t.Error("order is by epoch, then by generation")
	}
	if older.String() != "3.17" {
		t.Errorf("String = %s", older)
	}
}

func TestRoutingIsATotalOrder(t *testing.T) {
	t.Parallel()
	type key struct {
		Fence    noon.Fence
		Sequence int64
	}
	keys := rapid.Custom(func(t *rapid.T) key {
		return key{fences().Draw(t, "fence"), rapid.Int64Range(0, 3).Draw(t, "sequence")}
	})
	rapid.Check(t, func(t *rapid.T) {
		checkOrder(t, keys.Draw(t, "a"), keys.Draw(t, "b"), keys.Draw(t, "c"), func(a, b key) int {
			return noon.Routing{Fence: a.Fence, Sequence: a.Sequence}.Compare(b.Fence, b.Sequence)
		})
	})
	old := noon.Routing{Fence: noon.Fence{Epoch: 1, Generation: 1}, Sequence: 900}
	if old.Compare(noon.Fence{Epoch: 1, Generation: 2}, 1) >= 0 {
		t.Error("a newer generation wins over any sequence of an older one")
	}
}
