package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/api"
	"github.com/noon-deploy/noon/internal/tui"
)

// face is one run of the command line.
type face struct {
	Process
	parts  Parts
	flags  globalFlags
	root   *cobra.Command
	client *api.Client // made when it is first needed
}

// globalFlags are the flags that every command has.
type globalFlags struct {
	socket, app, env          string
	json, yes, noColor, quiet bool
}

// groups of commands, in the order of the help.
const (
	groupApp     = "app"
	groupDeploy  = "deploy"
	groupUsers   = "users"
	groupLook    = "look"
	groupMachine = "machine"
)

func newFace(p Process, parts Parts) *face {
	f := &face{Process: p, parts: parts}
	f.root = &cobra.Command{
		Use:   "noon",
		Short: "Replace a running web application while people use it, with nothing lost",
		Long: `noon replaces a running, database-backed web application by its next release
while people use it: no maintenance page, no failed request, no lost row, and a
way back at every point.`,
		Example:       "  noon init && git add noon.yaml && git commit -m \"deploy with noon\"\n  noon serve &\n  noon deploy",
		SilenceErrors: true, SilenceUsage: true,
		Args: cobra.ArbitraryArgs,
		RunE: f.noCommand,
	}
	f.root.SetArgs(p.Args)
	f.root.SetIn(p.Stdin)
	f.root.SetOut(p.Stdout)
	f.root.SetErr(p.Stderr)
	f.root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return usage(c.CommandPath(), err) })
	f.addFlags()
	f.addCommands()
	return f
}

func (f *face) addFlags() {
	flags := f.root.PersistentFlags()
	flags.StringVar(&f.flags.socket, "socket", "", "socket of the controller (NOON_SOCKET; default api.sock in the run directory)")
	flags.StringVar(&f.flags.app, "app", "", "app (default: the one of noon.yaml here or above)")
	flags.StringVarP(&f.flags.env, "env", "e", "", "environment (NOON_ENV; default: the only one there is)")
	flags.BoolVar(&f.flags.json, "json", false, "print JSON: one value, for streams one a line; errors too, on stderr")
	flags.BoolVarP(&f.flags.yes, "yes", "y", false, "go on without asking")
	flags.BoolVar(&f.flags.noColor, "no-color", false, "no colours (NO_COLOR)")
	flags.BoolVarP(&f.flags.quiet, "quiet", "q", false, "no progress and no notes")
	// The name is that of a flag which was registered a few lines above.
	_ = f.root.RegisterFlagCompletionFunc("env", f.completeEnvironments)
}

func (f *face) addCommands() {
	f.root.AddGroup(
		&cobra.Group{ID: groupApp, Title: "The app:"},
		&cobra.Group{ID: groupDeploy, Title: "Deployments:"},
		&cobra.Group{ID: groupUsers, Title: "Keeping users away, for a while:"},
		&cobra.Group{ID: groupLook, Title: "Looking:"},
		&cobra.Group{ID: groupMachine, Title: "The machine:"},
	)
	add := func(group string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = group
			f.root.AddCommand(c)
		}
	}
	add(groupApp, f.initCommand(), f.checkCommand(), f.buildCommand(), f.releasesCommand(), f.envCommand(), f.migrationCommand())
	add(groupDeploy, f.planCommand(), f.rehearseCommand(), f.deployCommand(), f.rollbackCommand(), f.promoteCommand(), f.approveCommand(), f.abortCommand())
	add(groupUsers, f.holdCommand(), f.resumeCommand(), f.closeCommand(), f.openCommand())
	add(groupLook, f.statusCommand(), f.psCommand(), f.topCommand(), f.logsCommand(), f.historyCommand(), f.proxyCommand())
	add(groupMachine, f.serveCommand(), f.downCommand(), f.upgradeCommand(), f.backupCommand(), f.doctorCommand(), f.demoCommand())
	f.root.AddCommand(f.versionCommand(), exitCodesTopic(), variablesTopic(), f.partCommand("host", "run the host part alone", f.parts.Host),
		f.missingCommand("keeper"), f.missingCommand("exec-instance"), f.missingCommand("sockets"), f.missingCommand("grammar"))
}

// noCommand is run when no command has the name that was typed.
func (f *face) noCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return c.Help()
	}
	return unknownCommand(c, args[0])
}

func unknownCommand(c *cobra.Command, name string) error {
	e := &noon.Error{
		Kind: noon.Invalid, Op: spoken(c.CommandPath()), Err: fmt.Errorf("there is no command %q", name),
		Hint: fmt.Sprintf("`%s --help` lists the commands.", c.CommandPath()),
	}
	c.SuggestionsMinimumDistance = 2
	if near := c.SuggestionsFor(name); len(near) > 0 {
		e.Hint = fmt.Sprintf("Did you mean `%s %s`?", c.CommandPath(), strings.Join(near, "` or `"+c.CommandPath()+" "))
	}
	return e
}

// args makes a check of the number of arguments whose message names them:
// usual ones in capitals, optional ones in brackets.
func args(names ...string) cobra.PositionalArgs {
	least := 0
	for _, n := range names {
		if !strings.HasPrefix(n, "[") {
			least++
		}
	}
	return func(c *cobra.Command, given []string) error {
		switch {
		case len(given) < least:
			return usage(c.CommandPath(), fmt.Errorf("%s is missing", names[len(given)]))
		case len(given) > len(names):
			return usage(c.CommandPath(), fmt.Errorf("%q is one argument too many", given[len(names)]))
		}
		return nil
	}
}

func (f *face) close() {
	if f.client != nil {
		f.client.Close()
	}
}

// page is what text for stdout is drawn with.
func (f *face) page() tui.Page {
	terminal := tui.IsTerminal(f.Stdout)
	return tui.Page{Color: terminal && f.wantsColor(), Width: tui.Width(f.Stdout), Now: f.Now()}
}

func (f *face) wantsColor() bool {
	return !f.flags.noColor && f.Getenv("NO_COLOR") == "" && f.Getenv("TERM") != "dumb"
}

// wantsJSON is known even when the flags could not be read.
func (f *face) wantsJSON() bool {
	before := f.Args
	if end := slices.Index(before, "--"); end >= 0 {
		before = before[:end]
	}
	return f.flags.json || slices.Contains(before, "--json")
}

// emit prints the answer of a command: v as JSON, or its text.
func (f *face) emit(v any, text func(tui.Page) string) error {
	if f.flags.json {
		return f.emitJSON(v)
	}
	return f.print(text(f.page()))
}

func (f *face) emitJSON(v any) error {
	enc := json.NewEncoder(f.Stdout)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

func (f *face) print(text string) error {
	if _, err := io.WriteString(f.Stdout, text); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// note tells people something that is not the answer.
func (f *face) note(text string) {
	if !f.flags.json && !f.flags.quiet {
		fmt.Fprint(f.Stdout, text)
	}
}

// list makes sure that an empty list is written as [].
func list[T any](items []T) []T {
	if items == nil {
		return []T{}
	}
	return items
}

// missingPart is what a nil part gives.
func missingPart(name string) error {
	return &noon.Error{
		Kind: noon.Internal, Op: "run", Subject: name, Err: errors.New("this noon was built without it"),
		Hint: "Install a complete build of noon.",
	}
}
