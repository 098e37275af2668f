package releases

// postgresSteps are the commits of the shop with PostgreSQL, one for each
// release. Each changes what a table looks like together with the code that
// uses it, and keeps nothing of what was there before.
func postgresSteps() []step {
	return []step{
		openWithPostgres(),
		customers(),
		money(),
		names(),
		depots(),
		addresses(),
	}
}

// openWithPostgres is r1.
func openWithPostgres() step {
	return step{
		title:  "shop: open with PostgreSQL",
		remove: []string{"migrate.go", "migrations/migrations.go", "migrations/0001_init.sql", "noon.yaml", "store/sqlite.go"},
		move:   map[string]string{"noon.postgres.yaml": "noon.yaml"},
		edits: []edit{
			{"main.go", "//	shop migrate   brings the SQLite database to what this release needs\n", ""},
			{
				"main.go", "SESSION_KEY, ADMIN_TOKEN,\n// HOST, PORT, and what noon adds: NOON_RELEASE and its like. DATABASE_URL names\n// a PostgreSQL database; without it the data are in an SQLite file in DATA_DIR.\n",
				"SESSION_KEY, ADMIN_TOKEN,\n// DATABASE_URL, HOST, PORT, and what noon adds: NOON_RELEASE and its like.\n",
			},
			{"main.go", "worker | migrate | nightly", "worker | nightly"},
			{"main.go", "	case \"migrate\":\n		err = migrate(ctx, log, s)\n", ""},
			{"main.go", "	s, err := open(ctx, dir)\n", "	s, err := open(ctx)\n"},
			{
				"main.go", `func open(ctx context.Context, dir string) (*store.Store, error) {
	if url := os.Getenv("DATABASE_URL"); url != "" {
		return store.Postgres(ctx, url, release())
	}
	return store.SQLite(ctx, dir, release())
}`, `func open(ctx context.Context) (*store.Store, error) {
	url := os.Getenv("DATABASE_URL")
	if url == "" {
		return nil, errors.New("DATABASE_URL is not set: it names the shop's PostgreSQL database")
	}
	return store.Postgres(ctx, url, release())
}`,
			},
		},
	}
}

// customers is r2.
func customers() step {
	return step{
		title: "orders: who buys is a customer",
		edits: []edit{
			{"store/order.go", "	Name     string `json:\"name\"`\n", "	Customer string `json:\"customer\"`\n"},
			{"store/order.go", `"id, key, session, name, email,`, `"id, key, session, customer, email,`},
			{"store/order.go", `&o.Session, &o.Name, &o.Email,`, `&o.Session, &o.Customer, &o.Email,`},
			{"store/order.go", `(key, session, name, email,`, `(key, session, customer, email,`},
			{"web/templates/order.html", "Thank you, {{.Body.Name}}", "Thank you, {{.Body.Customer}}"},
			{"noon.yaml", `"order.name": noon`, `"order.customer": noon`},
		},
	}
}

// money is r3. A release that met the cents of the one before would be wrong by
// a factor of a hundred.
func money() step {
	return step{
		title: "orders: totals are money, not cents",
		edits: []edit{
			{"store/order.go", `customer, email, total, pieces, test, attempts,`, `customer, email, (total * 100)::bigint, pieces, test, attempts,`},
			{"store/order.go", `VALUES ($1, $2, $3, $4, $5, $6,`, `VALUES ($1, $2, $3, $4, $5::bigint / 100.0, $6,`},
			{"store/work.go", `coalesce(sum(total), 0),`, `(coalesce(sum(total), 0) * 100)::bigint,`},
		},
	}
}

// names is r4.
func names() step {
	return step{
		title: "orders: first and last names",
		edits: []edit{
			{
				"store/order.go", "	Customer string `json:\"customer\"`\n",
				"	First    string `json:\"first_name\"`\n	Last     string `json:\"last_name\"`\n",
			},
			{"store/order.go", `"id, key, session, customer, email,`, `"id, key, session, first_name, last_name, email,`},
			{"store/order.go", `&o.Session, &o.Customer, &o.Email,`, `&o.Session, &o.First, &o.Last, &o.Email,`},
			{"store/order.go", `(key, session, customer, email,`, `(key, session, first_name, last_name, email,`},
			{"store/order.go", `VALUES ($1, $2, $3, $4, $5::bigint / 100.0, $6, $7, $8, $9)`, `VALUES ($1, $2, $3, $4, $5, $6::bigint / 100.0, $7, $8, $9, $10)`},
			{"store/order.go", "cart Cart) (Order, error) {\n	return scanOrder", "cart Cart) (Order, error) {\n	first, last, _ := strings.Cut(p.Name, \" \")\n	return scanOrder"},
			{"store/order.go", `p.Key, p.Session, p.Name, p.Email,`, `p.Key, p.Session, first, last, p.Email,`},
			{"store/order.go", "	\"fmt\"\n", "	\"fmt\"\n	\"strings\"\n"},
			{"web/templates/order.html", "Thank you, {{.Body.Customer}}", "Thank you, {{.Body.First}}"},
			{"noon.yaml", `"order.customer": noon`, `"order.first_name": noon, "order.last_name": ""`},
		},
	}
}

// depots is r5.
func depots() step {
	return step{
		title: "orders: a depot packs them, the south the large ones",
		edits: []edit{
			{"store/order.go", "	Lines    []Line `json:\"-\"`\n", "	Depot    string `json:\"depot\"`\n	Lines    []Line `json:\"-\"`\n"},
			{"store/order.go", `state, release, placed_at"`, `state, release, placed_at, (SELECT d.name FROM depots d WHERE d.id = orders.depot)"`},
			{"store/order.go", `&o.Release, &o.Placed)`, `&o.Release, &o.Placed, &o.Depot)`},
			{"store/order.go", `release, placed_at)`, `release, placed_at, depot)`},
			{"store/order.go", `$8, $9, $10)`, `$8, $9, $10, CASE WHEN $7 > 3 THEN 2 ELSE 1 END)`},
			{"web/templates/order.html", "We are packing it.", "We are packing it in the {{.Body.Depot}}."},
			{"noon.yaml", `"order.last_name": ""`, `"order.last_name": "", "order.depot": north`},
		},
	}
}

// addresses is r6.
func addresses() step {
	return step{
		title: "customers: an e-mail address is somebody's, not an order's",
		edits: []edit{
			{"store/order.go", `first_name, last_name, email, (total`, `first_name, last_name, (SELECT c.email FROM customers c WHERE c.session = orders.session), (total`},
			{
				"store/order.go", "		order, err = s.insertOrder(ctx, tx, p, cart)\n",
				"		if err := insertCustomer(ctx, tx, p); err != nil {\n			return err\n		}\n		order, err = s.insertOrder(ctx, tx, p, cart)\n",
			},
			{
				"store/order.go", "// insertOrder stores an order,", `// insertCustomer stores where a customer is reached now.
func insertCustomer(ctx context.Context, tx *sql.Tx, p Purchase) error {
	_, err := tx.ExecContext(ctx, ` + "`" + `INSERT INTO customers (session, email) VALUES ($1, $2)
		ON CONFLICT (session) DO UPDATE SET email = excluded.email` + "`" + `, p.Session, p.Email)
	return err
}

// insertOrder stores an order,`,
			},
			{"store/order.go", `first_name, last_name, email, total,`, `first_name, last_name, total,`},
			{"store/order.go", `VALUES ($1, $2, $3, $4, $5, $6::bigint / 100.0, $7, $8, $9, $10, CASE WHEN $7 > 3`, `VALUES ($1, $2, $3, $4, $5::bigint / 100.0, $6, $7, $8, $9, CASE WHEN $6 > 3`},
			{"store/order.go", `first, last, p.Email,`, `first, last,`},
		},
	}
}
