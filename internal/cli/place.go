package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/api"
	"github.com/noon-deploy/noon/internal/manifest"
)

// project is the app in whose directory the command runs.
type project struct {
	dir string // of noon.yaml
	app noon.App
}

// findManifest looks for noon.yaml here and above.
func (f *face) findManifest() (string, bool, error) {
	for dir := f.Dir; ; dir = filepath.Dir(dir) {
		path := filepath.Join(dir, manifest.FileName)
		_, err := os.Stat(path)
		if err == nil {
			return path, true, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", false, &noon.Error{Kind: noon.Invalid, Op: "look for", Subject: path, Err: err, Hint: "Make it readable for this user."}
		}
		if dir == filepath.Dir(dir) {
			return "", false, nil
		}
	}
}

// project reads noon.yaml here or above; ok is false if there is none.
func (f *face) project() (p project, ok bool, err error) {
	path, ok, err := f.findManifest()
	if !ok || err != nil {
		return project{}, false, err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return project{}, false, &noon.Error{Kind: noon.Invalid, Op: "read", Subject: path, Err: err, Hint: "Make it readable for this user."}
	}
	app, err := manifest.Parse(f.shown(path), data)
	if err != nil {
		return project{}, false, err
	}
	return project{dir: filepath.Dir(path), app: app}, true, nil
}

// needProject is project for commands that can not do without.
func (f *face) needProject() (project, error) {
	p, ok, err := f.project()
	if err == nil && !ok {
		err = noManifest(f.Dir)
	}
	return p, err
}

func noManifest(dir string) error {
	return &noon.Error{
		Kind: noon.NotFound, Op: "look for", Subject: manifest.FileName,
		Err:  fmt.Errorf("neither %s nor a directory above it has one", dir),
		Hint: "Go to the app's directory, or write one with `noon init`.",
	}
}

// shown is a path as people want to see it: relative if it is below.
func (f *face) shown(path string) string {
	rel, err := filepath.Rel(f.Dir, path)
	if err != nil || strings.HasPrefix(rel, "..") {
		return path
	}
	return rel
}

// appName is the app that a command is about, "" if none is named and none is
// here.
func (f *face) appName() (string, error) {
	if f.flags.app != "" {
		return f.flags.app, validName("--app", f.flags.app)
	}
	p, ok, err := f.project()
	if err != nil || !ok {
		return "", err
	}
	return p.app.Name, nil
}

// needApp is appName for commands that can not do without.
func (f *face) needApp() (string, error) {
	name, err := f.appName()
	if err == nil && name == "" {
		err = noManifest(f.Dir)
	}
	return name, err
}

func validName(flag, name string) error {
	if err := noon.ValidName(name); err != nil {
		return &noon.Error{Kind: noon.Invalid, Op: "read", Subject: flag, Err: err, Hint: "Names are those of noon.yaml."}
	}
	return nil
}

// envName is the environment that was asked for, "" if none was.
func (f *face) envName() (string, error) {
	name := cmp.Or(f.flags.env, f.Getenv("NOON_ENV"))
	if name == "" {
		return "", nil
	}
	return name, validName("--env", name)
}

// site is the app and environment that a command is about.
func (f *face) site(ctx context.Context) (noon.Site, error) {
	app, err := f.needApp()
	if err != nil {
		return noon.Site{}, err
	}
	env, err := f.envName()
	if err != nil {
		return noon.Site{}, err
	}
	if env == "" {
		names, err := f.environments(ctx, app)
		if err != nil {
			return noon.Site{}, err
		}
		if env, err = only(app, names); err != nil {
			return noon.Site{}, err
		}
	}
	return noon.Site{App: app, Environment: env}, nil
}

func only(app string, names []string) (string, error) {
	switch len(names) {
	case 1:
		return names[0], nil
	case 0:
		return "", &noon.Error{
			Kind: noon.NotFound, Op: "choose an environment of", Subject: app, Err: errors.New("none is known"),
			Hint: "Name one with -e, or run this in the app's directory.",
		}
	}
	return "", &noon.Error{
		Kind: noon.Invalid, Op: "choose an environment of", Subject: app,
		Err:  fmt.Errorf("there are several: %s", strings.Join(names, ", ")),
		Hint: "Name one with -e or NOON_ENV.",
	}
}

// environments lists those of noon.yaml if it is the app's, or else those that
// the controller knows.
func (f *face) environments(ctx context.Context, app string) ([]string, error) {
	if p, ok, err := f.project(); ok && err == nil && p.app.Name == app {
		names := make([]string, len(p.app.Environments))
		for i, e := range p.app.Environments {
			names[i] = e.Name
		}
		return names, nil
	}
	c, err := f.api()
	if err != nil {
		return nil, err
	}
	sites, err := c.Status(ctx, app)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, s := range sites {
		names = append(names, s.Site.Environment)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// api returns the client of the controller.
func (f *face) api() (*api.Client, error) {
	if f.client != nil {
		return f.client, nil
	}
	socket := cmp.Or(f.flags.socket, f.Getenv("NOON_SOCKET"))
	if socket == "" {
		dirs, err := f.directories("", "")
		if err != nil {
			return nil, err
		}
		socket = filepath.Join(dirs.run, "api.sock")
	}
	if err := shortEnough(socket); err != nil {
		return nil, err
	}
	f.client = api.NewClient(f.absolute(socket))
	return f.client, nil
}

func (f *face) absolute(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(f.Dir, path)
}

// directories is where noon keeps things on this machine.
type directories struct{ data, run string }

// directories takes flags, then the environment, then the default for the
// user.
func (f *face) directories(data, run string) (directories, error) {
	data = cmp.Or(data, f.Getenv("NOON_DATA"))
	run = cmp.Or(run, f.Getenv("NOON_RUN"))
	if data == "" {
		home, err := f.dataHome()
		if err != nil && run == "" {
			return directories{}, err
		}
		data = home
	}
	d := directories{data: f.absolute(data), run: f.absolute(run)}
	if d.run == "" {
		d.run = filepath.Join(d.data, "run")
	}
	return d, nil
}

func (f *face) dataHome() (string, error) {
	if f.UID == 0 {
		return "/var/lib/noon", nil
	}
	if xdg := f.Getenv("XDG_DATA_HOME"); filepath.IsAbs(xdg) {
		return filepath.Join(xdg, "noon"), nil
	}
	if home := f.Getenv("HOME"); home != "" {
		return filepath.Join(home, ".local", "share", "noon"), nil
	}
	return "", &noon.Error{
		Kind: noon.Invalid, Op: "choose the data directory", Err: errors.New("HOME is not set"),
		Hint: "Name one with --data or NOON_DATA.",
	}
}

// maxSocket bounds the path of a socket: kernels take 104 to 108 bytes with
// the final zero.
const maxSocket = 100

func shortEnough(socket string) error {
	if len(socket) <= maxSocket {
		return nil
	}
	return &noon.Error{
		Kind: noon.Invalid, Op: "use socket", Subject: socket,
		Err:  fmt.Errorf("its path has %d bytes, the kernel takes about %d", len(socket), maxSocket),
		Hint: "Name a shorter directory for sockets with --run or NOON_RUN, for example /run/noon.",
	}
}
