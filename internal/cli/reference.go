package cli

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// answers tells what each command prints with --json, in the words of the
// OpenAPI document.
func answers() map[string]string {
	return map[string]string{
		"noon init":                "`{path, found}`",
		"noon check":               "`{app, ok, looked, environments: [{environment, missing}]}`",
		"noon build":               "a `Release`",
		"noon releases":            "a list of `Release`",
		"noon env list":            "a `ConfigView`",
		"noon env set":             "the new `ConfigView`",
		"noon env unset":           "the new `ConfigView`",
		"noon migration create":    "`{path}`",
		"noon migration lint":      "`{files, catalogue, fixed, unread, findings}`, a finding as `internal/database/lint.Finding`",
		"noon migration catalogue": "the same",
		"noon migration status":    "a list of `{number, name, standing, next, at, rows, who, release, when, problem}`",
		"noon migration apply":     "as status",
		"noon migration rollback":  "as status",
		"noon migration squash":    "`{path, removed}`",
		"noon plan":                "a `Preview`",
		"noon rehearse":            "a `Rehearsal`, as it ended; with --list a list of them",
		"noon deploy":              "the `DeploymentView` at its end; with --detach the `Deployment`",
		"noon rollback":            "as deploy",
		"noon promote":             "as deploy",
		"noon approve":             "the `Deployment`",
		"noon hold":                "the `Halt` that is in force",
		"noon resume":              "the `Halt` that is in force",
		"noon close":               "the `Halt` that is in force",
		"noon open":                "the `Halt` that is in force",
		"noon abort":               "the `DeploymentView` at its end; with --detach the `Deployment`",
		"noon status":              "a list of `SiteStatus`",
		"noon ps":                  "a list of `Observed`, one for each environment and host",
		"noon top":                 "a `TrafficSeen`; with --watch one a line",
		"noon proxy show":          "a list of `Routed`",
		"noon proxy log":           "an `AccessLine` a line",
		"noon logs":                "a `LogLine` a line",
		"noon history":             "a list of `Deployment`; with dN a `DeploymentView`",
		"noon down":                "`{}`",
		"noon upgrade":             "the `Health` afterwards",
		"noon backup":              "`{path}`",
		"noon doctor":              "a list of `Finding`",
		"noon demo":                "the report",
		"noon version":             "`{version, go, os, arch}`",
	}
}

// Reference gives the reference of every command, in Markdown.
func Reference() string {
	f := newFace(Process{
		Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: io.Discard,
		Getenv: func(string) string { return "" }, Dir: "/", Now: time.Now,
	}, Parts{})
	f.root.InitDefaultHelpCmd()
	f.root.InitDefaultCompletionCmd()
	var b strings.Builder
	b.WriteString("# The noon command\n\n<!-- Generated from internal/cli by `go generate ./internal/cli`; do not edit. -->\n\n")
	b.WriteString(f.root.Long + "\n\n")
	for _, g := range f.root.Groups() {
		b.WriteString(g.Title + "\n\n")
		for _, c := range f.root.Commands() {
			if c.GroupID == g.ID {
				fmt.Fprintf(&b, "- [`%s`](#%s): %s\n", c.CommandPath(), anchor(c), c.Short)
			}
		}
		b.WriteString("\n")
	}
	b.WriteString("## Flags of every command\n\n" + block(f.root.PersistentFlags().FlagUsages()))
	b.WriteString("\n## Exit codes\n\n| code | meaning |\n|---:|---|\n")
	for _, e := range exits() {
		fmt.Fprintf(&b, "| %d | %s |\n", e.code, e.meaning)
	}
	b.WriteString("\n" + errorsText + "\n## Variables of the environment\n\n| name | meaning |\n|---|---|\n")
	for _, v := range variables() {
		fmt.Fprintf(&b, "| `%s` | %s |\n", v.name, v.meaning)
	}
	for _, c := range f.root.Commands() {
		describe(&b, c)
	}
	return b.String()
}

// describe writes one command and those below it.
func describe(b *strings.Builder, c *cobra.Command) {
	if !c.IsAvailableCommand() || c.Name() == "help" {
		return
	}
	fmt.Fprintf(b, "\n## %s\n\n", c.CommandPath())
	if !c.HasAvailableSubCommands() {
		fmt.Fprintf(b, "```\n%s\n```\n\n", c.UseLine())
	}
	b.WriteString(strings.TrimSpace(cmp.Or(c.Long, c.Short+".")) + "\n")
	if c.Example != "" {
		fmt.Fprintf(b, "\n```sh\n%s\n```\n", unindent(c.Example))
	}
	if c.HasAvailableLocalFlags() {
		b.WriteString("\n" + block(c.LocalNonPersistentFlags().FlagUsages()))
	}
	if answer := answers()[c.CommandPath()]; answer != "" {
		fmt.Fprintf(b, "\nWith `--json`: %s.\n", answer)
	}
	for _, sub := range c.Commands() {
		describe(b, sub)
	}
}

func anchor(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

func unindent(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(line, "  ")
	}
	return strings.Join(lines, "\n")
}

func block(text string) string {
	if strings.TrimSpace(text) == "" {
		return ""
	}
	return "```\n" + unindent(strings.TrimRight(text, "\n")) + "\n```\n"
}
