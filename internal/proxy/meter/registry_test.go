package meter_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/proxy/meter"
)

func key(release int, route string) meter.Key {
	return meter.Key{Site: noon.Site{App: "shop", Environment: "production"}, Service: "web", Route: route, Revision: noon.Revision{Release: release, Config: 1}}
}

func TestSameKeySameSeries(t *testing.T) {
	t.Parallel()
	var r meter.Registry
	a := r.Series(key(1, "/"))
	if b := r.Series(key(1, "/")); a != b {
		t.Error("the same key has two series")
	}
	if b := r.Series(key(2, "/")); a == b {
		t.Error("two releases share a series")
	}
	if a.Key() != key(1, "/") {
		t.Errorf("the series has key %v", a.Key())
	}
}

func TestAFullRegistryCountsTheRestTogether(t *testing.T) {
	t.Parallel()
	r := meter.Registry{Most: 3}
	for i := range 10 {
		r.Series(key(i+1, "/")).Done(200, time.Millisecond, 0, 0)
	}
	list := r.Snapshots()
	if len(list) != 4 {
		t.Fatalf("%d series, want 3 and one for the rest", len(list))
	}
	rest := list[3]
	if rest.Key != (meter.Key{Route: meter.Other}) || rest.Requests() != 7 {
		t.Errorf("the rest is %d requests of %v", rest.Requests(), rest.Key)
	}
	if again := r.Series(key(1, "/")).Snapshot(); again.Requests() != 1 {
		t.Error("a series from before it was full is not found")
	}
}

func TestOnlyWhatNobodyRefersToIsForgotten(t *testing.T) {
	t.Parallel()
	r := meter.Registry{Most: 2}
	held := r.Series(key(1, "/held"))
	held.Done(200, time.Millisecond, 0, 0)
	r.Series(key(2, "/dropped")).Done(200, time.Millisecond, 0, 0)
	start := time.Unix(1_790_000_000, 0)
	names := func() (list []string) {
		for _, n := range r.Snapshots() {
			list = append(list, n.Key.Route)
		}
		return list
	}
	for at := time.Duration(0); at < time.Hour; at += 10 * time.Minute {
		r.Forget(start.Add(at))
		runtime.GC()
		if n := len(names()); n != 2 {
			t.Fatalf("after %v: %v", at, names())
		}
	}
	r.Forget(start.Add(time.Hour))
	runtime.GC()
	r.Forget(start.Add(time.Hour))
	if got := names(); len(got) != 1 || got[0] != "/held" {
		t.Fatalf("after an hour: %v", got)
	}
	held.Done(200, time.Millisecond, 0, 0)
	if n := r.Snapshots()[0]; n.Requests() != 2 {
		t.Errorf("a series that was idle for an hour tells %d of 2", n.Requests())
	}
	if again := r.Series(key(1, "/held")); again != held {
		t.Error("the series of a routing that is still held was made anew")
	}
	if fresh := r.Series(key(3, "/new")); fresh.Key().Route == meter.Other {
		t.Error("the room of what was forgotten is not used")
	}
	runtime.KeepAlive(held)
}

// A series that nobody refers to, but that counts again and again, stays.
func TestWhatIsAskedForStays(t *testing.T) {
	t.Parallel()
	var r meter.Registry
	start := time.Unix(1_790_000_000, 0)
	for i := range 10 {
		r.Series(key(1, "/")).Done(200, time.Millisecond, 0, 0)
		r.Forget(start.Add(time.Duration(i) * 40 * time.Minute))
		runtime.GC()
	}
	if n := r.Series(key(1, "/")).Snapshot(); n.Requests() != 10 {
		t.Errorf("%d of 10 are counted", n.Requests())
	}
}

func TestSnapshotsAreInOrder(t *testing.T) {
	t.Parallel()
	var r meter.Registry
	for _, k := range []meter.Key{key(10, "/"), key(2, "/b"), key(9, "/"), {}, key(2, "/a")} {
		r.Series(k)
	}
	list := r.Snapshots()
	for i := 1; i < len(list); i++ {
		if list[i-1].Key.Compare(list[i].Key) >= 0 {
			t.Errorf("%v stands before %v", list[i-1].Key, list[i].Key)
		}
	}
}
