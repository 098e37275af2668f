package api

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/noon-deploy/noon"
)

// AccessLine is one request in the access log.
type AccessLine struct {
	Time        time.Time `json:"time"`
	Status      int       `json:"status"` // 0: no answer was sent
	Method      string    `json:"method,omitempty"`
	Host        string    `json:"host,omitempty"`
	Path        string    `json:"path"` // with the names of the query's parameters; values are "…"
	Protocol    string    `json:"protocol,omitempty"`
	Took        float64   `json:"took_ms"`
	FirstByte   float64   `json:"first_byte_ms,omitempty"`
	In          int64     `json:"in"`
	Out         int64     `json:"out"`
	App         string    `json:"app,omitempty"`
	Environment string    `json:"environment,omitempty"`
	Service     string    `json:"service,omitempty"`
	Route       string    `json:"route,omitempty"`
	Release     string    `json:"release,omitempty"` // "r42.c3"
	Instance    string    `json:"instance,omitempty"`
	Retries     int       `json:"retries,omitempty"`
	Failed      string    `json:"failed,omitempty"` // why no instance could answer
	Client      string    `json:"client,omitempty"`
	UserAgent   string    `json:"user_agent,omitempty"`
	RequestID   string    `json:"request_id,omitempty"`
	TraceID     string    `json:"trace_id,omitempty"`
	Share       float64   `json:"share,omitempty"` // of its kind that are written, where that is less than all
}

// Site is whose request it was.
func (l AccessLine) Site() noon.Site { return noon.Site{App: l.App, Environment: l.Environment} }

// AccessQuery chooses lines of the access log.
type AccessQuery struct {
	App, Environment string // "": all
	Lines            int    // of the past
	Follow           bool
	Errors           bool // only what failed or was answered 5xx
}

func (c Controller) access() route {
	return streams("/access", "lines of the access log, oldest first", []param{
		appParam(),
		{"environment", "query", "string", "only of this environment"},
		{"lines", "query", "integer", "how many of the past"},
		{"follow", "query", "boolean", "go on with new lines"},
		{"errors", "query", "boolean", "only what failed or was answered 5xx"},
	}, func(r *http.Request, see func(AccessLine) error) error {
		lines, err := number(r, "lines")
		if err != nil {
			return err
		}
		return c.Access(r.Context(), AccessQuery{
			App: r.FormValue("app"), Environment: r.FormValue("environment"), Lines: lines,
			Follow: r.FormValue("follow") == "true", Errors: r.FormValue("errors") == "true",
		}, see)
	})
}

// Access calls see with each line of the access log.
func (c *Client) Access(ctx context.Context, q AccessQuery, see func(AccessLine) error) error {
	return stream(ctx, c, "/access", url.Values{
		"app": {q.App}, "environment": {q.Environment}, "lines": {strconv.Itoa(q.Lines)},
		"follow": {strconv.FormatBool(q.Follow)}, "errors": {strconv.FormatBool(q.Errors)},
	}, see)
}
