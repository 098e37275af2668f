package releases_test

import (
	"fmt"
	"testing"

	"github.com/noon-deploy/noon/examples/shop/releases"
	"github.com/noon-deploy/noon/internal/manifest"
)

func TestNoonUnderstandsTheManifest(t *testing.T) {
	t.Parallel()
	for _, shop := range shops() {
		manifests(t, shop)
	}
}

func manifests(t *testing.T, shop releases.Shop) {
	t.Helper()
	for n := 1; n <= shop.Count(); n++ {
		tree, err := shop.Tree(n)
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
