package realapps

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// thing is something that a journey leaves behind: an order, a picture or the
// options of a product.
type thing struct {
	Kind, ID, Text string
}

type visit struct{ Kept []thing }

// A shop of a server and a worker goes three minor versions on under its
// customers and its shopkeeper, back and forth where the data allow it. The
// change of 3.6 that 3.5 can not live with is split: expanded with the release
// that needs it, contracted with the one after.
func TestVendure(t *testing.T) {
	chosen(t, "vendure")
	db := database(t, "vendure") // before noon, so that it outlives what noon runs
	m := newMachine(t, "vendure", "sundries")
	m.set(map[string]string{"SITE_URL": m.url, "ASSETS_DIR": filepath.Join(m.dir, "assets")},
		map[string]string{"DATABASE_URL": db, "COOKIE_SECRET": "only-for-tests", "SUPERADMIN_PASSWORD": adminPassword})
	history := vendureReleases(m)
	m.release("3.1.1", history[0])
	m.walk("r1", "deploy", "r1")
	for i, title := range []string{"3.5.2", "3.6.4, expanded", "3.6.4, contracted"} {
		m.release(title, history[i+1])
	}

	m.users = []string{"SUPERADMIN_PASSWORD=" + adminPassword}
	customers := startLoad[visit](m, 2, "node", "journey.mjs", "buy")
	shopkeeper := startLoad[visit](m, 1, "node", "journey.mjs", "keep")
	for _, step := range [][]string{
		{"r2", "deploy", "r2"},
		{"r1", "rollback"},
		{"r2", "deploy", "r2"},
		{"r3", "deploy", "r3"},
		{"r2", "rollback"},
		{"r3", "deploy", "r3"},
		{"r4", "deploy", "r4"},
	} {
		customers.more(5)
		shopkeeper.more(3)
		m.walk(step[0], step[1:]...)
	}
	customers.more(5)
	shopkeeper.more(3)

	var told []thing
	for _, v := range append(customers.good(), shopkeeper.good()...) {
		told = append(told, v.Kept...)
	}
	same(t, "orders, pictures and options", query(t, db, pgx.RowToStructByPos[thing], vendureThings), told)
	eventually(t, 2*time.Minute, "background jobs have ended", func() error {
		left := query(t, db, pgx.RowTo[string], `select concat_ws(' ', "queueName", state, "startedAt") from job_record where not "isSettled"`)
		if len(left) > 0 {
			return fmt.Errorf("%d have not: %.2000s", len(left), left)
		}
		return nil
	})
	jobs := query(t, db, pgx.RowTo[string], `select state || ': ' || count(*) from job_record group by state`)
	t.Logf("background jobs: %v", jobs)
	if len(jobs) != 1 || !strings.HasPrefix(jobs[0], "COMPLETED: ") {
		t.Errorf("background jobs are %v, want all completed", jobs)
	}
}

// vendureThings is what is stored, in the tables of the last release.
const vendureThings = `
	select 'order' as kind, o.code as id, c."emailAddress" || ' ' || o."subTotalWithTax" + o."shippingWithTax" as text
		from "order" o join customer c on c.id = o."customerId" where o.state = 'PaymentAuthorized' and c."emailAddress" like 'user%'
	union all select 'picture', "baseId"::text, name from asset_translation where name like 'keeper%'
	union all select 'options', j."productId"::text, g.code || ': ' || string_agg(o.code, ',' order by o.code)
		from product_option_groups_product_option_group j
		join product_option_group g on g.id = j."productOptionGroupId" join product_option o on o."groupId" = g.id
		where g.code like 'keeper%' group by j."productId", g.code`

// vendureReleases is what each commit has changed: the version and, one after
// the other, the migrations.
func vendureReleases(m *machine) []map[string]string {
	m.t.Helper()
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(m.repo, name))
		if err != nil {
			m.t.Fatal(err)
		}
		return string(text)
	}
	at := func(version string) string {
		return strings.ReplaceAll(read("package.json"), `": "3.6.4"`, fmt.Sprintf(`": %q`, version))
	}
	const two, three, sync, four = "migrations/2-to-3.5.2.js", "migrations/3-expand-3.6.4.js", "migrations/3-sync.sql", "migrations/4-contract-3.6.4.js"
	return []map[string]string{
		{"package.json": at("3.1.1"), two: "", three: "", sync: "", four: ""},
		{"package.json": at("3.5.2"), two: read(two)},
		{"package.json": read("package.json"), three: read(three), sync: read(sync)},
		{four: read(four)},
	}
}
