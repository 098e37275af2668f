package host

import (
	"cmp"
	"slices"

	"github.com/noon-deploy/noon"
)

// target is the shares that are asked for.
func target(d noon.Desired) []noon.Share {
	var shares []noon.Share
	for _, r := range d.Revisions {
		if r.Share > 0 {
			shares = append(shares, noon.Share{Revision: r.Revision, Points: r.Share})
		}
	}
	return shares
}

// settleShares gives the shares to route by, and whether they are those that
// are wanted. A revision that can not serve gets no share while another one
// holds the users: they stay where they are until it can.
func settleShares(want, have []noon.Share, serves func(noon.Revision) bool) ([]noon.Share, bool) {
	able := func(shares []noon.Share) []noon.Share {
		return slices.DeleteFunc(slices.Clone(shares), func(s noon.Share) bool { return !serves(s.Revision) })
	}
	if len(able(want)) == len(want) {
		return want, true
	}
	if left := able(have); len(left) > 0 {
		return whole(left), false
	}
	if left := able(want); len(left) > 0 {
		return whole(left), false
	}
	return have, false // nobody serves: whoever comes back first goes on
}

// whole scales shares up so that they sum to noon.PointsWhole.
func whole(shares []noon.Share) []noon.Share {
	sum := 0
	for _, s := range shares {
		sum += s.Points
	}
	left := noon.PointsWhole
	scaled := slices.Clone(shares)
	for i := range scaled {
		scaled[i].Points = max(1, shares[i].Points*noon.PointsWhole/sum)
		left -= scaled[i].Points
	}
	most := slices.MaxFunc(scaled, func(a, b noon.Share) int { return cmp.Compare(a.Points, b.Points) })
	for i := range scaled {
		if scaled[i] == most {
			scaled[i].Points += left // what rounding left over
			break
		}
	}
	return scaled
}
