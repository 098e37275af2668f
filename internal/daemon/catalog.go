package daemon

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/ledger"
	"github.com/noon-deploy/noon/internal/manifest"
	"github.com/noon-deploy/noon/internal/planner"
	"github.com/noon-deploy/noon/internal/release"
	"github.com/noon-deploy/noon/internal/walk"
)

// catalog knows what releases and revisions are made of. Both are immutable,
// so that what was resolved once stays right.
type catalog struct {
	ledger *ledger.Ledger
	store  *release.Store
	key    []byte // preview tokens are derived from it

	mu       sync.Mutex
	resolved map[string]walk.Resolved
}

func newCatalog(l *ledger.Ledger, store *release.Store, key []byte) *catalog {
	return &catalog{ledger: l, store: store, key: key, resolved: map[string]walk.Resolved{}}
}

// Resolve returns what a host needs to run a revision of a site.
func (c *catalog) Resolve(ctx context.Context, site noon.Site, r noon.Revision) (walk.Resolved, error) {
	key := site.Key() + "_" + r.String()
	c.mu.Lock()
	res, ok := c.resolved[key]
	c.mu.Unlock()
	if ok {
		return res, nil
	}
	res, err := c.resolve(ctx, site, r)
	if err != nil {
		return res, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.resolved[key] = res
	return res, nil
}

func (c *catalog) resolve(ctx context.Context, site noon.Site, r noon.Revision) (walk.Resolved, error) {
	rel, app, err := c.app(ctx, site.App, r.Release)
	if err != nil {
		return walk.Resolved{}, err
	}
	env, _ := app.Environment(site.Environment)
	values, err := c.values(ctx, site, env, r)
	if err != nil {
		return walk.Resolved{}, err
	}
	maps.Copy(values, map[string]string{
		"NOON_APP": site.App, "NOON_ENVIRONMENT": site.Environment, "NOON_RELEASE": rel.Name(),
		"NOON_REVISION": r.String(), "NOON_COMMIT": rel.Commit,
	})
	if err := c.ownAddresses(site, rel.Name(), app, values); err != nil {
		return walk.Resolved{}, err
	}
	pages, err := c.pages(ctx, rel, env)
	return walk.Resolved{Digest: rel.Digest, App: app, Env: values, Preview: c.preview(site, r), Pages: pages}, err
}

// values are the variables and secrets of a site as they were set.
func (c *catalog) values(ctx context.Context, site noon.Site, env noon.Environment, r noon.Revision) (map[string]string, error) {
	config, err := c.ledger.Config(ctx, site, r.Config)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	values := map[string]string{}
	maps.Copy(values, env.Variables)
	maps.Copy(values, config.Env())
	return values, nil
}

// pages reads the pages of an environment out of the release.
func (c *catalog) pages(ctx context.Context, rel noon.Release, env noon.Environment) (map[string]string, error) {
	if len(env.Pages) == 0 {
		return nil, nil
	}
	texts, err := c.store.Texts(ctx, rel.Digest, slices.Sorted(maps.Values(env.Pages)), noon.PageLimit)
	if err != nil {
		return nil, fmt.Errorf("read pages: %w", err)
	}
	pages, size := map[string]string{}, 0
	for status, file := range env.Pages {
		pages[status] = texts[file]
		size += len(texts[file])
	}
	if size > noon.PagesLimit {
		return nil, &noon.Error{
			Kind: noon.Invalid, Op: "read pages of", Subject: rel.Name(), Err: fmt.Errorf("they have %d bytes, the limit is %d", size, noon.PagesLimit),
			Hint: "Load styles and images from elsewhere.",
		}
	}
	return pages, nil
}

// app reads a release and the noon.yaml it was built with.
func (c *catalog) app(ctx context.Context, name string, number int) (noon.Release, noon.App, error) {
	rel, yaml, err := c.ledger.Release(ctx, name, number)
	if err != nil {
		return rel, noon.App{}, err
	}
	app, err := manifest.Parse(rel.Name()+":noon.yaml", yaml)
	if err != nil {
		return rel, app, fmt.Errorf("read noon.yaml of %s: %w", rel.Name(), err)
	}
	return rel, app, nil
}

// preview derives the token that reaches a revision without a share. Who does
// not know the key can not guess it; the same revision always has the same.
func (c *catalog) preview(site noon.Site, r noon.Revision) string {
	mac := hmac.New(sha256.New, c.key)
	_, _ = mac.Write([]byte("preview " + site.Key() + " " + r.String()))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

// marks tells, store by store, what decides whether a migration has work.
func (c *catalog) marks(ctx context.Context, rel noon.Release, app noon.App) (planner.StoreMark, error) {
	marks := planner.StoreMark{}
	for _, s := range app.Stores {
		if len(s.Watched()) == 0 {
			continue
		}
		mark, err := c.store.Fingerprint(ctx, rel.Digest, s.Watched())
		if err != nil {
			return nil, fmt.Errorf("look for changes of store %s: %w", s.Name, err)
		}
		marks[s.Name] = mark
	}
	return marks, nil
}

// missing names the variables and secrets that a release declares and its
// environment does not have.
func (c *catalog) missing(ctx context.Context, app noon.App, site noon.Site, version int) ([]string, error) {
	config, err := c.ledger.Config(ctx, site, version)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	have := map[string]bool{}
	for name := range config.Values {
		have[name] = true
	}
	return manifest.Missing(app, site.Environment, have), nil
}
