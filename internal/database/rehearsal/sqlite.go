package rehearsal

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/migration"
)

// sqliteCopy makes copies of a file, as it is at one moment, while it is used.
type sqliteCopy struct {
	*run
	path string
}

// file is the path in an address, and what follows it.
func file(address string) (path, query string) {
	_, rest, _ := strings.Cut(address, ":")
	path, query, _ = strings.Cut(strings.TrimPrefix(rest, "//"), "?")
	return path, query
}

// directory is where copies lie: that which the address for them names, else
// that of the database.
func (c *sqliteCopy) directory() string {
	if c.Server != "" {
		dir, _ := file(c.Server)
		return dir
	}
	path, _ := file(c.Address)
	return filepath.Dir(path)
}

func (c *sqliteCopy) check(_ context.Context) error {
	if c.Copy == noon.CopyTemplate {
		return &noon.Error{
			Kind: noon.Invalid, Op: "copy database", Err: errors.New("only PostgreSQL has templates"),
			Hint: "Use `--copy dump`, which copies while users write. Nothing was copied.",
		}
	}
	path, _ := file(c.Address)
	if info, err := os.Stat(path); err == nil {
		c.report.Copy.Bytes = info.Size()
	}
	left, err := filepath.Glob(filepath.Join(c.directory(), stem(c.Owner, false)+"*"))
	if err := errors.Join(err, removeAll(left)); err != nil {
		return c.trouble("remove what an earlier rehearsal has left", err)
	}
	return c.roomIn(c.directory())
}

func (c *sqliteCopy) make(ctx context.Context) (string, error) {
	path, query := file(c.Address)
	c.path = filepath.Join(c.directory(), c.fresh()+".db")
	address := "sqlite:" + c.path
	if query != "" {
		address += "?" + query
	}
	if c.Copy == noon.CopyCommand {
		return address, c.filled(ctx, address)
	}
	return address, migration.Copy(ctx, path, c.path)
}

func (c *sqliteCopy) drop(context.Context) error {
	if c.path == "" {
		return nil
	}
	left, err := filepath.Glob(c.path + "*") // with what the server and noon keep beside it
	return errors.Join(err, removeAll(left))
}

func removeAll(list []string) error {
	for _, path := range list {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
