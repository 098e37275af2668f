package cli

import (
	"fmt"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/noon-deploy/noon/internal/tui"
)

func (f *face) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Tell the version of this noon",
		Args:  args(),
		RunE: func(*cobra.Command, []string) error {
			out := struct {
				Version string `json:"version"`
				Go      string `json:"go"`
				OS      string `json:"os"`
				Arch    string `json:"arch"`
			}{f.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH}
			return f.emit(out, func(tui.Page) string {
				return fmt.Sprintf("noon %s (%s, %s/%s)\n", out.Version, out.Go, out.OS, out.Arch)
			})
		},
	}
}

// exitCodesTopic is a page of help, not a command.
func exitCodesTopic() *cobra.Command {
	var b strings.Builder
	for _, e := range exits() {
		fmt.Fprintf(&b, "  %3d  %s\n", e.code, e.meaning)
	}
	return &cobra.Command{
		Use:   "exit-codes",
		Short: "What the exit codes mean, and where errors are written",
		Long:  "Exit codes of every command:\n\n" + b.String() + "\n" + errorsText,
	}
}

const errorsText = `Errors are written to stderr: "noon: what was done, on what: why", and a line
with a hint. With --json they are one object on stderr,
{"error":{"kind":…,"op":…,"subject":…,"cause":…,"hint":…},"exit":N}; what is on
stdout is always what was asked for.
`

// variable is one variable of the environment that noon reads.
type variable struct{ name, meaning string }

func variables() []variable {
	return []variable{
		{"NOON_SOCKET", "socket of the controller; --socket goes before"},
		{"NOON_ENV", "environment; -e goes before"},
		{"NOON_DATA", "data directory of serve; --data goes before"},
		{"NOON_RUN", "directory of sockets; --run goes before"},
		{"NOON_DATABASE", "address of the database of noon migration; --database goes before"},
		{"NOON_USER", "who asks, for the journal; default SUDO_USER, USER or LOGNAME"},
		{"NO_COLOR", "no colours, if it is not empty"},
		{"XDG_DATA_HOME", "holds the data directory of users other than root; default ~/.local/share"},
		{"XDG_CACHE_HOME", "holds the directory that releases are built in; default ~/.cache"},
	}
}

// variablesTopic is a page of help, not a command.
func variablesTopic() *cobra.Command {
	var b strings.Builder
	for _, v := range variables() {
		fmt.Fprintf(&b, "  %-15s %s\n", v.name, v.meaning)
	}
	return &cobra.Command{
		Use:   "environment-variables",
		Short: "What noon reads from its environment",
		Long:  "Variables that noon reads:\n\n" + b.String(),
	}
}
