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
	return &cobra.Command{
		Use:   "exit-codes",
		Short: "What the exit codes mean, and where errors are written",
		Long:  "Exit codes of every command:\n\n" + exitCodesText() + "\n" + errorsText,
	}
}

const errorsText = `Errors are written to stderr: "noon: what was done, on what: why", and a line
with a hint. With --json they are one object on stderr,
{"error":{"kind":…,"op":…,"subject":…,"cause":…,"hint":…},"exit":N}; what is on
stdout is always what was asked for.
`

func exitCodesText() string {
	var b strings.Builder
	for _, e := range exits() {
		fmt.Fprintf(&b, "  %3d  %s\n", e.code, e.meaning)
	}
	return b.String()
}
