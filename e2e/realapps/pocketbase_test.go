package realapps

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// note is what a journey leaves behind.
type note struct {
	ID    string `json:"id"`
	Title string `json:"title"`
	N     int    `json:"n"`
	Owner string `json:"owner"`
}

// notes is the example with its first version live.
type notes struct {
	*machine
	journey string
}

const (
	adminEmail    = "root@example.com"
	adminPassword = "only-for-tests"
	first         = "first" // the title of a note that a smoke check looks for
	waitForApp    = time.Minute
)

func startNotes(t *testing.T, version string) notes {
	t.Helper()
	chosen(t, "pocketbase")
	t.Parallel()
	m := newMachine(t, "pocketbase", "notes")
	data := filepath.Join(m.dir, "pb")
	m.set(map[string]string{"DATA_DIR": data, "SITE_URL": m.url}, nil)
	n := notes{m, m.program("journey/main.go")}
	m.release(version, map[string]string{"version": version, "before": ""})
	n.seed(data, version)
	m.walk("r1", "deploy", "r1")
	return n
}

// seed is what an operator does once: an administrator and a collection. The
// program that the build has left in the cache does it on a port of its own.
func (n notes) seed(data, version string) {
	n.t.Helper()
	old := strings.HasPrefix(version, "0.22.")
	args, login, fields := []string{"superuser", "upsert"}, "/api/collections/_superusers/auth-with-password", "fields"
	if old {
		args, login, fields = []string{"admin", "create"}, "/api/admins/auth-with-password", "schema"
	}
	program := filepath.Join(cacheDir, "realapps", "pocketbase-"+version)
	flags := []string{"--dir", data, "--migrationsDir", filepath.Join(n.dir, "migrations"), "--automigrate=false"}
	for _, args := range [][]string{{"migrate", "up"}, append(args, adminEmail, adminPassword)} {
		if out, err := exec.CommandContext(n.t.Context(), program, append(args, flags...)...).CombinedOutput(); err != nil {
			n.t.Fatalf("pocketbase %q: %v: %s", args, err, out)
		}
	}
	ctx, cancel := context.WithCancel(n.t.Context())
	address := freeAddress(n.t)
	cmd := exec.CommandContext(ctx, program, append([]string{"serve", "--http", address}, flags...)...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	defer func() {
		cancel()
		_ = cmd.Wait() // it was told to end
	}()
	alone := *n.machine
	alone.url = "http://" + address
	var in struct{ Token string }
	eventually(n.t, waitForApp, "the administrator logs in", func() error {
		return alone.ask(http.MethodPost, login, "", map[string]string{"identity": adminEmail, "password": adminPassword}, &in)
	})
	const own = "owner = @request.auth.id"
	collection := map[string]any{
		"name": "notes", "type": "base", "listRule": "", "viewRule": "", "createRule": "@request.auth.id != ''", "updateRule": own, "deleteRule": own,
		fields: []map[string]any{{"name": "title", "type": "text", "required": true}, {"name": "n", "type": "number"}, {"name": "owner", "type": "text"}},
	}
	if err := alone.ask(http.MethodPost, "/api/collections", in.Token, collection, nil); err != nil {
		n.t.Fatalf("make the collection: %v", err)
	}
	// The smoke check looks for it.
	if err := alone.ask(http.MethodPost, "/api/collections/notes/records", in.Token, map[string]any{"title": first, "n": 0}, nil); err != nil {
		n.t.Fatalf("write the first note: %v", err)
	}
}

// stored lists the notes of users; noon's own journeys write some too.
func (n notes) stored() []note {
	n.t.Helper()
	var all []note
	for page := 1; ; page++ {
		var answer struct {
			Items      []note
			TotalPages int
		}
		path := fmt.Sprintf("/api/collections/notes/records?perPage=500&sort=id&page=%d", page)
		if err := n.ask(http.MethodGet, path, "", nil, &answer); err != nil {
			n.t.Fatal(err)
		}
		for _, item := range answer.Items {
			if strings.HasPrefix(item.Title, "user") {
				all = append(all, item)
			}
		}
		if page >= answer.TotalPages {
			return all
		}
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// users is the load: with more at once an old machine is busy with passwords.
func (n notes) users() *load[note] { return startLoad[note](n.machine, 4, n.journey, "loop") }

// Two versions on one SQLite file: the new one is rehearsed, migrates while
// the old one serves, takes over, and users can go back to the old one, which
// works with what the new one has made of the data.
func TestPocketBase(t *testing.T) {
	n := startNotes(t, "0.28.2")
	n.release("0.36.5", map[string]string{"version": "0.36.5", "before": "0.28.2"})
	users := n.users()
	users.more(20)
	n.walk("r2", "deploy", "r2")
	users.more(20)
	n.walk("r1", "rollback")
	users.more(20)
	n.walk("r2", "deploy", "r2")
	users.more(20)
	told := users.good()
	same(t, "notes", n.stored(), told)
}

// PocketBase 0.22 goes on answering 200 on the data of 0.28, without what it
// was asked for. The rehearsal finds it, and production is not touched.
func TestPocketBaseThatWouldBreak(t *testing.T) {
	n := startNotes(t, "0.22.21")
	n.release("0.28.2", map[string]string{"version": "0.28.2", "before": "0.22.21"})
	users := n.users()
	users.more(20)
	r := n.try(t.Context(), "", "deploy", "r2", "--yes")
	if r.code != 1 || !strings.Contains(r.output, "once the data are the new one's") || !strings.Contains(r.output, "went back") {
		t.Errorf("the deployment: exit code %d: %s", r.code, r.output)
	}
	t.Logf("what was said:\n%s", r.output)
	n.live("r1")
	users.more(20)
	told := users.good()
	same(t, "notes", n.stored(), told)
}

// The same without the rehearsal: every check of the new release is good, and
// users of the old one are hurt from its start on. So the test above can fail.
func TestPocketBaseWithoutRehearsal(t *testing.T) {
	n := startNotes(t, "0.22.21")
	yaml, err := os.ReadFile(filepath.Join(n.repo, "noon.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	blind := strings.ReplaceAll(string(yaml), "    - {name: rehearse", "    # - {name: rehearse")
	n.release("0.28.2", map[string]string{"version": "0.28.2", "before": "", "noon.yaml": strings.Replace(blind, "  before-deploy:\n", "", 1)})
	users := n.users()
	users.more(20)
	r := n.try(t.Context(), "", "deploy", "r2", "--yes")
	t.Logf("exit code %d:\n%s", r.code, r.output)
	users.more(20)
	if _, failures := users.stop(); len(failures) == 0 {
		t.Error("nobody has noticed anything: the pair does not break, and the rehearsal has nothing to find")
	}
}
