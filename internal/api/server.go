package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strconv"
	"time"

	"github.com/noon-deploy/noon"
)

// maxBody bounds a JSON request.
const maxBody = 4 << 20

// Controller is what the server asks. Every field is required.
type Controller struct {
	Health      func(ctx context.Context) (Health, error)
	Releases    func(ctx context.Context, app string) ([]ListedRelease, error)
	AddRelease  func(ctx context.Context, r io.Reader) (noon.Release, error)
	Plan        func(ctx context.Context, req DeployRequest) (Preview, error)
	Deploy      func(ctx context.Context, req DeployRequest) (noon.Deployment, error)
	Deployments func(ctx context.Context, site noon.Site, limit int) ([]noon.Deployment, error)
	Deployment  func(ctx context.Context, id int64) (DeploymentView, error)
	Watch       func(ctx context.Context, id int64, see func(DeploymentView) error) error
	Approve     func(ctx context.Context, id int64, d Decision) (noon.Deployment, error)
	Abort       func(ctx context.Context, id int64, d Decision) (noon.Deployment, error)
	Status      func(ctx context.Context, app string) ([]SiteStatus, error)
	Halt        func(ctx context.Context, req HaltRequest) (noon.Halt, error)
	Rehearsals  RehearsalDesk
	Config      func(ctx context.Context, site noon.Site) (ConfigView, error)
	SetConfig   func(ctx context.Context, site noon.Site, changes []ConfigChange) (ConfigView, error)
	Logs        func(ctx context.Context, q LogQuery, see func(LogLine) error) error
	Traffic     func(ctx context.Context, over time.Duration) (noon.TrafficSeen, error)
	Routed      func(ctx context.Context) ([]noon.Routed, error)
	Metrics     func(ctx context.Context) ([]byte, error)
	Access      func(ctx context.Context, q AccessQuery, see func(AccessLine) error) error
	Doctor      func(ctx context.Context) ([]Finding, error)
	Backup      func(ctx context.Context, path string) error
	Upgrade     func(ctx context.Context, req UpgradeRequest) error
	Down        func(ctx context.Context) error
}

// route is one operation: what the mux needs and what the OpenAPI document
// tells of it.
type route struct {
	method, path, summary string
	params                []param
	in, out               reflect.Type
	stream                bool   // the answer is a stream of JSON values, one a line
	kind                  string // content type of the answer; "": JSON
	serve                 func(w http.ResponseWriter, r *http.Request) error
}

type param struct{ name, in, kind, text string }

// NewHandler returns the server for a controller.
func NewHandler(c Controller) (http.Handler, error) {
	routes := c.routes()
	document, err := openAPI(routes)
	if err != nil {
		return nil, fmt.Errorf("describe the API: %w", err)
	}
	mux := http.NewServeMux()
	for _, rt := range routes {
		mux.HandleFunc(rt.method+" /"+Version+rt.path, func(w http.ResponseWriter, r *http.Request) {
			if err := rt.serve(w, r); err != nil {
				writeError(w, err)
			}
		})
	}
	mux.HandleFunc("GET /"+Version+"/openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(document)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeError(w, &noon.Error{
			Kind: noon.NotFound, Op: r.Method, Subject: r.URL.Path, Err: errors.New("the API has no such operation"),
			Hint: "GET /" + Version + "/openapi.json lists them. The client may be newer than the controller: `noon upgrade`.",
		})
	})
	return mux, nil
}

func appParam() param  { return param{"app", "query", "string", "name of the app; empty: all"} }
func siteParam() param { return param{"site", "query", "string", "app@environment"} }
func idParam() param   { return param{"id", "path", "integer", "number of the deployment"} }

func (c Controller) routes() []route {
	return []route{
		reads("/health", "which parts run, in which version", nil, func(r *http.Request) (Health, error) { return c.Health(r.Context()) }),
		reads("/releases", "the releases of an app, newest first", []param{appParam()}, func(r *http.Request) ([]ListedRelease, error) {
			return c.Releases(r.Context(), r.FormValue("app"))
		}),
		c.addRelease(),
		changes("/plan", "what a deployment would do", nil, func(r *http.Request, in DeployRequest) (Preview, error) { return c.Plan(r.Context(), in) }),
		changes("/deployments", "ask for a deployment or rollback", nil, func(r *http.Request, in DeployRequest) (noon.Deployment, error) {
			return c.Deploy(r.Context(), in)
		}),
		reads("/deployments", "deployments, newest first", []param{siteParam(), {"limit", "query", "integer", "how many; 0: all"}}, c.listDeployments),
		reads("/deployments/{id}", "one deployment with its journal", []param{idParam()}, withID(c.Deployment)),
		c.watch(),
		changes("/deployments/{id}/approve", "approve, or resolve tasks of unknown outcome", []param{idParam()}, decide(c.Approve)),
		changes("/deployments/{id}/abort", "ask a deployment to go back", []param{idParam()}, decide(c.Abort)),
		reads("/status", "what environments are now", []param{appParam()}, func(r *http.Request) ([]SiteStatus, error) {
			return c.Status(r.Context(), r.FormValue("app"))
		}),
		changes("/halt", "hold, resume, close or open an environment", nil, func(r *http.Request, in HaltRequest) (noon.Halt, error) {
			return c.Halt(r.Context(), in)
		}),
		changes("/rehearsals", "rehearse what a release brings to a store, on a copy", nil, func(r *http.Request, in RehearseRequest) (noon.Rehearsal, error) {
			return c.Rehearsals.Rehearse(r.Context(), in)
		}),
		reads("/rehearsals", "rehearsals, newest first", []param{siteParam(), {"limit", "query", "integer", "how many; 0: all"}}, c.Rehearsals.listed),
		reads("/rehearsals/{id}", "one rehearsal with its report", []param{rehearsalParam()}, withRehearsal(c.Rehearsals.Rehearsal)),
		c.Rehearsals.watch(),
		changes("/rehearsals/{id}/stop", "end a rehearsal; its copy is dropped", []param{rehearsalParam()}, func(r *http.Request, _ struct{}) (noon.Rehearsal, error) {
			return withRehearsal(c.Rehearsals.StopRehearsal)(r)
		}),
		reads("/config", "the configuration of an environment, without secrets", []param{siteParam()}, func(r *http.Request) (ConfigView, error) {
			site, err := siteOf(r)
			if err != nil {
				return ConfigView{}, err
			}
			return c.Config(r.Context(), site)
		}),
		changes("/config", "change the configuration of an environment", []param{siteParam()}, func(r *http.Request, in []ConfigChange) (ConfigView, error) {
			site, err := siteOf(r)
			if err != nil {
				return ConfigView{}, err
			}
			return c.SetConfig(r.Context(), site, in)
		}),
		c.logs(),
		reads("/traffic", "what the proxy answers within a span from now on; the answer comes when it is over", []param{
			{"over", "query", "string", "the span, 100ms to 10s; empty: 2s"},
		}, c.traffic),
		reads("/routed", "what the proxy routes where, and why", nil, func(r *http.Request) ([]noon.Routed, error) { return c.Routed(r.Context()) }),
		c.metrics(),
		c.access(),
		reads("/doctor", "what is wrong with the controller's machine", nil, func(r *http.Request) ([]Finding, error) { return c.Doctor(r.Context()) }),
		changes("/backup", "copy the ledger to a path on the controller's machine", nil, func(r *http.Request, in backupRequest) (struct{}, error) {
			return struct{}{}, c.Backup(r.Context(), in.Path)
		}),
		changes("/upgrade", "go on with another binary", nil, func(r *http.Request, in UpgradeRequest) (struct{}, error) {
			return struct{}{}, c.Upgrade(r.Context(), in)
		}),
		changes("/down", "stop every instance and every part on this machine", nil, func(r *http.Request, _ struct{}) (struct{}, error) {
			return struct{}{}, c.Down(r.Context())
		}),
	}
}

type backupRequest struct {
	Path string `json:"path"`
}

func (c Controller) addRelease() route {
	return route{
		method: http.MethodPost, path: "/releases", summary: "add a release: the body is a tar stream of an OCI layout",
		out: reflect.TypeFor[noon.Release](),
		serve: func(w http.ResponseWriter, r *http.Request) error {
			out, err := c.AddRelease(r.Context(), r.Body)
			if err != nil {
				return err
			}
			return writeJSON(w, out)
		},
	}
}

func (c Controller) watch() route {
	return streams("/deployments/{id}/watch", "the deployment each time it changes, with its new events", []param{idParam()},
		func(r *http.Request, see func(DeploymentView) error) error {
			id, err := idOf(r)
			if err != nil {
				return err
			}
			return c.Watch(r.Context(), id, see)
		})
}

func (c Controller) logs() route {
	return streams("/logs", "output of instances and tasks", []param{
		siteParam(),
		{"service", "query", "string", "only of this service"},
		{"release", "query", "string", "only of this release"},
		{"lines", "query", "integer", "how many of the past"},
		{"follow", "query", "boolean", "go on with new lines"},
	}, func(r *http.Request, see func(LogLine) error) error {
		site, err := siteOf(r)
		if err != nil {
			return err
		}
		lines, err := number(r, "lines")
		if err != nil {
			return err
		}
		return c.Logs(r.Context(), LogQuery{
			Site: site, Service: r.FormValue("service"), Release: r.FormValue("release"), Lines: lines, Follow: r.FormValue("follow") == "true",
		}, see)
	})
}

func (c Controller) listDeployments(r *http.Request) ([]noon.Deployment, error) {
	limit, err := number(r, "limit")
	if err != nil {
		return nil, err
	}
	var site noon.Site
	if r.FormValue("site") != "" {
		if site, err = siteOf(r); err != nil {
			return nil, err
		}
	}
	return c.Deployments(r.Context(), site, limit)
}

func decide(do func(context.Context, int64, Decision) (noon.Deployment, error)) func(*http.Request, Decision) (noon.Deployment, error) {
	return func(r *http.Request, in Decision) (noon.Deployment, error) {
		id, err := idOf(r)
		if err != nil {
			return noon.Deployment{}, err
		}
		return do(r.Context(), id, in)
	}
}

func withID[Out any](do func(context.Context, int64) (Out, error)) func(*http.Request) (Out, error) {
	return func(r *http.Request) (Out, error) {
		id, err := idOf(r)
		if err != nil {
			var none Out
			return none, err
		}
		return do(r.Context(), id)
	}
}

func reads[Out any](path, summary string, params []param, do func(*http.Request) (Out, error)) route {
	return route{
		method: http.MethodGet, path: path, summary: summary, params: params, out: reflect.TypeFor[Out](),
		serve: func(w http.ResponseWriter, r *http.Request) error {
			out, err := do(r)
			if err != nil {
				return err
			}
			return writeJSON(w, out)
		},
	}
}

func changes[In, Out any](path, summary string, params []param, do func(*http.Request, In) (Out, error)) route {
	return route{
		method: http.MethodPost, path: path, summary: summary, params: params, in: reflect.TypeFor[In](), out: reflect.TypeFor[Out](),
		serve: func(w http.ResponseWriter, r *http.Request) error {
			var in In
			decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
			decoder.DisallowUnknownFields()
			if err := decoder.Decode(&in); err != nil {
				return &noon.Error{Kind: noon.Invalid, Op: "read request", Subject: path, Err: err, Hint: "GET /" + Version + "/openapi.json describes it."}
			}
			out, err := do(r, in)
			if err != nil {
				return err
			}
			return writeJSON(w, out)
		},
	}
}

// streams writes a line per value. An error before the first line is an error
// answer; after it, the stream ends.
func streams[Out any](path, summary string, params []param, do func(*http.Request, func(Out) error) error) route {
	return route{
		method: http.MethodGet, path: path, summary: summary, params: params, out: reflect.TypeFor[Out](), stream: true,
		serve: func(w http.ResponseWriter, r *http.Request) error {
			begun := false
			encoder := json.NewEncoder(w)
			control := http.NewResponseController(w)
			err := do(r, func(v Out) error {
				if !begun {
					w.Header().Set("Content-Type", "application/x-ndjson")
				}
				begun = true
				if err := encoder.Encode(v); err != nil {
					return err
				}
				return control.Flush()
			})
			if begun || r.Context().Err() != nil {
				return nil //nolint:nilerr // lines were sent, or nobody is there to read an error
			}
			return err
		},
	}
}

func siteOf(r *http.Request) (noon.Site, error) {
	site, err := noon.ParseSiteKey(r.FormValue("site"))
	if err != nil {
		return site, &noon.Error{Kind: noon.Invalid, Op: "read request", Subject: "site", Err: err, Hint: "Write app@environment."}
	}
	return site, nil
}

func idOf(r *http.Request) (int64, error) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil || id < 1 {
		return 0, &noon.Error{Kind: noon.Invalid, Op: "read request", Subject: "deployment", Err: fmt.Errorf("%q is not a number from 1", r.PathValue("id"))}
	}
	return id, nil
}

func number(r *http.Request, name string) (int, error) {
	text := r.FormValue(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, &noon.Error{Kind: noon.Invalid, Op: "read request", Subject: name, Err: fmt.Errorf("%q is not a number from 0", text)}
	}
	return n, nil
}

func writeJSON(w http.ResponseWriter, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(data, '\n')) // the client has gone: nobody is left to tell
	return nil
}

func writeError(w http.ResponseWriter, err error) {
	e := noon.AsError(err)
	if e.Kind == "" {
		e.Kind = noon.Internal
	}
	data, merr := json.Marshal(e)
	if merr != nil {
		data = []byte(`{"kind":"internal"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.Kind.HTTPStatus())
	_, _ = w.Write(append(data, '\n'))
}
