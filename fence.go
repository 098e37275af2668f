package noon

import (
	"cmp"
	"fmt"
)

// Fence orders what controllers say about one site. Epoch grows with every
// controller that takes the site, Generation with every snapshot. A receiver
// keeps the highest it has accepted and refuses anything older, so that a
// controller that was paused or replaced can no longer change anything.
type Fence struct {
	Epoch      int64 `json:"epoch"`
	Generation int64 `json:"generation"`
}

// Compare orders fences: by epoch, then by generation.
func (f Fence) Compare(g Fence) int {
	return cmp.Or(cmp.Compare(f.Epoch, g.Epoch), cmp.Compare(f.Generation, g.Generation))
}

// String gives "3.17".
func (f Fence) String() string { return fmt.Sprintf("%d.%d", f.Epoch, f.Generation) }
