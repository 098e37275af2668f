package releases

// sqliteSteps are the commits of the shop with SQLite, one for each release.
func sqliteSteps() []step {
	return []step{
		openWithSQLite(),
		giftNotes(),
		origin(),
		shorterName(),
	}
}

// openWithSQLite is r1.
func openWithSQLite() step {
	return step{
		title:  "shop: open",
		remove: []string{"store/postgres.go", "migrations/pg/0001_init.yaml", "noon.postgres.yaml"},
		edits: []edit{
			{
				"main.go", "	if url := os.Getenv(\"DATABASE_URL\"); url != \"\" {\n		return store.Postgres(ctx, url, release())\n	}\n",
				"",
			},
			{
				"main.go", "NOON_RELEASE and its like. DATABASE_URL names\n// a PostgreSQL database; without it the data are in an SQLite file in DATA_DIR.\n",
				"NOON_RELEASE and its like.\n",
			},
			{
				"migrate.go", "	if os.Getenv(\"DATABASE_URL\") != \"\" {\n		return errors.New(\"noon migrates the PostgreSQL database: migrations/pg declares to what\")\n	}\n",
				"",
			},
			{"migrate.go", "	\"errors\"\n", ""},
			{"migrate.go", "	\"os\"\n", ""},
		},
	}
}

// giftNotes is r2.
func giftNotes() step {
	return step{
		title: "checkout: gift notes; a banner for the season",
		edits: []edit{
			{
				"store/order.go", "	Email   string\n	Test    bool // a check",
				"	Email   string\n	Gift    string // a few words for the one who gets it\n	Test    bool   // a check",
			},
			{
				"store/order.go", "	Release  string `json:\"release\"`  // which took it\n",
				"	Release  string `json:\"release\"`  // which took it\n	GiftNote string `json:\"gift_note,omitempty\"`\n",
			},
			{"store/order.go", `state, release, placed_at"`, `state, release, placed_at, gift_note"`},
			{"store/order.go", `&o.Release, &o.Placed)`, `&o.Release, &o.Placed, &o.GiftNote)`},
			{"store/order.go", `test, release, placed_at)`, `test, release, placed_at, gift_note)`},
			{"store/order.go", `$7, $8, $9)`, `$7, $8, $9, $10)`},
			{"store/order.go", `stamp(time.Now())).Scan)`, `stamp(time.Now()), p.Gift).Scan)`},
			{
				"web/checkout.go", "	Email string `json:\"email\"`\n",
				"	Email string `json:\"email\"`\n	Gift  string `json:\"gift_note\"`\n",
			},
			{"web/checkout.go", `Email: form.Email, Test: form.Test,`, `Email: form.Email, Gift: form.Gift, Test: form.Test,`},
			{"web/checkout.go", `Email: f.Get("email")}, nil`, `Email: f.Get("email"), Gift: f.Get("gift_note")}, nil`},
			{
				"web/checkout.go", "		return &badRequestError{\"Please tell us an e-mail address.\"}\n",
				"		return &badRequestError{\"Please tell us an e-mail address.\"}\n	case len(p.Gift) > 500:\n		return &badRequestError{\"The gift note is too long for the card.\"}\n",
			},
			{
				"web/templates/checkout.html", "  <button>Buy for",
				"  <label>Gift note <input name=\"gift_note\" value=\"{{.Body.Form.Gift}}\" maxlength=\"500\" placeholder=\"We write it on a card\"></label>\n  <button>Buy for",
			},
			{
				"web/templates/order.html", "<ul class=\"summary\">",
				"{{with .Body.GiftNote}}<blockquote class=\"gift\">{{.}}</blockquote>{{end}}\n<ul class=\"summary\">",
			},
			{
				"web/templates/layout.html", "<body>\n",
				"<body>\n  <p class=\"banner\">New: we write your gift note on a card, by hand.</p>\n",
			},
			{
				"web/templates/home.html", "<p class=\"price\">{{price .Price}}</p>",
				"<p class=\"tag\">{{price .Price}}</p>",
			},
			{
				"web/static/style.css", "footer { display: flex;",
				`.banner { margin: 0; padding: .6rem 1rem; text-align: center; background: var(--sun); color: #2d2418; font-weight: 600; }
.card { position: relative; }
.card .tag { position: absolute; top: 1.4rem; right: 1.4rem; background: var(--sun); color: #2d2418; font-weight: 700; border-radius: 99px; padding: .1rem .8rem; }
.gift { margin: 1rem 0; padding: .5rem 1.25rem; border-left: 4px solid var(--sun); font-style: italic; }

footer { display: flex;`,
			},
		},
	}
}

// origin is r3: the code is there, the migration with the column is not.
func origin() step {
	return step{
		title:   "catalogue: say where things come from",
		mistake: true,
		edits: []edit{
			{
				"store/catalogue.go", "	Picture string // name of a static asset\n",
				"	Picture string // name of a static asset\n	Origin  string // where it was made\n",
			},
			{"store/catalogue.go", `price, stock, picture"`, `price, stock, picture, origin"`},
			{"store/catalogue.go", `&p.Stock, &p.Picture)`, `&p.Stock, &p.Picture, &p.Origin)`},
			{
				"web/templates/product.html", "    <p>{{.Text}}</p>\n",
				"    <p>{{.Text}}</p>\n    {{with .Origin}}<p class=\"quiet\">Made in {{.}}.</p>{{end}}\n",
			},
		},
	}
}

// shorterName is r4: a tidy-up that renames one column too many.
func shorterName() step {
	return step{
		title:   "orders: tidy up the insert",
		mistake: true,
		edits: []edit{
			{"store/order.go", `test, release, placed_at, gift_note)`, `test, release, placed_at, gift)`},
			{"web/templates/layout.html", "we write your gift note on a card, by hand.", "we write your gift note by hand."},
		},
	}
}
