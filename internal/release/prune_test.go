package release_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/release"
)

func TestPrune(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "releases")
	s := openAt(t, dir)
	r := shop(t)
	r.write("big/blob", strings.Repeat("x", 2<<20)).commit("Large")
	var digests []string
	for i := range 3 {
		r.write("n", fmt.Sprint(i)).commit("Next")
		digests = append(digests, build(t, s, r.recipe()).Digest)
	}
	if _, _, err := s.Prune(t.Context(), []string{"r1"}); noon.KindOf(err) != noon.Invalid {
		t.Errorf("a slip of the caller: %v", err)
	}
	removed, freed, err := s.Prune(t.Context(), digests)
	if err != nil || len(removed) != 0 || freed != 0 {
		t.Errorf("keep all: %v, %d, %v", removed, freed, err)
	}
	removed, freed, err = s.Prune(t.Context(), digests[1:2])
	if err != nil || !slices.Equal(removed, []string{digests[0], digests[2]}) || freed < 5000 || freed > 100_000 {
		t.Errorf("keep one: %v, %d, %v", removed, freed, err)
	}
	wantClean(t, dir, s)
	if left, _ := s.Digests(t.Context()); !slices.Equal(left, digests[1:2]) {
		t.Errorf("left are %v", left)
	}
	removed, freed, err = s.Prune(t.Context(), nil)
	if err != nil || len(removed) != 1 || freed < 2<<20 {
		t.Errorf("keep none: %v, %d, %v", removed, freed, err)
	}
	wantClean(t, dir, s)
}

// TestPruneWhileOthersWork prunes everything again and again while others
// import and unpack: whoever has begun either finishes or finds nothing.
func TestPruneWhileOthersWork(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "releases")
	origin := open(t)
	c := build(t, origin, shop(t).recipe())
	archive := export(t, origin, c.Digest)
	ctx, cancel := context.WithCancel(t.Context())
	var pruning sync.WaitGroup
	pruning.Go(func() {
		s := openAt(t, dir) //nolint:contextcheck // Open takes none
		for ctx.Err() == nil {
			if _, _, err := s.Prune(context.WithoutCancel(ctx), nil); err != nil {
				t.Error(err)
			}
		}
	})
	var working sync.WaitGroup
	for range 3 {
		place := filepath.Join(t.TempDir(), "r")
		working.Go(func() {
			s := openAt(t, dir)
			for range 4 {
				if _, err := s.Import(t.Context(), strings.NewReader(archive)); err != nil {
					t.Error(err)
				}
				err := s.Unpack(t.Context(), c.Digest, place)
				if noon.KindOf(err) == noon.NotFound && err != nil {
					continue
				}
				if err := errors.Join(err, s.Verify(t.Context(), c.Digest, place), release.RemoveTree(place)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	working.Wait()
	cancel()
	pruning.Wait()
	s := openAt(t, dir)
	if _, _, err := s.Prune(t.Context(), nil); err != nil {
		t.Error(err)
	}
	wantClean(t, dir, s)
}

// TestPruneLeavesARunningWriter prunes, and opens the store, while an import
// has stored half of its blobs.
func TestPruneLeavesARunningWriter(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "releases")
	origin := open(t)
	c := build(t, origin, shop(t).recipe())
	archive := export(t, origin, c.Digest)
	s := openAt(t, dir)
	r, w := io.Pipe()
	done := make(chan error)
	go func() {
		_, err := s.Import(t.Context(), r)
		done <- err
	}()
	half := len(archive) / 2
	if _, err := io.WriteString(w, archive[:half]); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Prune(t.Context(), nil); err != nil {
		t.Error(err)
	}
	openAt(t, dir)
	if _, err := io.WriteString(w, archive[half:]); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Close(), <-done); err != nil {
		t.Fatal(err)
	}
	wantClean(t, dir, s)
	if digests, _ := s.Digests(t.Context()); !slices.Equal(digests, []string{c.Digest}) {
		t.Errorf("digests are %v", digests)
	}
}

func TestKeep(t *testing.T) {
	t.Parallel()
	numbered := func(numbers ...int) (list []noon.Release) {
		for _, n := range numbers {
			list = append(list, noon.Release{Number: n})
		}
		return list
	}
	for _, c := range []struct {
		releases []noon.Release
		used     []int
		last     int
		want     []int
	}{
		{numbered(1, 2, 3, 4, 5), nil, 2, []int{4, 5}},
		{numbered(5, 3, 1, 4, 2), []int{1, 3}, 2, []int{1, 3, 4, 5}},
		{numbered(1, 2, 3), []int{3}, 1, []int{3}},
		{numbered(1, 2, 3), nil, 9, []int{1, 2, 3}},
		{numbered(1, 2, 3), []int{2, 7}, 0, []int{2}},
		{numbered(1, 2, 3), nil, -1, []int{}},
		{nil, []int{1}, 3, []int{}},
	} {
		if got := release.Keep(c.releases, c.used, c.last); !slices.Equal(got, c.want) {
			t.Errorf("Keep(%v, %v, %d) is %v, want %v", c.releases, c.used, c.last, got, c.want)
		}
	}
	rapid.Check(t, func(r *rapid.T) {
		numbers := rapid.SliceOfDistinct(rapid.IntRange(1, 50), rapid.ID[int]).Draw(r, "numbers")
		used := rapid.SliceOf(rapid.IntRange(1, 50)).Draw(r, "used")
		last := rapid.IntRange(0, 10).Draw(r, "last")
		kept := release.Keep(numbered(numbers...), used, last)
		for _, n := range numbers {
			newer := len(slices.DeleteFunc(slices.Clone(numbers), func(m int) bool { return m <= n }))
			if want := newer < last || slices.Contains(used, n); want != slices.Contains(kept, n) {
				r.Fatalf("r%d: kept is %v", n, kept)
			}
		}
		if !slices.IsSorted(kept) || len(kept) > len(numbers) {
			r.Fatalf("kept is %v", kept)
		}
	})
}
