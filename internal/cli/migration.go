package cli

import (
	"github.com/spf13/cobra"
)

// migrationCommand is the group of commands about migrations.
func (f *face) migrationCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "migration",
		Short: "Write and run migrations of a database, without a deployment",
		Long: `migration works with the files of migrations here, and with a database directly:
no controller is asked. A deployment runs the same files by itself; these
commands are for writing them, for databases that noon does not deploy to, and
for looking.

The directory and the database are those of the store in noon.yaml that has
migrations, or are named with --dir, and with --database or NOON_DATABASE:
postgres://USER:PASSWORD@HOST:PORT/DATABASE, mariadb://… (also for MySQL), or
sqlite:PATH.`,
		Args: cobra.ArbitraryArgs,
		RunE: f.noCommand,
	}
	c.AddCommand(f.migrationCreate(), f.migrationLint(), f.migrationCatalogue(), f.migrationStatus(), f.migrationApply(), f.migrationRollback(), f.migrationSquash())
	return c
}
