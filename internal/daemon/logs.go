package daemon

import (
	"context"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/api"
	"github.com/noon-deploy/noon/internal/host"
)

// Logs gives output of instances and tasks of a site.
func (c *Controller) Logs(ctx context.Context, q api.LogQuery, see func(api.LogLine) error) error {
	release := 0
	if q.Release != "" {
		var err error
		if release, err = noon.ParseReleaseName(q.Release); err != nil {
			return &noon.Error{Kind: noon.Invalid, Op: "read logs", Subject: q.Site.String(), Err: err, Hint: "`noon releases` lists the names."}
		}
	}
	return c.host.Logs(ctx, q.Site, host.Filter{Service: q.Service, Lines: q.Lines}, q.Follow, func(l host.LogLine) error {
		if release != 0 && l.Revision.Release != release {
			return nil
		}
		source := l.Service
		if l.Task != "" {
			source = "task"
		}
		return see(api.LogLine{At: l.At, Source: source, Revision: l.Revision.String(), Instance: l.Instance + l.Task, Text: l.Text})
	})
}
