package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/manifest"
	"github.com/noon-deploy/noon/internal/tui"
)

func (f *face) checkCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Find every mistake in noon.yaml, and configuration that is missing",
		Long: `check reads noon.yaml and shows every mistake in it with its line. If the
controller can be reached it also tells which variables and secrets that are
declared are not set: in the environment of -e, or in every one. With -e the
controller has to be there.`,
		Args: args(),
		RunE: func(c *cobra.Command, _ []string) error { return f.check(c.Context()) },
	}
}

// missing is what one environment lacks.
type missing struct {
	Environment string   `json:"environment"`
	Missing     []string `json:"missing"`
}

// checked is the answer of check.
type checked struct {
	App          string    `json:"app"`
	OK           bool      `json:"ok"`
	Looked       bool      `json:"looked"` // whether the controller was asked
	Environments []missing `json:"environments"`
}

func (f *face) check(ctx context.Context) error {
	p, err := f.needProject()
	if err != nil {
		return err
	}
	env, err := f.envName()
	if err != nil {
		return err
	}
	out := checked{App: p.app.Name, OK: true, Looked: true, Environments: []missing{}}
	for _, e := range p.app.Environments {
		if env != "" && e.Name != env {
			continue
		}
		names, err := f.missing(ctx, p.app, e.Name)
		if noon.KindOf(err) == noon.Unavailable && env == "" {
			out.Looked = false
			break
		}
		if err != nil {
			return err
		}
		out.OK = out.OK && len(names) == 0
		out.Environments = append(out.Environments, missing{e.Name, list(names)})
	}
	if env != "" && len(out.Environments) == 0 {
		return unknownEnvironment(p.app, env)
	}
	if err := f.emit(out, func(tui.Page) string { return checkText(p.app, out) }); err != nil {
		return err
	}
	if !out.OK {
		return missingError(p.app.Name, out.Environments)
	}
	return nil
}

// missing tells what an environment lacks of what noon.yaml declares.
func (f *face) missing(ctx context.Context, app noon.App, env string) ([]string, error) {
	if len(app.Variables)+len(app.Secrets) == 0 {
		return nil, nil
	}
	c, err := f.api()
	if err != nil {
		return nil, err
	}
	config, err := c.Config(ctx, noon.Site{App: app.Name, Environment: env})
	if err != nil && noon.KindOf(err) != noon.NotFound {
		return nil, err
	}
	have := map[string]bool{}
	for name := range config.Variables {
		have[name] = true
	}
	for _, name := range config.Secrets {
		have[name] = true
	}
	return manifest.Missing(app, env, have), nil
}

func checkText(app noon.App, out checked) string {
	names := make([]string, len(app.Services))
	for i, s := range app.Services {
		names[i] = s.Name
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%s is right: app %s with %s (%s)", manifest.FileName, app.Name, tui.Count(len(names), "service"), strings.Join(names, ", "))
	for _, part := range []struct {
		n    int
		noun string
	}{{len(app.Jobs), "job"}, {len(app.Stores), "store"}, {len(app.Smoke), "smoke check"}, {len(app.Environments), "environment"}} {
		if part.n > 0 {
			text.WriteString(", " + tui.Count(part.n, part.noun))
		}
	}
	text.WriteString("\n")
	for _, e := range out.Environments {
		if len(e.Missing) == 0 && len(app.Variables)+len(app.Secrets) > 0 {
			fmt.Fprintf(&text, "%s has every variable and secret that is declared\n", e.Environment)
		}
	}
	if !out.Looked {
		text.WriteString("variables and secrets were not looked at: no controller can be reached\n")
	}
	return text.String()
}

func missingError(app string, envs []missing) error {
	var parts []string
	first := ""
	for _, e := range envs {
		if len(e.Missing) == 0 {
			continue
		}
		parts = append(parts, fmt.Sprintf("%s lacks %s", e.Environment, strings.Join(e.Missing, ", ")))
		if first == "" {
			first = fmt.Sprintf("noon env set -e %s %s=VALUE", e.Environment, e.Missing[0])
		}
	}
	return &noon.Error{
		Kind: noon.Invalid, Op: "check the configuration of", Subject: app, Err: errors.New(strings.Join(parts, "; ")),
		Hint: fmt.Sprintf("Set what is missing: `%s`, for a secret `noon env set --secret NAME`.", first),
	}
}

func unknownEnvironment(app noon.App, env string) error {
	names := make([]string, len(app.Environments))
	for i, e := range app.Environments {
		names[i] = e.Name
	}
	return &noon.Error{
		Kind: noon.NotFound, Op: "look for environment", Subject: env,
		Err:  fmt.Errorf("%s of %s has %s", manifest.FileName, app.Name, strings.Join(names, ", ")),
		Hint: "Add it under `environments:`, or name one of those.",
	}
}
