package cli_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/api"
	"github.com/noon-deploy/noon/internal/manifest"
	"github.com/noon-deploy/noon/internal/planner"
)

const shopManifest = `app: shop
services:
  web: {command: ./shop web, paths: [/], ready: {http: /healthz}}
variables: [DATA_DIR]
secrets: [SESSION_KEY]
environments:
  staging: {}
  production: {after: staging, warm: 10m}
`

func ago(d time.Duration) time.Time { return noonTime.Add(-d) }

func site(env string) noon.Site { return noon.Site{App: "shop", Environment: env} }

func revision(release int) noon.Revision { return noon.Revision{Release: release, Config: 1} }

// plan is what the planner makes of a deployment of the shop.
func plan(t *testing.T, env string, from, to int) noon.Plan {
	t.Helper()
	app, err := manifest.Parse("noon.yaml", []byte(shopManifest))
	if err != nil {
		t.Fatal(err)
	}
	in := planner.Input{Kind: noon.PlanDeploy, Site: site(env), To: revision(to), Apps: map[noon.Revision]noon.App{revision(to): app}}
	if from > 0 {
		in.Apps[revision(from)] = app
		in.Current = noon.State{Presences: []noon.Presence{{
			Revision: revision(from), Share: noon.PointsWhole, Hosts: []string{noon.LocalHost},
			Place: []noon.Placement{{Host: noon.LocalHost, Service: "web", Count: 1}},
		}}}
	}
	p, err := planner.Plan(in)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func releases() []api.ListedRelease {
	release := func(n int, commit string) noon.Release {
		return noon.Release{
			App: "shop", Number: n, Digest: "sha256:" + strings.Repeat(fmt.Sprint(n), 64), Commit: strings.Repeat(commit, 20),
			Title: "release number " + fmt.Sprint(n), Size: int64(n) * 4_100_000, Added: ago(time.Duration(9-n) * time.Hour),
		}
	}
	return []api.ListedRelease{
		{Release: release(2, "c2"), Live: []string{"staging"}, Passed: []string{"staging"}},
		{Release: release(1, "c1"), Live: []string{"production"}, Passed: []string{"staging", "production"}},
	}
}

func find(number string) (noon.Release, bool) {
	list := releases()
	i := slices.IndexFunc(list, func(r api.ListedRelease) bool { return r.Name() == number || number == "" })
	if i < 0 {
		return noon.Release{}, false
	}
	return list[i].Release, true
}

// answering is a controller whose answers are fixed, so that what the command
// line makes of them can be compared. That of noon itself is driven by e2e.
func answering(t *testing.T) api.Controller {
	t.Helper()
	var mu sync.Mutex // of what is remembered between two commands of a script
	config := api.ConfigView{Version: 1, Variables: map[string]string{"DATA_DIR": "/srv"}, Missing: []string{"SESSION_KEY"}}
	deployment := func(id int64, env string, status noon.Status) noon.Deployment {
		p := plan(t, env, 1, 2)
		d := noon.Deployment{ID: id, Site: site(env), Plan: p, Status: status, By: "ada", Created: ago(time.Minute), Started: ago(time.Minute)}
		switch {
		case status == noon.Returned:
			d.Error = &noon.Error{Kind: noon.Failure, Op: "smoke check", Subject: "home", Err: errors.New("it answered 500, not 200"), Hint: "`noon logs` shows what it said."}
			d.Ended = ago(57 * time.Second)
		case status.Good():
			d.At, d.Ended, d.WarmUntil = p.Index(noon.Switched), ago(56*time.Second), noonTime.Add(9*time.Minute)
		case status == noon.Walking:
			d.At, d.Waiting = p.Index(noon.Staged), "instances of r2 to be ready"
		}
		return d
	}
	view := func(d noon.Deployment) api.DeploymentView {
		v := api.DeploymentView{Deployment: d}
		for i := range d.At + 1 {
			v.Events = append(v.Events, noon.Event{
				Seq: int64(i + 1), Deployment: d.ID, At: d.Started.Add(time.Duration(i) * time.Second), Kind: noon.Intent, State: i, Subject: "enter", Detail: d.Plan.Label(i),
			})
		}
		return v
	}
	byID := func(id int64) (noon.Deployment, error) {
		switch id {
		case 1:
			return deployment(1, "production", noon.Succeeded), nil
		case 7:
			return deployment(7, "staging", noon.Warm), nil
		case 8:
			return deployment(8, "production", noon.Returned), nil
		case 9:
			return deployment(9, "production", noon.Superseded), nil
		}
		return noon.Deployment{}, &noon.Error{Kind: noon.NotFound, Op: "look for deployment", Subject: fmt.Sprintf("d%d", id), Err: errors.New("there is none of that name"), Hint: "`noon history` lists them."}
	}
	var left atomic.Int32 // answers until an upgrade is over
	return api.Controller{
		Health: func(context.Context) (api.Health, error) {
			h := api.Health{Version: "v1.2.3", PID: 4711, StartedAt: ago(time.Hour)}
			if left.Load() == 0 {
				return h, nil
			}
			switch left.Add(-1) {
			case 2: // it goes on answering for a moment
				return h, nil
			case 1:
				return api.Health{}, &noon.Error{Kind: noon.Unavailable, Op: "upgrade", Err: errors.New("one moment")}
			}
			h.Version, h.StartedAt = "v1.2.4", ago(0)
			return h, nil
		},
		Releases: func(context.Context, string) ([]api.ListedRelease, error) { return releases(), nil },
		AddRelease: func(_ context.Context, r io.Reader) (noon.Release, error) {
			n, err := io.Copy(io.Discard, r)
			if err != nil || n == 0 {
				return noon.Release{}, fmt.Errorf("read %d bytes of a release: %w", n, err)
			}
			added, _ := find("r2")
			return added, nil
		},
		Plan: func(_ context.Context, req api.DeployRequest) (api.Preview, error) {
			r, ok := find(req.Release)
			if !ok {
				return api.Preview{}, &noon.Error{Kind: noon.NotFound, Op: "look for release", Subject: req.Release, Err: errors.New("shop has r1, r2"), Hint: "`noon releases` lists them."}
			}
			v := api.Preview{Release: r}
			if req.Site.Environment == "bare" {
				v.Missing = []string{"SESSION_KEY"}
				return v, nil
			}
			v.Plan = plan(t, req.Site.Environment, 3-r.Number, r.Number)
			v.Plan.Kind = req.Kind
			if req.Reason == "hurts" {
				v.Plan.Hazards = []noon.Hazard{{Store: "db", Phase: noon.DataBoth, Gravity: noon.GravityError, Rule: "create-index", File: "db/0001_at.sql", Line: 1, Text: "nobody can write orders", Advice: "Build it CONCURRENTLY.", Refuses: true}}
			}
			return v, nil
		},
		Deploy: func(_ context.Context, req api.DeployRequest) (noon.Deployment, error) {
			if req.Key == "" || req.By != "ada" || req.Release == "" {
				return noon.Deployment{}, fmt.Errorf("the request lacks its key, user or release: %+v", req)
			}
			switch {
			case req.Reason == "superseded":
				return byID(9)
			case req.Site.Environment == "staging":
				return byID(7)
			}
			return byID(8)
		},
		Deployments: func(_ context.Context, s noon.Site, _ int) ([]noon.Deployment, error) {
			if s == site("staging") {
				return []noon.Deployment{deployment(7, "staging", noon.Warm)}, nil
			}
			return []noon.Deployment{deployment(10, "production", noon.Walking), deployment(8, "production", noon.Returned), deployment(1, "production", noon.Succeeded)}, nil
		},
		Deployment: func(_ context.Context, id int64) (api.DeploymentView, error) {
			d, err := byID(id)
			if err != nil {
				return api.DeploymentView{}, err
			}
			return view(d), nil
		},
		Watch: func(_ context.Context, id int64, see func(api.DeploymentView) error) error {
			d, err := byID(id)
			if err != nil {
				return err
			}
			return see(view(d))
		},
		Approve: func(_ context.Context, id int64, d api.Decision) (noon.Deployment, error) {
			if len(d.Resolve) > 0 && d.Resolve["t_1"] != noon.TakeAsDone {
				return noon.Deployment{}, fmt.Errorf("resolved %v", d.Resolve)
			}
			return deployment(id, "production", noon.Walking), nil
		},
		Halt: func(_ context.Context, req api.HaltRequest) (noon.Halt, error) {
			switch {
			case req.Site.Environment == "bare":
				return noon.Halt{}, &noon.Error{Kind: noon.Conflict, Op: string(req.Action), Subject: req.Site.String(), Err: errors.New("nothing has been deployed to it")}
			case req.Action == api.HoldSite:
				return noon.Halt{Hold: &noon.Hold{Limit: req.For, Most: req.Most, Until: noonTime.Add(req.For), By: req.By}}, nil
			case req.Action == api.CloseSite:
				return noon.Halt{Closed: &noon.Closed{Text: req.Text, By: req.By}}, nil
			}
			return noon.Halt{}, nil
		},
		Abort: func(_ context.Context, id int64, _ api.Decision) (noon.Deployment, error) {
			if id == 10 {
				return byID(8)
			}
			return byID(id)
		},
		Status: func(context.Context, string) ([]api.SiteStatus, error) {
			under := deployment(10, "production", noon.Walking)
			over := deployment(7, "staging", noon.Warm)
			return []api.SiteStatus{
				{
					Site: site("production"), Live: "r1.c1", State: "S4 staged", Deployment: &under, Addresses: []string{"127.0.0.1:8080"},
					Hosts: []noon.Observed{{Site: site("production"), Host: "local", Instances: []noon.Instance{{
						ID: "shop@production_r1.c1_web_0_1", Site: site("production"), Revision: revision(1), Service: "web", Incarnation: 1,
						Phase: noon.Ready, PID: 4712, Address: "127.0.0.1:41234", Started: ago(3 * time.Hour), Since: ago(3 * time.Hour),
					}}}},
				},
				{Site: site("staging"), Live: "r2.c1", Warm: []string{"r1.c1"}, State: "S6 switched", Deployment: &over},
			}, nil
		},
		Config: func(context.Context, noon.Site) (api.ConfigView, error) {
			mu.Lock()
			defer mu.Unlock()
			return config, nil
		},
		SetConfig: func(_ context.Context, _ noon.Site, changes []api.ConfigChange) (api.ConfigView, error) {
			mu.Lock()
			defer mu.Unlock()
			config.Version++
			for _, c := range changes {
				switch {
				case c.Unset:
					config.Secrets = slices.DeleteFunc(config.Secrets, func(name string) bool { return name == c.Name })
				case c.Secret && c.Value == "s3cret":
					config.Secrets, config.Missing = append(config.Secrets, c.Name), nil
				case c.Secret:
					return config, fmt.Errorf("the secret came as %q", c.Value)
				}
			}
			return config, nil
		},
		Logs: func(_ context.Context, q api.LogQuery, see func(api.LogLine) error) error {
			for i := range min(q.Lines, 3) {
				line := api.LogLine{At: noonTime.Add(time.Duration(i) * time.Second), Source: "web.0", Revision: "r1.c1", Instance: "i", Stream: "stdout", Text: fmt.Sprintf("line %d of %s", i, q.Site)}
				if err := see(line); err != nil {
					return err
				}
			}
			return nil
		},
		Traffic: func(_ context.Context, over time.Duration) (noon.TrafficSeen, error) {
			if over < 100*time.Millisecond {
				return noon.TrafficSeen{}, &noon.Error{Kind: noon.Invalid, Op: "look at the traffic", Subject: "over", Err: fmt.Errorf("%v is too short", over), Hint: "Name a span such as 2s."}
			}
			return noon.TrafficSeen{
				At: noonTime, Over: over, Connections: 5,
				Routes: []noon.RouteTraffic{
					{Site: site("production"), Service: "web", Route: "/", Revision: revision(1), Rate: 120.5, P50: 3 * time.Millisecond, P99: 40 * time.Millisecond, Out: 1e6, Requests: 100, Sessions: 7},
					{Site: site("staging"), Service: "web", Route: "/", Revision: revision(2), Rate: 1},
				},
				Services: []noon.ServiceTraffic{{Site: site("production"), Service: "web", Revision: revision(1), Points: noon.PointsWhole, Instances: 1, Requests: 2}},
			}, nil
		},
		Routed: func(context.Context) ([]noon.Routed, error) {
			return []noon.Routed{
				{
					Site: site("production"), Fence: noon.Fence{Epoch: 1, Generation: 7}, Sequence: 2, Since: ago(time.Hour), Domains: []string{"shop.example.com"},
					Paths: []noon.Path{{Prefix: "/", Service: "web"}}, Shares: []noon.Share{{Revision: revision(1), Points: noon.PointsWhole}}, Previews: []noon.Revision{revision(2)},
					Endpoints: []noon.RoutedEndpoint{{EndpointStatus: noon.EndpointStatus{ID: "i1", Revision: revision(1), Service: "web", Routed: true, Served: 10}, Address: "127.0.0.1:41234", Drain: 15 * time.Second}},
				},
				{Site: site("staging"), Problems: []string{"no release is live: requests are answered 503"}},
			}, nil
		},
		Access: func(_ context.Context, q api.AccessQuery, see func(api.AccessLine) error) error {
			for i, status := range []int{200, 404, 503}[max(0, 3-q.Lines):] {
				line := api.AccessLine{
					Time: noonTime.Add(time.Duration(i) * time.Second), Status: status, Method: "GET", Host: "shop.example.com", Path: "/products?q=…", Took: 3.21,
					Out: 5120, App: q.App, Environment: "production", Service: "web", Release: "r1.c1", Instance: "web-7f3a", Client: "192.0.2.0/24",
				}
				if status == 503 {
					line.Failed, line.Retries = "timeout", 1
				}
				if q.Errors && status != 503 {
					continue
				}
				if err := see(line); err != nil {
					return err
				}
			}
			return nil
		},
		Metrics: func(context.Context) ([]byte, error) { return []byte("noon_connections 5\n"), nil },
		Doctor:  func(context.Context) ([]api.Finding, error) { return []api.Finding{{Subject: "ledger", OK: true}}, nil },
		Backup:  func(_ context.Context, path string) error { return os.WriteFile(path, []byte("ledger"), 0o600) },
		Upgrade: func(_ context.Context, req api.UpgradeRequest) error {
			left.Store(3)
			_, err := os.Stat(req.Binary)
			return err
		},
		Down: func(context.Context) error { return nil },
	}
}
