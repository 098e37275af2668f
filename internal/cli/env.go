package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/api"
	"github.com/noon-deploy/noon/internal/tui"
)

func (f *face) envCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "env",
		Short: "Show and change variables and secrets of an environment",
		Long: `env shows and changes the configuration of an environment. Each change makes a
new version of it, which the next deployment takes up; what runs is not
touched. Secrets are stored encrypted and never shown.`,
		Args: cobra.ArbitraryArgs,
		RunE: f.noCommand,
	}
	show := &cobra.Command{
		Use: "list", Short: "Show variables, the names of secrets, and what is missing", Args: args(),
		RunE: func(c *cobra.Command, _ []string) error { return f.envList(c.Context()) },
	}
	secret := false
	set := &cobra.Command{
		Use:   "set NAME=VALUE … | set --secret NAME",
		Short: "Set variables, or one secret",
		Long: `set sets variables. The value of a secret is read from stdin, or asked for on a
terminal; it is never an argument, where other users could see it.`,
		Example: "  noon env set -e production LOG_LEVEL=debug\n  noon env set -e production --secret SESSION_KEY <session.key",
		RunE: func(c *cobra.Command, given []string) error {
			return f.envSet(c, given, secret)
		},
	}
	set.Flags().BoolVar(&secret, "secret", false, "set a secret; its value comes from stdin or a prompt")
	unset := &cobra.Command{
		Use: "unset NAME …", Short: "Remove variables or secrets",
		RunE: func(c *cobra.Command, given []string) error {
			if len(given) == 0 {
				return usage(c.CommandPath(), errors.New("NAME is missing"))
			}
			changes := make([]api.ConfigChange, len(given))
			for i, name := range given {
				changes[i] = api.ConfigChange{Name: name, Unset: true}
			}
			return f.change(c.Context(), changes)
		},
	}
	c.AddCommand(show, set, unset)
	return c
}

func (f *face) envList(ctx context.Context) error {
	site, err := f.site(ctx)
	if err != nil {
		return err
	}
	c, err := f.api()
	if err != nil {
		return err
	}
	config, err := c.Config(ctx, site)
	if err != nil {
		return err
	}
	return f.emit(config, func(p tui.Page) string { return p.Config(site, config) })
}

func (f *face) envSet(c *cobra.Command, given []string, secret bool) error {
	if len(given) == 0 {
		return usage(c.CommandPath(), errors.New("NAME=VALUE is missing"))
	}
	if secret {
		return f.setSecret(c, given)
	}
	changes := make([]api.ConfigChange, len(given))
	for i, item := range given {
		name, value, ok := strings.Cut(item, "=")
		if !ok || name == "" {
			return usage(c.CommandPath(), fmt.Errorf("%q is not NAME=VALUE", item))
		}
		changes[i] = api.ConfigChange{Name: name, Value: value}
	}
	return f.change(c.Context(), changes)
}

func (f *face) setSecret(c *cobra.Command, given []string) error {
	if len(given) > 1 {
		return usage(c.CommandPath(), errors.New("one secret at a time can be set"))
	}
	if name, _, found := strings.Cut(given[0], "="); found {
		return &noon.Error{
			Kind: noon.Invalid, Op: "set secret", Subject: name, Err: errors.New("its value was an argument, where other users and the shell's history see it"),
			Hint: fmt.Sprintf("Take another value, and give it on stdin: `noon env set --secret %s <FILE`.", name),
		}
	}
	value, err := f.secretValue(c.Context(), given[0])
	if err != nil {
		return err
	}
	return f.change(c.Context(), []api.ConfigChange{{Name: given[0], Value: value, Secret: true}})
}

// maxSecret bounds what is read as a secret.
const maxSecret = 1 << 20

// secretValue asks on a terminal, or reads stdin without its last line end.
func (f *face) secretValue(ctx context.Context, name string) (string, error) {
	var value string
	if in, ok := f.Stdin.(*os.File); ok && tui.IsTerminal(in) {
		asked, err := tui.Secret(ctx, in, f.Stderr, "Value of "+name)
		if err != nil {
			return "", err
		}
		value = asked
	} else {
		data, err := io.ReadAll(io.LimitReader(f.Stdin, maxSecret+1))
		if err != nil {
			return "", fmt.Errorf("read the secret from stdin: %w", err)
		}
		value = strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	}
	if value == "" || len(value) > maxSecret {
		return "", &noon.Error{
			Kind: noon.Invalid, Op: "set secret", Subject: name, Err: fmt.Errorf("its value is empty or longer than %d bytes", maxSecret),
			Hint: "Give the value on stdin. To remove a secret use `noon env unset`.",
		}
	}
	return value, nil
}

func (f *face) change(ctx context.Context, changes []api.ConfigChange) error {
	site, err := f.site(ctx)
	if err != nil {
		return err
	}
	c, err := f.api()
	if err != nil {
		return err
	}
	config, err := c.SetConfig(ctx, site, changes)
	if err != nil {
		return err
	}
	return f.emit(config, func(tui.Page) string {
		return fmt.Sprintf("%s has configuration %d now; the next deployment takes it up\n", site, config.Version)
	})
}
