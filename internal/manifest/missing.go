package manifest

import (
	"slices"

	"github.com/noon-deploy/noon"
)

// Missing gives the variables and secrets that the app needs and an
// environment lacks, sorted, each once. have names what is set outside of the
// manifest, secrets above all; what the manifest sets for the environment
// counts as had, but only as a variable: a secret is never in a manifest.
func Missing(app noon.App, env string, have map[string]bool) []string {
	e, _ := app.Environment(env)
	var names []string
	for _, name := range app.Variables {
		if _, ok := e.Variables[name]; !ok && !have[name] {
			names = append(names, name)
		}
	}
	for _, name := range app.Secrets {
		if !have[name] {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
