package tui

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/noon-deploy/noon/internal/api"
)

// Access draws a line of the access log.
func (p Page) Access(l api.AccessLine) string {
	status := strconv.Itoa(l.Status)
	switch {
	case l.Status == 0:
		status = p.bad(" - ")
	case l.Status >= 500:
		status = p.bad(status)
	case l.Status >= 400:
		status = p.warn(status)
	default:
		status = p.good(status)
	}
	took := time.Duration(l.Took * float64(time.Millisecond))
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s %s%s %s", p.dim(l.Time.In(p.Now.Location()).Format("15:04:05.000")), status, Clean(l.Method), Clean(l.Host), Clean(l.Path), latency(took))
	fmt.Fprintf(&b, " %s", Bytes(l.Out))
	for _, part := range []string{l.Release, l.Service, l.Instance, l.Client} {
		if part != "" {
			b.WriteString(" " + p.dim(Clean(part)))
		}
	}
	if l.Retries > 0 {
		b.WriteString(" " + p.warn("tried "+strconv.Itoa(l.Retries+1)+" times"))
	}
	if l.Failed != "" {
		b.WriteString(" " + p.bad(Clean(l.Failed)))
	}
	return b.String() + "\n"
}
