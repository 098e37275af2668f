package releases

// steps are the commits of the shop, one for each release.
func steps() []step {
	return []step{
		{title: "shop: open"},
		giftNotes(),
		origin(),
		shorterName(),
	}
}

// giftNotes is r2.
func giftNotes() step {
	return step{
		title: "checkout: gift notes; a banner for the season",
		add: map[string]string{
			"migrations/0002_gift_notes.sql": `-- A few words that travel with an order. The release before does not know the
-- column and goes on writing orders without it.

ALTER TABLE orders ADD COLUMN gift_note TEXT NOT NULL DEFAULT '';
`,
		},
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
			{"store/order.go", `(?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING`, `(?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING`},
			{"store/order.go", `p.Test, s.release, now).Scan)`, `p.Test, s.release, now, p.Gift).Scan)`},
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
