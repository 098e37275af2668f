package host_test

import (
	"strings"
	"testing"

	"github.com/noon-deploy/noon"
)

func TestDeployAndReplace(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.apply(desired(1, revision(1, 2, noon.PointsWhole, web("serve"))))
	o := m.await("r1 routed", func(o noon.Observed) bool {
		return ready(1, 2)(o) && o.Routed == noon.Fence{Epoch: 1, Generation: 1} && o.Shares["r1.c1"] == noon.PointsWhole
	})
	for _, i := range o.Instances {
		body, err := get(t, "http://"+i.Address+"/")
		if err != nil || !strings.HasPrefix(body, i.ID+" ") {
			t.Errorf("instance %s answers %q, %v", i.ID, body, err)
		}
	}
	m.apply(desired(2, revision(1, 2, noon.PointsWhole, web("serve")), revision(2, 2, 0, web("serve"))))
	m.await("r2 staged", ready(2, 2))
	m.apply(desired(3, revision(1, 2, 0, web("serve")), revision(2, 2, noon.PointsWhole, web("serve"))))
	m.await("r2 switched", func(o noon.Observed) bool { return o.Routed.Generation == 3 && o.Shares["r2.c1"] == noon.PointsWhole })
	m.apply(desired(4, revision(2, 2, noon.PointsWhole, web("serve"))))
	m.await("r1 gone", gone(1))
	if n := len(m.router.drained); n != 2 {
		t.Errorf("%d endpoints were drained, want 2", n)
	}
}
