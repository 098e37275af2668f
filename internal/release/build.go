package release

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"

	"github.com/noon-deploy/noon"
)

// manifestName is the file that makes a directory an app.
const manifestName = "noon.yaml"

// Recipe says what to build.
type Recipe struct {
	Repo       string                         // directory of noon.yaml, in a git repository
	Commit     string                         // "" is HEAD, and then the working tree must be clean
	AllowDirty bool                           // build the working tree if it is not clean, marked dirty
	Work       string                         // directory for the checkout, "" one in the store; builds in it take turns
	Parse      func([]byte) (noon.App, error) // reads noon.yaml
	Output     io.Writer                      // of the build's commands; nil discards it
	Env        []string                       // additions to the small environment of the build's commands
}

// Build makes a release and stores it.
func (s *Store) Build(ctx context.Context, r Recipe) (Content, error) {
	c, err := s.build(ctx, r)
	return c, wrap("build release", r.Repo, err)
}

func (s *Store) build(ctx context.Context, r Recipe) (c Content, err error) {
	src, err := locate(ctx, r.Repo, r.Commit)
	if err != nil {
		return Content{}, err
	}
	if r.Commit == "" {
		if err := src.status(ctx); err != nil {
			return Content{}, err
		}
		if len(src.dirty) > 0 && !r.AllowDirty {
			return Content{}, src.refuseDirty()
		}
	}
	if r.Work == "" {
		r.Work = s.work()
	}
	co, err := newCheckout(ctx, r.Work, src.prefix)
	if err != nil {
		return Content{}, err
	}
	defer func() { err = errors.Join(err, co.close(ctx)) }()
	s.Faults.Point("release.checkout.before")
	if err := co.fill(ctx, src, len(src.dirty) > 0); err != nil {
		return Content{}, err
	}
	s.Faults.Point("release.checkout.after")
	c = Content{Commit: src.commit, Title: src.title, Dirty: len(src.dirty) > 0, Time: src.time}
	app, err := s.make(ctx, r, co, &c)
	if err != nil {
		return Content{}, err
	}
	return s.pack(ctx, co.app, app, c)
}

// make runs the app's own part of the build in the checkout.
func (s *Store) make(ctx context.Context, r Recipe, co *checkout, c *Content) (noon.App, error) {
	app, err := readManifest(r, co.app, c)
	if err != nil {
		return noon.App{}, err
	}
	for _, cmd := range commands(app, r, co, *c) {
		s.Faults.Point("release.command.before")
		if err := cmd.run(ctx); err != nil {
			return noon.App{}, err
		}
		s.Faults.Point("release.command.after")
	}
	after, err := readFile(co.app, manifestName)
	if err != nil {
		return noon.App{}, err
	}
	if !bytes.Equal(after, c.Manifest) {
		return noon.App{}, refused(manifestName, "the build has changed it", "A release holds noon.yaml as it was committed; generate it before the commit.")
	}
	return app, nil
}

func readManifest(r Recipe, dir string, c *Content) (noon.App, error) {
	raw, err := readFile(dir, manifestName)
	if errors.Is(err, os.ErrNotExist) {
		return noon.App{}, &noon.Error{
			Kind: noon.Invalid, Op: "build release", Subject: manifestName, Err: errors.New("the commit does not hold it"),
			Hint: "Write one with noon init, and commit it.",
		}
	}
	if err != nil {
		return noon.App{}, err
	}
	c.Manifest = raw
	app, err := r.Parse(raw)
	if err != nil {
		return noon.App{}, err
	}
	return app, checkGlobs(app.Build.Files)
}

func readFile(dir, name string) ([]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	info, err := root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > 1<<20 {
		return nil, refused(name, "it is not an ordinary file of at most 1 MiB", "")
	}
	return root.ReadFile(name)
}

// commands lists what the build runs, in order.
func commands(app noon.App, r Recipe, co *checkout, c Content) []command {
	env := append(baseEnv(), "SOURCE_DATE_EPOCH="+strconv.FormatInt(c.Time.Unix(), 10), "NOON_APP="+app.Name, "NOON_COMMIT="+c.Commit)
	env = append(append(env, r.Env...), checkoutVariable+"="+co.dir)
	base := command{dir: co.app, env: env, output: r.Output, checkout: co.dir}
	var list []command
	add := func(name string, cmd noon.Command) {
		next := base
		next.name, next.argv, next.timeout = name, cmd.Command, cmd.Timeout
		if len(next.argv) > 0 {
			list = append(list, next)
		}
	}
	for _, h := range app.HooksAt(noon.BeforeBuild) {
		add("hook before-build/"+h.Name, h.Command)
	}
	add("build.command", noon.Command{Command: app.Build.Command, Timeout: app.Build.Timeout})
	for _, h := range app.HooksAt(noon.AfterBuild) {
		add("hook after-build/"+h.Name, h.Command)
	}
	return list
}

// baseEnv is what every build sees: where tools, caches and the network are,
// and otherwise the same on every machine. Go is told not to look for a
// repository: the checkout has none, and one around it would be another's.
func baseEnv() []string {
	return append(pass(
		"PATH", "HOME", "TMPDIR", "XDG_CACHE_HOME",
		"GOPATH", "GOCACHE", "GOMODCACHE", "GOPROXY", "GOPRIVATE", "GONOSUMDB", "GOSUMDB", "GOROOT", "GOTOOLCHAIN",
		"npm_config_cache", "npm_config_registry", "YARN_CACHE_FOLDER", "PIP_CACHE_DIR", "COMPOSER_CACHE_DIR", "CARGO_HOME", "RUSTUP_HOME",
		"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
		"SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS", "SSH_AUTH_SOCK",
	), "LANG=C.UTF-8", "TZ=UTC", "CI=true", "GOFLAGS=-buildvcs=false")
}

// pack stores the files of dir as a release.
func (s *Store) pack(ctx context.Context, dir string, app noon.App, c Content) (_ Content, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Content{}, err
	}
	defer root.Close()
	entries, err := scan(root, app.Build.Files)
	if err != nil {
		return Content{}, err
	}
	if err := errors.Join(checkTree(entries), s.checkSize(entries), checkPages(root, app, entries)); err != nil {
		return Content{}, err
	}
	g, err := s.newStage(ctx)
	if err != nil {
		return Content{}, err
	}
	defer func() { err = errors.Join(err, g.close()) }()
	layers, err := g.writeLayers(ctx, root, entries)
	if err != nil {
		return Content{}, err
	}
	img, err := assemble(c, app.Name, layers)
	if err != nil {
		return Content{}, err
	}
	desc, err := g.writeImage(img)
	if err != nil {
		return Content{}, err
	}
	c.Digest = desc.Digest.String()
	for _, l := range layers {
		c.Size += l.size
	}
	return c, g.commit(ctx, desc)
}

func (s *Store) checkSize(entries []entry) error {
	var size int64
	for _, e := range entries {
		size += e.Size
	}
	if size > s.MaxSize {
		return refused("the release", fmt.Sprintf("it has %d bytes, the limit is %d", size, s.MaxSize), "List what belongs to the release in build.files.")
	}
	return nil
}

func (g *stage) writeLayers(ctx context.Context, root *os.Root, entries []entry) ([]layer, error) {
	open := func(e entry) (io.ReadCloser, error) {
		f, err := root.Open(e.Path)
		if err != nil {
			return nil, err
		}
		return readCloser{Reader: cancelled{ctx, f}, Closer: f}, nil
	}
	var layers []layer
	for _, part := range divide(entries) {
		h, size, err := g.write(func(w io.Writer) error { return writeTar(w, part, open) })
		if err != nil {
			return nil, err
		}
		layers = append(layers, layer{hash: h, size: size, open: func() (io.ReadCloser, error) { return g.open(h) }})
	}
	return layers, nil
}

type readCloser struct {
	io.Reader
	io.Closer
}

func (g *stage) writeImage(img v1.Image) (v1.Descriptor, error) {
	config, err := img.RawConfigFile()
	if err != nil {
		return v1.Descriptor{}, err
	}
	manifest, err := img.RawManifest()
	if err != nil {
		return v1.Descriptor{}, err
	}
	if _, err := g.writeBytes(config); err != nil {
		return v1.Descriptor{}, err
	}
	if _, err := g.writeBytes(manifest); err != nil {
		return v1.Descriptor{}, err
	}
	desc, err := partial.Descriptor(img)
	if err != nil {
		return v1.Descriptor{}, err
	}
	return *desc, nil
}
