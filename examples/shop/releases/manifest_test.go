package releases_test

import (
	"fmt"
	"testing"

	"github.com/noon-deploy/noon/examples/shop/releases"
	"github.com/noon-deploy/noon/internal/manifest"
)

func TestNoonUnderstandsTheManifest(t *testing.T) {
	t.Parallel()
	for n := 1; n <= releases.Count; n++ {
		tree, err := releases.Tree(n)
		if err != nil {
			t.Fatal(err)
		}
		app, err := manifest.Parse("noon.yaml", []byte(tree["noon.yaml"]))
		if err != nil {
			t.Fatalf("%v", err)
		}
		if app.Name != "shop" || len(app.Services) != 2 || len(app.Smoke) != 3 || fmt.Sprint(app.Build.Files) != "[shop migrations]" {
			t.Errorf("%+v", app)
		}
	}
}
