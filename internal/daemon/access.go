package daemon

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/api"
	"github.com/noon-deploy/noon/internal/proxy/meter"
)

// AccessOptions say what the proxy writes of every request. The zero value is
// nothing.
type AccessOptions struct {
	On        bool
	Rules     []string // as meter.ParseRule reads them
	Query     []string // parameters of queries whose values are written
	Addresses bool     // whole addresses of clients, not only their networks
}

// argv are the flags that tell the proxy the same.
func (a AccessOptions) argv() []string {
	if !a.On {
		return nil
	}
	argv := []string{"--access-log"}
	for _, rule := range a.Rules {
		argv = append(argv, "--access-rule", rule)
	}
	for _, name := range a.Query {
		argv = append(argv, "--access-query", name)
	}
	if a.Addresses {
		argv = append(argv, "--access-addresses")
	}
	return argv
}

// AccessFile is the access log of the proxy.
func (p Paths) AccessFile() string { return filepath.Join(p.LogDir(), "access.log") }

// ownPaths are noon's own: what comes after them is a token.
const ownPaths = "/.noon/preview/"

// accessConfig reads the options; ok is false if no access log is wanted.
func accessConfig(opts Options) (cfg meter.LogConfig, ok bool, err error) {
	a := opts.Access
	cfg = meter.LogConfig{
		Path: opts.Paths.AccessFile(), Log: opts.Log,
		Redact: &meter.Redaction{ShowQuery: a.Query, HidePaths: []string{ownPaths}, WholeAddr: a.Addresses},
	}
	for _, text := range a.Rules {
		rule, err := meter.ParseRule(text)
		if err != nil {
			return cfg, false, &noon.Error{
				Kind: noon.Invalid, Op: "read", Subject: "--access-rule", Err: err,
				Hint: `Write for example --access-rule "share=0.1 class=2" --access-rule "share=0 prefix=/static/".`,
			}
		}
		cfg.Rules = append(cfg.Rules, rule)
	}
	return cfg, a.On, nil
}

// openAccess opens the access log; nil if none is wanted.
func openAccess(opts Options) (*meter.Log, error) {
	cfg, ok, err := accessConfig(opts)
	if err != nil || !ok {
		return nil, err
	}
	return meter.OpenLog(cfg)
}

// followEvery is how often a file is looked at for what was added.
const followEvery = 200 * time.Millisecond

// Access reads the access log.
func (c *Controller) Access(ctx context.Context, q api.AccessQuery, see func(api.AccessLine) error) error {
	return readAccess(ctx, c.opts.Paths.AccessFile(), q, see)
}

func readAccess(ctx context.Context, path string, q api.AccessQuery, see func(api.AccessLine) error) error {
	file, err := os.Open(path)
	if err != nil {
		return &noon.Error{
			Kind: noon.NotFound, Op: "read the access log", Subject: path, Err: err,
			Hint: "Start with `noon serve --access-log`; a proxy that runs already takes it up with `noon upgrade`.",
		}
	}
	defer func() { file.Close() }() // the one that is open then
	past, rest, err := lastLines(path, file, q)
	if err != nil {
		return err
	}
	for _, line := range past {
		if err := see(line); err != nil {
			return err
		}
	}
	for q.Follow && ctx.Err() == nil {
		sleep(ctx, followEvery)
		// Looked at before the file is read to its end, so that what was added to it
		// before it was replaced is not missed.
		next := replaced(path, file)
		added, err := io.ReadAll(file)
		if err != nil {
			return fmt.Errorf("read the access log: %w", err)
		}
		if rest, err = seeLines(append(rest, added...), q, see); err != nil {
			return err
		}
		if next != nil {
			file.Close()
			file, rest = next, nil
		}
	}
	return nil
}

// lastLines gives the last lines that q chooses, of the file before the present
// one too, and what of a line is not complete yet.
func lastLines(path string, file *os.File, q api.AccessQuery) (last []api.AccessLine, rest []byte, err error) {
	keep := func(line api.AccessLine) error {
		last = append(last, line)
		if len(last) > 2*q.Lines+16 {
			last = append(last[:0], last[len(last)-q.Lines:]...)
		}
		return nil
	}
	before, err := os.Open(path + ".1")
	switch {
	case err == nil:
		_, err = scanLines(before, q, keep)
		before.Close()
	case errors.Is(err, os.ErrNotExist):
		err = nil
	}
	if err == nil {
		rest, err = scanLines(file, q, keep)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read the access log: %w", err)
	}
	return last[max(0, len(last)-q.Lines):], rest, nil
}

func scanLines(r io.Reader, q api.AccessQuery, see func(api.AccessLine) error) (rest []byte, err error) {
	lines := bufio.NewReaderSize(r, 64<<10)
	for {
		text, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return text, nil
		}
		if err != nil {
			return nil, err
		}
		if _, err := seeLines(text, q, see); err != nil {
			return nil, err
		}
	}
}

// seeLines tells of the complete lines that q chooses and gives what is left.
func seeLines(text []byte, q api.AccessQuery, see func(api.AccessLine) error) (rest []byte, err error) {
	for {
		line, rest, complete := bytes.Cut(text, []byte{'\n'})
		if !complete {
			return line, nil
		}
		text = rest
		var l api.AccessLine
		if json.Unmarshal(line, &l) != nil || !chosen(l, q) {
			continue // a line that something else has written is not ours to tell
		}
		if err := see(l); err != nil {
			return nil, err
		}
	}
}

func chosen(l api.AccessLine, q api.AccessQuery) bool {
	return (q.App == "" || l.App == q.App) && (q.Environment == "" || l.Environment == q.Environment) &&
		(!q.Errors || l.Failed != "" || l.Status >= 500)
}

// replaced opens the file that is at the path now, if that is another one.
func replaced(path string, file *os.File) *os.File {
	mine, err := file.Stat()
	if err != nil {
		return nil
	}
	at, err := os.Stat(path)
	if err != nil || os.SameFile(mine, at) {
		return nil // being replaced at this moment: the next look finds it
	}
	next, err := os.Open(path)
	if err != nil {
		return nil
	}
	return next
}
