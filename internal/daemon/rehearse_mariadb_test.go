package daemon

import (
	"database/sql"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/migration"
	"github.com/noon-deploy/noon/internal/database/rehearsal"
)

// rehearse tries what m brings after left, as the controller does.
func (s *mariaShop) rehearse(m, left *migrated) (report noon.RehearsalReport, verdict, err error) {
	s.t.Helper()
	r := rehearsed{Rehearsal: noon.Rehearsal{Site: m.site, Store: m.Name}, m: *m, left: left}
	return rehearsal.Run(s.t.Context(), s.d.rehearsal(r, func(string) {}))
}

// administer runs statements as the server's administrator.
func (s *mariaShop) administer(root string, list ...string) {
	s.t.Helper()
	db, err := migration.Connect(s.t.Context(), root)
	if err != nil {
		s.t.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // every statement was answered
	for _, text := range list {
		if _, err := db.ExecContext(s.t.Context(), text); err != nil {
			s.t.Fatalf("%s: %v", text, err)
		}
	}
}

// everything is all that a rehearsal must leave alone.
func (s *mariaShop) everything(root string) string {
	s.t.Helper()
	db, err := migration.Connect(s.t.Context(), root)
	if err != nil {
		s.t.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // it was only read
	var all []string
	for _, query := range []string{
		"SELECT group_concat(schema_name ORDER BY schema_name) FROM information_schema.schemata",
		"SELECT group_concat(concat(user, '@', host, ' ', authentication_string) ORDER BY user, host) FROM mysql.user",
		"SELECT group_concat(concat_ws('.', table_schema, table_name, column_name, column_type) ORDER BY table_schema, table_name, ordinal_position) FROM information_schema.columns WHERE table_schema LIKE '%shop%'",
		"SELECT group_concat(concat_ws(' ', trigger_schema, trigger_name, md5(action_statement)) ORDER BY 1) FROM information_schema.triggers",
		"SELECT md5(group_concat(concat_ws(',', id, customer, age) ORDER BY id)) FROM orders",
		"SELECT group_concat(concat_ws(' ', name, app, version) ORDER BY name) FROM noon_role",
		"SELECT group_concat(concat_ws(' ', app, version, state, md5(plan)) ORDER BY version) FROM noon_version",
		"SELECT group_concat(concat_ws(' ', user, db, table_name, table_priv) ORDER BY 1) FROM mysql.tables_priv",
		"SELECT group_concat(concat_ws(' ', user, db, create_priv) ORDER BY user, db) FROM mysql.db",
	} {
		var text sql.NullString
		if err := db.QueryRowContext(s.t.Context(), query).Scan(&text); err != nil {
			s.t.Fatalf("%s: %v", query, err)
		}
		all = append(all, text.String)
	}
	return strings.Join(all, "\n")
}

func (s *mariaShop) unchanged(root, before string) {
	s.t.Helper()
	if after := s.everything(root); after != before {
		s.t.Errorf("the server was\n%s\nand is\n%s", before, after)
	}
}

// newRehearsedShop is a store whose second version renames a column, on a server
// where noon has no other rights than the documents ask for.
func newRehearsedShop(t *testing.T, settings ...string) (s *mariaShop, root string, live *migrated) {
	t.Helper()
	s = newMariaShop(t, settings...)
	root = s.address
	s.administer(root,
		"CREATE USER noon IDENTIFIED BY 'n'", "GRANT CREATE USER, PROCESS ON *.* TO noon", "GRANT ALL ON shop.* TO noon",
		"GRANT ALL ON `my\\_shop\\_pro\\_%`.* TO noon WITH GRANT OPTION",
		"CREATE USER shop_before_noon IDENTIFIED BY 'b'", "GRANT ALL ON shop.* TO shop_before_noon")
	u, err := url.Parse(root)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("noon", "n")
	s.address = u.String()
	s.files["0001_init.yaml"] = `operations:
- create_table: {name: orders, columns: [{name: id, type: bigint, pk: true}, {name: customer, type: varchar(100)}, {name: age, type: varchar(20), nullable: true}]}`
	r1 := s.release(1)
	s.must(noon.DataAlone, r1, nil)
	s.files["0002_name.yaml"] = "operations:\n- rename_column: {table: orders, from: customer, to: buyer}"
	live = s.release(2)
	s.must(noon.DataBoth, live, r1)
	s.must(noon.DataAlone, live, r1)
	s.says(live, "INSERT INTO orders SELECT seq, concat('Name ', seq), seq % 90 FROM seq_1_to_3000", "")
	return s, root, live
}

// TestRehearseVersionedOnMariaDB: what a versioned release brings is tried on a
// copy on production's own server, with users and databases of views of the
// copy's own, fails there on a row that it names, and leaves nothing.
func TestRehearseVersionedOnMariaDB(t *testing.T) {
	t.Parallel()
	s, root, r2 := newRehearsedShop(t)
	s.files["0003_age.yaml"] = `operations:
- alter_column: {table: orders, column: age, type: int, nullable: true, up: "CAST(age AS INT)", down: "CAST(age AS CHAR)"}
- rename_column: {table: orders, from: buyer, to: payer}
- create_index: {table: orders, name: orders_age, columns: [age]}`
	r3 := s.release(3)

	if _, _, err := s.rehearse(r3, r2); noon.KindOf(err) != noon.Invalid || !strings.Contains(noon.HintOf(err), "`noon\\_%`.* TO the user WITH GRANT OPTION") {
		t.Errorf("without a right: %v (%s)", err, noon.HintOf(err))
	}
	s.administer(root, "GRANT ALL ON `noon\\_%`.* TO noon WITH GRANT OPTION")
	before := s.everything(root)
	report, verdict, err := s.rehearse(r3, r2)
	if err != nil || verdict != nil {
		t.Fatalf("verdict %v (%s), error %v (%s)", verdict, noon.HintOf(verdict), err, noon.HintOf(err))
	}
	s.unchanged(root, before)
	if len(report.Phases) != 2 || report.Phases[0].Took <= 0 || report.Copy.Rows < 2000 || report.Load.Failed > 0 || len(report.Broken) > 0 {
		t.Errorf("the report is %+v", report)
	}
	if len(report.Tables) != 1 || report.Tables[0].Reads.Count == 0 || report.Tables[0].Writes.Count == 0 || report.Tables[0].Before == 0 || report.Tables[0].After == 0 {
		t.Errorf("the tables are %+v", report.Tables)
	}
	if filled := filling(report); filled.Rows < 100 || strings.Contains(filled.Text, "noon_rehearsal") || filled.PerSecond() <= 0 || filled.Times < 2 {
		t.Errorf("the backfill is %+v", filled)
	}
	for _, part := range []string{"ADD COLUMN `age_v3`", "CREATE TRIGGER", "ADD INDEX `orders_age`", "DROP COLUMN `age`"} {
		if !slices.ContainsFunc(report.Statements, func(st noon.RehearsedStatement) bool { return strings.Contains(st.Text, part) && st.Error == "" }) {
			t.Errorf("no statement has %s: %+v", part, report.Statements)
		}
	}
	if text := strings.ToLower(statementsOf(report)); strings.Contains(text, "identified") {
		t.Errorf("a password is in the report: %s", text)
	}

	s.says(r2, "UPDATE orders SET age = 'old' WHERE id = 77", "")
	before = s.everything(root)
	if _, verdict, err = s.rehearse(r3, r2); err != nil || verdict == nil || !strings.Contains(verdict.Error(), "77") || noon.HintOf(verdict) == "" {
		t.Errorf("a value that is no number: %v, %v", verdict, err)
	}
	s.unchanged(root, before)

	s.must(noon.DataBoth, r3, r2) // on its way
	before = s.everything(root)
	if _, _, err = s.rehearse(s.release(4), r3); noon.KindOf(err) != noon.Conflict || !strings.Contains(err.Error(), "on its way") {
		t.Errorf("a version on its way: %v", err)
	}
	s.unchanged(root, before)
}

func statementsOf(report noon.RehearsalReport) string {
	var b strings.Builder
	for _, s := range report.Statements {
		b.WriteString(s.Text + "\n")
	}
	return b.String()
}
