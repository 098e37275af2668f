package release

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/noon-deploy/noon"
)

// source is one commit of a repository, and the app's place in it.
type source struct {
	git    git
	top    string // root of the working tree, "" in a bare repository
	prefix string // the app's directory in the repository, "" its root
	commit string
	time   time.Time
	title  string
	dirty  []string // what differs from the commit, as git status says it
}

// git runs git in a directory, independent of the caller's environment: noon
// may itself be run by a hook of git, with GIT_DIR set.
type git struct {
	dir string
	env []string
}

// settings that would make the files of a checkout depend on the machine.
func gitSettings() []string {
	return []string{
		"core.autocrlf=false", "core.eol=lf", "core.symlinks=true", "core.sparseCheckout=false",
		"core.attributesFile=/dev/null", "core.hooksPath=/dev/null", "core.fsmonitor=false",
		"core.quotePath=false", "i18n.logOutputEncoding=UTF-8",
	}
}

func (g git) run(ctx context.Context, args ...string) (string, error) {
	var argv []string
	for _, s := range gitSettings() {
		argv = append(argv, "-c", s)
	}
	cmd := exec.CommandContext(ctx, "git", append(argv, args...)...)
	cmd.Dir = g.dir
	cmd.Env = append(pass("PATH", "HOME", "XDG_CONFIG_HOME", "TMPDIR", "SSH_AUTH_SOCK"),
		"LC_ALL=C", "GIT_TERMINAL_PROMPT=0", "GIT_OPTIONAL_LOCKS=0", "GIT_NO_REPLACE_OBJECTS=1", "GIT_ATTR_NOSYSTEM=1")
	cmd.Env = append(cmd.Env, g.env...)
	cmd.WaitDelay = 5 * time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	switch {
	case err == nil:
		return stdout.String(), nil
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case errors.Is(err, exec.ErrNotFound):
		return "", &noon.Error{Kind: noon.Failure, Op: "run git", Err: err, Hint: "Install git; noon builds releases from git commits."}
	}
	return "", fmt.Errorf("git %s: %w: %s", args[0], err, strings.TrimSpace(stderr.String()))
}

// pass gives the named variables of noon's own environment.
func pass(names ...string) []string {
	var env []string
	for _, name := range names {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// locate finds the repository around dir and the commit in it.
func locate(ctx context.Context, dir, commit string) (*source, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, &noon.Error{Kind: noon.Invalid, Op: "build release", Subject: dir, Err: errors.New("there is no such directory"), Hint: "Name the directory that holds noon.yaml."}
	}
	src := &source{git: git{dir: dir}}
	if err := src.repository(ctx, dir); err != nil {
		return nil, err
	}
	name := commit
	if name == "" {
		name = "HEAD"
	}
	out, err := src.git.run(ctx, "log", "-1", "--no-show-signature", "--format=%H%x00%ct%x00%B", "--end-of-options", name+"^{commit}", "--")
	var known *noon.Error
	if err != nil && ctx.Err() == nil && !errors.As(err, &known) {
		return nil, &noon.Error{
			Kind: noon.NotFound, Op: "build release", Subject: name, Err: fmt.Errorf("find commit: %w", err),
			Hint: "Commit your work first, or name a commit that this repository has.",
		}
	}
	if err != nil {
		return nil, err
	}
	return src, src.parse(out)
}

func (s *source) repository(ctx context.Context, dir string) error {
	out, err := s.git.run(ctx, "rev-parse", "--absolute-git-dir", "--is-bare-repository", "--show-prefix")
	var known *noon.Error
	if err != nil && ctx.Err() == nil && !errors.As(err, &known) {
		return &noon.Error{
			Kind: noon.Invalid, Op: "build release", Subject: dir, Err: fmt.Errorf("find git repository: %w", err),
			Hint: "A release is built from a git commit: run git init, git add and git commit in the app's directory.",
		}
	}
	if err != nil {
		return err
	}
	lines := strings.SplitN(out, "\n", 3)
	if len(lines) < 3 {
		return fmt.Errorf("git rev-parse said %q", out)
	}
	s.git.env = []string{"GIT_DIR=" + lines[0]}
	if lines[1] == "true" {
		return nil
	}
	s.prefix = strings.Trim(strings.TrimSuffix(lines[2], "\n"), "/")
	// Git resolves symbolic links in the directory, so the top is found by
	// going up as many levels as the prefix has.
	if s.top, err = filepath.EvalSymlinks(dir); err != nil {
		return err
	}
	for range depth(s.prefix) {
		s.top = filepath.Dir(s.top)
	}
	return nil
}

func depth(prefix string) int {
	if prefix == "" {
		return 0
	}
	return strings.Count(prefix, "/") + 1
}

func (s *source) parse(out string) error {
	parts := strings.SplitN(out, "\x00", 3)
	if len(parts) != 3 {
		return fmt.Errorf("git log said %q", out)
	}
	seconds, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil {
		return fmt.Errorf("read commit time: %w", err)
	}
	title, _, _ := strings.Cut(strings.TrimSpace(parts[2]), "\n")
	s.commit, s.title = parts[0], strings.ToValidUTF8(strings.TrimSpace(title), "\uFFFD")
	s.time = time.Unix(max(0, seconds), 0).UTC()
	return nil
}

// status finds what in the working tree differs from the commit.
func (s *source) status(ctx context.Context) error {
	if s.top == "" {
		return nil
	}
	out, err := s.tree().run(ctx, "status", "--porcelain=v1", "-z", "--untracked-files=normal", "--ignore-submodules=none")
	if err != nil {
		return err
	}
	fields := strings.Split(strings.TrimSuffix(out, "\x00"), "\x00")
	for i := 0; i < len(fields); i++ {
		if len(fields[i]) < 4 {
			continue
		}
		s.dirty = append(s.dirty, fields[i])
		if strings.ContainsAny(fields[i][:2], "RC") {
			i++ // the name before a rename or copy follows
		}
	}
	return nil
}

// tree is git with the user's working tree.
func (s *source) tree() git {
	return git{dir: s.top, env: append(slices.Clone(s.git.env), "GIT_WORK_TREE="+s.top)}
}

func (s *source) refuseDirty() error {
	const shown = 10
	list := s.dirty[:min(shown, len(s.dirty))]
	text := strings.Join(list, "\n  ")
	if more := len(s.dirty) - len(list); more > 0 {
		text += fmt.Sprintf("\n  … and %d more", more)
	}
	return &noon.Error{
		Kind: noon.Invalid, Op: "build release", Subject: s.top,
		Err:  fmt.Errorf("there are changes that are not committed:\n  %s", text),
		Hint: "Commit them, add what does not belong to the app to .gitignore, name a commit to build, or build a release marked dirty with --dirty.",
	}
}
