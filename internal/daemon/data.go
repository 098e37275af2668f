package daemon

import (
	"context"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/outline"
)

// lookLimit bounds how long a migration waits for a look at its database.
const lookLimit = 10 * time.Second

// schema looks what a store is made of, as one of its revisions reaches it;
// none if the store has no address that noon knows.
func (c *Controller) schema(ctx context.Context, site noon.Site, r noon.Revision, store string) (noon.Schema, error) {
	res, err := c.catalog.Resolve(ctx, site, r)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	for _, s := range res.App.Stores {
		if address := res.Env[s.URL]; s.Name == store && address != "" {
			return outline.Of(ctx, address)
		}
	}
	return nil, nil
}
