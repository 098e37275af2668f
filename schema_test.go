package noon_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/noon-deploy/noon"
)

func TestSchemaDifference(t *testing.T) {
	t.Parallel()
	before := noon.Schema{"table a": "", "column a.x": "int", "column a.y": "text", "index a_x": "on x"}
	after := noon.Schema{"table a": "", "column a.x": "bigint", "column a.z": "text", "index a_x": "on x", "table b": ""}
	want := []string{"~ column a.x: int, now bigint", "- column a.y", "+ column a.z: text", "+ table b"}
	if diff := cmp.Diff(want, before.Difference(after)); diff != "" {
		t.Error(diff)
	}
	if same := before.Difference(before); len(same) > 0 {
		t.Errorf("against itself: %v", same)
	}
}
