package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/tui"
)

func (f *face) historyCommand() *cobra.Command {
	limit := 20
	all := false
	c := &cobra.Command{
		Use:   "history [dN]",
		Short: "List deployments, or show the journal of one",
		Long: `history lists the deployments of an environment, newest first. With the name of
one, such as d7, it shows every line of its journal.`,
		Args:              args("[dN]"),
		ValidArgsFunction: f.completeDeployments,
		RunE: func(c *cobra.Command, given []string) error {
			client, err := f.api()
			if err != nil {
				return err
			}
			if len(given) > 0 {
				id, err := deploymentID(given[0])
				if err != nil {
					return err
				}
				v, err := client.Deployment(c.Context(), id)
				if err != nil {
					return err
				}
				return f.emit(v, func(p tui.Page) string { return p.Journal(v) })
			}
			if limit < 1 {
				return usage(c.CommandPath(), fmt.Errorf("--lines is %d and must be at least 1", limit))
			}
			var site noon.Site
			if !all {
				if site, err = f.site(c.Context()); err != nil {
					return err
				}
			}
			deployments, err := client.Deployments(c.Context(), site, limit)
			if err != nil {
				return err
			}
			return f.emit(list(deployments), func(p tui.Page) string { return p.History(deployments) })
		},
	}
	c.Flags().IntVarP(&limit, "lines", "n", limit, "how many")
	c.Flags().BoolVarP(&all, "all", "a", false, "of every app and environment")
	return c
}

// deploymentID gives 7 for "d7".
func deploymentID(name string) (int64, error) {
	digits, ok := strings.CutPrefix(name, "d")
	id, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || id < 1 || digits[0] == '+' || digits[0] == '0' {
		return 0, &noon.Error{
			Kind: noon.Invalid, Op: "read", Subject: "dN", Err: fmt.Errorf("%q is not a deployment such as d7", name),
			Hint: "`noon history` lists them.",
		}
	}
	return id, nil
}
