package cli

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/manifest"
	"github.com/noon-deploy/noon/internal/tui"
)

func (f *face) initCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "init",
		Short: "Write a first noon.yaml for this directory",
		Long: `init looks at this directory (Procfile, Dockerfile, go.mod, package.json,
composer.json, Gemfile …) and writes a noon.yaml with comments. It never
replaces one.`,
		Args: args(),
		RunE: func(*cobra.Command, []string) error { return f.initManifest() },
	}
}

func (f *face) initManifest() error {
	path := filepath.Join(f.Dir, manifest.FileName)
	draft, err := manifest.Init(f.Dir)
	if err != nil {
		return err
	}
	if err := writeNew(path, draft.Text); err != nil {
		return err
	}
	out := struct {
		Path  string   `json:"path"`
		Found []string `json:"found"`
	}{path, list(draft.Found)}
	return f.emit(out, func(tui.Page) string {
		var text strings.Builder
		text.WriteString("wrote " + manifest.FileName + "\n")
		for _, found := range draft.Found {
			text.WriteString("  " + found + "\n")
		}
		return text.String() + "Read it, then: noon check\n"
	})
}

// writeNew writes a file that must not be there yet.
func writeNew(path string, data []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return &noon.Error{
			Kind: noon.Conflict, Op: "write", Subject: manifest.FileName, Err: errors.New("there is one already"),
			Hint: "It is left as it is. `noon check` tells what is wrong with it; move it away to begin anew.",
		}
	}
	if err == nil {
		_, err = file.Write(data)
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		return &noon.Error{Kind: noon.Failure, Op: "write", Subject: path, Err: err, Hint: "Make the directory writable."}
	}
	return nil
}
