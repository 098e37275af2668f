package daemon

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/api"
	"github.com/noon-deploy/noon/internal/database/grammar"
	"github.com/noon-deploy/noon/internal/manifest"
	"github.com/noon-deploy/noon/internal/release"
)

// built is the noon that reads SQL for tests: without the race detector, under
// which the grammar takes a minute.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "noon-daemon-test")
	if err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "noon")
	out, err := exec.Command("go", "build", "-o", binary, "../../cmd/noon").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("build noon: %w: %s", err, out)
	}
	return binary, err
})

func TestMain(m *testing.M) {
	// Programs that scripts/servers has unpacked are found as installed ones are.
	unpacked, err := filepath.Abs(filepath.Join("..", "..", ".cache", "servers", "usr", "bin"))
	if err == nil {
		err = os.Setenv("PATH", os.Getenv("PATH")+string(os.PathListSeparator)+unpacked)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if binary, err := built(); err == nil {
		_ = os.RemoveAll(filepath.Dir(binary)) // a directory for temporary files
	}
	os.Exit(code)
}

func noonBinary(t *testing.T) string {
	t.Helper()
	binary, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// gate is a controller with an app whose migrations it applies; no host.
type gate struct {
	*shopDB
	c    *Controller
	repo string
	site noon.Site
}

func newGate(t *testing.T) *gate {
	t.Helper()
	dir := t.TempDir()
	g := &gate{shopDB: newShopDB(t), repo: filepath.Join(dir, "repo"), site: noon.Site{App: "shop", Environment: "production"}}
	paths := Paths{Data: filepath.Join(dir, "data"), Run: filepath.Join(dir, "run")}
	if err := paths.Prepare(); err != nil {
		t.Fatal(err)
	}
	var err error
	if g.c, err = newController(t.Context(), Options{Paths: paths, Binary: noonBinary(t), Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.c.close(); err != nil {
			t.Error(err)
		}
	})
	g.git("init", "-q", g.repo)
	return g
}

func (g *gate) git(args ...string) {
	g.t.Helper()
	if args[0] != "init" {
		args = append([]string{"-C", g.repo, "-c", "user.name=a", "-c", "user.email=a@example.com"}, args...)
	}
	if out, err := exec.CommandContext(g.t.Context(), "git", args...).CombinedOutput(); err != nil {
		g.t.Fatalf("git %v: %v: %s", args, err, out)
	}
}

// build commits files, and takes in the release that they make.
func (g *gate) build(files map[string]string) noon.Release {
	g.t.Helper()
	for name, text := range files {
		path := filepath.Join(g.repo, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			g.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			g.t.Fatal(err)
		}
	}
	g.git("add", "-A")
	g.git("commit", "-qm", "a release")
	ctx := g.t.Context()
	store, err := release.Open(g.t.TempDir())
	if err != nil {
		g.t.Fatal(err)
	}
	content, err := store.Build(ctx, release.Recipe{Repo: g.repo, Parse: func(text []byte) (noon.App, error) { return manifest.Parse("noon.yaml", text) }})
	if err != nil {
		g.t.Fatal(err)
	}
	var archive bytes.Buffer
	if err := store.Export(ctx, content.Digest, &archive); err != nil {
		g.t.Fatal(err)
	}
	rel, err := g.c.AddRelease(ctx, &archive)
	if err != nil {
		g.t.Fatal(err)
	}
	return rel
}

const gateYAML = `app: shop
services: {web: {command: "sleep 1", paths: [/]}}
secrets: [DATABASE_URL]
stores: {db: {kind: postgres, coexistence: shared, url: DATABASE_URL, migrations: db, compatible: true}}
environments: {production: {}}
`

// A release whose migration would keep users waiting is refused with the
// reason; in its safe form it goes through.
func TestMigrationThatBlocksIsRefused(t *testing.T) {
	t.Parallel()
	g, ctx := newGate(t), t.Context()
	g.exec(g.owner, "create table orders (id bigint primary key, at int); insert into orders select n, n from generate_series(1, 20000) n; analyze orders")
	if _, err := g.c.SetConfig(ctx, g.site, []api.ConfigChange{{Name: "DATABASE_URL", Value: g.owner, Secret: true}}); err != nil {
		t.Fatal(err)
	}
	rel := g.build(map[string]string{"noon.yaml": gateYAML, "db/0001_at.sql": "CREATE INDEX orders_at ON orders (at);\n"})
	req := api.DeployRequest{Site: g.site, Release: rel.Name()}
	preview, err := g.c.Plan(ctx, req)
	if err != nil || len(preview.Plan.Hazards) != 1 {
		t.Fatalf("%v, hazards %+v", err, preview.Plan.Hazards)
	}
	h := preview.Plan.Hazards[0]
	if h.Store != "db" || h.Place() != "db/0001_at.sql:1" || h.Rule != "create-index" || !h.Refuses || !strings.Contains(h.Expected, "20,000 rows") ||
		!strings.Contains(h.Instead, "CONCURRENTLY") || len(h.Locks) != 1 || h.Locks[0].Mode != "SHARE" {
		t.Errorf("%+v", h)
	}
	_, err = g.c.Deploy(ctx, req)
	if noon.KindOf(err) != noon.Invalid || !strings.Contains(err.Error(), "deploy r1 to production: db/0001_at.sql:1 (create-index): nobody can write public.orders until the index is built") ||
		!strings.Contains(noon.HintOf(err), "Nothing was changed. ") || !strings.Contains(noon.HintOf(err), "noon migration lint --fix") {
		t.Errorf("%v\nhint: %s", err, noon.HintOf(err))
	}
	if list, err := g.c.Deployments(ctx, g.site, 0); err != nil || len(list) > 0 {
		t.Errorf("there are deployments: %v, %v", list, err)
	}
	lax := g.build(map[string]string{"noon.yaml": strings.Replace(gateYAML, "migrations: db,", "migrations: db, lint: {refuse: never},", 1)})
	if preview, err = g.c.Plan(ctx, api.DeployRequest{Site: g.site, Release: lax.Name()}); err != nil || len(preview.Plan.Hazards) != 1 || preview.Plan.Refusal() != nil {
		t.Errorf("with refuse: never: %v, %v", err, preview.Plan.Refusal())
	}
	file := filepath.Join(g.repo, "db/0001_at.sql")
	if out, err := exec.CommandContext(ctx, noonBinary(t), "migration", "lint", "--fix", file).CombinedOutput(); err != nil || !strings.Contains(string(out), "1 statement replaced") {
		t.Fatalf("%v: %s", err, out)
	}
	rel = g.build(map[string]string{"noon.yaml": gateYAML})
	d, err := g.c.Deploy(ctx, api.DeployRequest{Site: g.site, Release: rel.Name()})
	if err != nil || d.Status != noon.Queued {
		t.Fatalf("the safe form: %v (%s), %v", err, noon.HintOf(err), d.Status)
	}
	task := noon.DataTask{Site: g.site, Data: noon.Data{Store: "db", Phase: noon.DataAlone, Revision: d.Plan.To}}
	if err := g.c.desk.data.reach(ctx, task, func(string) {}); err != nil {
		t.Fatal(err)
	}
	if got, err := g.try(g.owner, "select indisvalid from pg_index where indexrelid = 'orders_at'::regclass"); err != nil || got != "t" {
		t.Errorf("the index is valid: %q, %v", got, err)
	}
}

// shared is a shared store as a release brings it.
func (s *shopDB) shared(n int, files map[string]string, uses ...string) *migrated {
	return &migrated{
		Store:   noon.Store{Name: "db", Kind: "postgres", Coexistence: noon.Shared, URL: "DATABASE_URL", Migrations: "db", Lint: noon.Lint{Uses: uses}},
		release: noon.ReleaseName(n), address: s.owner, files: files,
	}
}

func places(list []noon.Hazard) []string {
	var all []string
	for _, h := range list {
		text := fmt.Sprintf("%s %s %s %s", h.Phase, h.Gravity, h.Place(), h.Rule)
		if h.Rule == "in-use" || h.Accepted != "" {
			text += ": " + h.Text
		}
		all = append(all, strings.TrimSpace(text+" "+h.Accepted))
	}
	return all
}

// A plan says that batches would not wait for replicas, which the store's user
// may not see.
func TestReplicasUnseenInThePlan(t *testing.T) {
	t.Parallel()
	s, ctx := newShopDB(t), t.Context()
	s.d.grammar = grammar.NewChild(0, noonBinary(t), "grammar")
	s.exec(s.owner, "create table t (id int primary key, a int)")
	config, err := pgconn.ParseConfig(s.super)
	if err != nil {
		t.Fatal(err)
	}
	config.RuntimeParams["replication"] = "database" // as a replica is connected
	conn, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // the test has its answer
	r1 := s.shared(1, map[string]string{"0001_a.sql": "-- noon: data over t.id in 10\nUPDATE t SET a = id WHERE id BETWEEN :low AND :high;\n"})
	found, err := s.d.lintSQL(ctx, *r1, nil)
	if err != nil || len(found) != 1 || found[0].Rule != "replica-lag" || found[0].Advice != "As a superuser: GRANT pg_monitor TO owner." {
		t.Errorf("hazards %+v, %v", found, err)
	}
	s.exec(s.super, "grant pg_monitor to owner")
	if found, err := s.d.lintSQL(ctx, *r1, nil); err != nil || len(found) != 0 {
		t.Errorf("with the right to see them: %+v, %v", found, err)
	}
}

// What expands is judged with the release before there, what contracts with
// the new one alone; what was run, and what the release before still contracts,
// is not judged at all.
func TestSectionsAreJudgedWhereTheyRun(t *testing.T) {
	t.Parallel()
	s, ctx := newShopDB(t, "shared_preload_libraries=pg_stat_statements"), t.Context()
	s.d.grammar = grammar.NewChild(0, noonBinary(t), "grammar")
	s.exec(s.super, "create extension pg_stat_statements; grant pg_read_all_stats to owner")
	files := map[string]string{"0001_init.sql": `create table t (id int primary key, a int, b int, c int, d int, e int, f int);
-- noon: contract
alter table t drop column f;
`}
	r1 := s.shared(1, files, "t.b", "t.f")
	if err := s.d.sql(ctx, noon.DataTask{Data: noon.Data{Phase: noon.DataBoth}}, *r1, nil, func(string) {}); err != nil {
		t.Fatal(err)
	}
	s.exec(s.owner, "insert into t (id) select n from generate_series(1, 20000) n; analyze t; select c, d from t where id = 1")
	r2 := s.shared(2, map[string]string{"0001_init.sql": files["0001_init.sql"], "0002_next.sql": `-- noon: expand
alter table t drop column a;
alter table t drop column b;
alter table t drop column c;
-- noon: blocking "it is a Sunday"
create index t_d on t (d);
-- noon: contract
alter table t drop column d;
alter table t drop column e;
`}, "t.e")
	found, err := s.d.lintSQL(ctx, *r2, r1)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"expand error db/0002_next.sql:2 drop-column",
		"expand error db/0002_next.sql:3 in-use: r1 still uses public.t.b (noon.yaml)",
		"expand error db/0002_next.sql:4 in-use: owner still uses public.t.c (pg_stat_statements, 1 calls: select c, d from t where id = $1)",
		"expand note db/0002_next.sql:6 create-index: nobody can write public.t until the index is built it is a Sunday",
		"contract error db/0002_next.sql:9 in-use: r2 still uses public.t.e (noon.yaml)",
	}
	if diff := cmp.Diff(want, places(found)); diff != "" {
		t.Errorf("hazards (-want +got):\n%s", diff)
	}
	if found, err = s.d.lintSQL(ctx, *r1, r1); err != nil || found != nil {
		t.Errorf("a release without a migration of its own: %v, %v", found, err)
	}
	s.d.grammar = grammar.NewChild(0, "/nothing/there")
	if _, err = s.d.lintSQL(ctx, *r2, r1); noon.KindOf(err) != noon.Failure || !strings.Contains(noon.HintOf(err), "Nothing was changed") {
		t.Errorf("without a child: %v", err)
	}
}

// Raw SQL among declared operations is looked at like any other; tables that
// the release makes itself are nobody's yet.
func TestRawSQLOfAVersionedStoreIsJudged(t *testing.T) {
	t.Parallel()
	s := newShopDB(t)
	s.files["0001_init.yaml"] = `operations:
- create_table: {name: orders, columns: [{name: id, type: bigint, pk: true}, {name: customer, type: text, nullable: true}]}`
	r1 := s.release(1)
	s.must(noon.DataAlone, r1, nil)
	s.exec(s.owner, "insert into orders select n from generate_series(1, 20000) n; analyze orders")
	s.files["0002_more.yaml"] = `operations:
- create_table: {name: notes, columns: [{name: id, type: bigint, pk: true}]}
- sql: {up: "create index notes_id on notes (id); insert into notes values (1)"}
- sql: {up: "create index orders_customer on orders (customer)"}
- sql: {up: "alter table orders drop column customer", phase: contract}`
	r2 := s.release(2)
	s.d.grammar = grammar.NewChild(0, noonBinary(t), "grammar")
	found, err := s.d.lintVersioned(t.Context(), *r2, r1)
	s.d.grammar = nil // nothing that follows has an expression to read
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"expand error migrations/0002_more.yaml:4 create-index"}, places(found)); diff != "" {
		t.Errorf("hazards (-want +got):\n%s", diff)
	}
	// The row that the change itself brings into its table is not lost when it
	// is withdrawn; one that somebody has written is.
	s.files["0002_more.yaml"] = strings.Join(strings.Split(s.files["0002_more.yaml"], "\n")[:3], "\n")
	r2 = s.release(2)
	s.must(noon.DataBoth, r2, r1)
	s.must(noon.DataAlone, r1, r2)
	s.must(noon.DataBoth, r2, r1)
	s.exec(s.super, "insert into notes values (2)")
	if err := s.reach(noon.DataAlone, r1, r2); noon.KindOf(err) != noon.Conflict || !strings.Contains(err.Error(), "rows of new table notes: 1") && !strings.Contains(err.Error(), "1 rows of new table notes") {
		t.Errorf("a row of a user: %v", err)
	}
}

// Without a grammar the words of statements tell something.
func TestSectionsOfOtherServers(t *testing.T) {
	t.Parallel()
	m := migrated{
		Store:   noon.Store{Name: "db", Kind: "sqlite", Coexistence: noon.Shared, URL: "FILE", Migrations: "db"},
		address: "sqlite:" + filepath.Join(t.TempDir(), "shop.db") + "?mode=rwc", release: "r2",
		files: map[string]string{"0001_a.sql": "create table t (id int);\nupdate t set id = 1;\n-- noon: contract\ndrop table u;\n", "0002_b.sql": "alter table u\n  drop column x;\n"},
	}
	before := m
	before.files = nil
	found, err := (&databases{}).lintSQL(context.Background(), m, &before)
	if diff := cmp.Diff([]string{"expand error db/0002_b.sql:1 drop-column"}, places(found)); err != nil || diff != "" {
		t.Errorf("%v; hazards (-want +got):\n%s", err, diff)
	}
	if found, err := (&databases{}).lintSQL(context.Background(), m, nil); err != nil || found != nil {
		t.Errorf("a first release: %v, %v", found, err)
	}
}
