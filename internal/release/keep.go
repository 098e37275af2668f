package release

import (
	"slices"

	"github.com/noon-deploy/noon"
)

// Keep returns the numbers, ascending, of the releases of one app that must
// not be pruned: the last ones by number, and of the others those in used
// (live, warm, or what a rollback goes back to).
func Keep(releases []noon.Release, used []int, last int) []int {
	numbers := make([]int, 0, len(releases))
	for _, r := range releases {
		numbers = append(numbers, r.Number)
	}
	slices.Sort(numbers)
	numbers = slices.Compact(numbers)
	newest := numbers[max(0, len(numbers)-max(0, last)):]
	return slices.DeleteFunc(slices.Clone(numbers), func(n int) bool {
		return !slices.Contains(newest, n) && !slices.Contains(used, n)
	})
}
