-- The shop as it opened.

CREATE TABLE products (
    id      INTEGER PRIMARY KEY,
    slug    TEXT    NOT NULL UNIQUE,
    name    TEXT    NOT NULL,
    blurb   TEXT    NOT NULL,
    text    TEXT    NOT NULL,
    price   INTEGER NOT NULL CHECK (price > 0),  -- cents
    stock   INTEGER NOT NULL CHECK (stock >= 0),
    picture TEXT    NOT NULL                     -- name of a static asset
);

CREATE TABLE cart_items (
    session  TEXT    NOT NULL,
    product  INTEGER NOT NULL REFERENCES products (id),
    quantity INTEGER NOT NULL CHECK (quantity BETWEEN 1 AND 99),
    at       TEXT    NOT NULL,
    PRIMARY KEY (session, product)
) WITHOUT ROWID;

CREATE TABLE orders (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    key        TEXT    NOT NULL UNIQUE,           -- made by the page or the client, once per intention to buy
    session    TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    email      TEXT    NOT NULL,
    total      INTEGER NOT NULL,                  -- cents
    pieces     INTEGER NOT NULL,
    test       INTEGER NOT NULL DEFAULT 0,        -- a check of the shop, not a purchase
    attempts   INTEGER NOT NULL DEFAULT 1,        -- how often the key was presented
    state      TEXT    NOT NULL DEFAULT 'placed' CHECK (state IN ('placed', 'handled')),
    release    TEXT    NOT NULL,                  -- which release took it
    placed_at  TEXT    NOT NULL,
    handled_at TEXT    NOT NULL DEFAULT ''
);

CREATE INDEX orders_to_handle ON orders (id) WHERE state = 'placed';

CREATE TABLE order_items (
    order_id INTEGER NOT NULL REFERENCES orders (id),
    product  INTEGER NOT NULL REFERENCES products (id),
    quantity INTEGER NOT NULL,
    price    INTEGER NOT NULL,                    -- cents, as it was that day
    PRIMARY KEY (order_id, product)
) WITHOUT ROWID;

-- What workers did. Not unique by order on purpose: it is a log, and it would
-- show an order that was handled twice.
CREATE TABLE handlings (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    order_id INTEGER NOT NULL REFERENCES orders (id),
    worker   TEXT    NOT NULL,
    at       TEXT    NOT NULL
);

CREATE INDEX handlings_of_order ON handlings (order_id);

CREATE TABLE stock_moves (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,    -- the event id of the stock ticker
    product INTEGER NOT NULL REFERENCES products (id),
    delta   INTEGER NOT NULL,
    stock   INTEGER NOT NULL,                     -- what was left
    reason  TEXT    NOT NULL,
    at      TEXT    NOT NULL
);

CREATE TABLE images (
    product INTEGER NOT NULL REFERENCES products (id),
    sha256  TEXT    NOT NULL,
    size    INTEGER NOT NULL,
    type    TEXT    NOT NULL,
    at      TEXT    NOT NULL,
    PRIMARY KEY (product, sha256)
) WITHOUT ROWID;

CREATE TABLE reports (
    day     TEXT    PRIMARY KEY,                  -- 2026-11-22
    orders  INTEGER NOT NULL,
    pieces  INTEGER NOT NULL,
    revenue INTEGER NOT NULL,                     -- cents
    open    INTEGER NOT NULL,                     -- not handled when the report was made
    release TEXT    NOT NULL,
    made_at TEXT    NOT NULL
);

INSERT INTO products (slug, name, blurb, price, stock, picture, text) VALUES
('pocket-sundial', 'Pocket sundial',     'Always right, except at night.',      3900,  900, 'sundial.svg',  'Brass, 6 cm, with a compass in the lid. Unfold it, turn it north, read the hour. Needs no winding and has never needed an update.'),
('straw-hat',      'Straw hat',          'Shade you can carry.',                4500,  900, 'hat.svg',      'Woven from a single braid of wheat straw, with a ribbon that ties under the chin on windy days.'),
('sunglasses',     'Round sunglasses',   'For looking up.',                     5900,  900, 'glasses.svg',  'Acetate frame, brown lenses, a case made of cork. Filters what you do not want to see.'),
('parasol',        'Garden parasol',     'Two metres of afternoon.',            7900,  900, 'parasol.svg',  'Eight ribs of ash, canvas in two stripes. Opens in one movement and stays where you put it.'),
('carafe',         'Lemonade carafe',    'One litre, lemons not included.',     3400,  900, 'carafe.svg',   'Hand-blown glass with a wide neck, so that ice goes in and spoons come out.'),
('hammock',        'Hammock',            'A chair that has given up.',          9800,  900, 'hammock.svg',  'Cotton, two metres forty, holds two people who like each other. Ropes and hooks are in the bag.'),
('picnic-basket',  'Picnic basket',      'Lunch with a handle.',                6400,  900, 'basket.svg',   'Willow, lined with linen, with plates and cutlery for four strapped into the lid.'),
('noon-tea',       'Noon blend tea',     'Half green, half black, like noon.',  1250,  900, 'tea.svg',      'Darjeeling and sencha, with a little lemon verbena. 100 g in a tin that closes.'),
('kite',           'Kite',               'Holds on to you.',                    2900,  900, 'kite.svg',     'Ripstop nylon on a cross of bamboo, with forty metres of line and a tail that Grandma would have sewn.'),
('clock',          'Twelve o’clock',     'Rings once a day. You know when.',    5200,  900, 'clock.svg',    'A wall clock with one alarm. Beech, silent movement, a bell that sounds like lunch.'),
('beach-towel',    'Beach towel',        'Dry land, 90 by 180.',                2700,  900, 'towel.svg',    'Terry cotton with stripes that do not fade, because they have been in the sun already.'),
('paper-fan',      'Paper fan',          'The first air conditioner.',          1800,  900, 'fan.svg',      'Washi on bamboo, folds into a pocket. Runs on you.');
