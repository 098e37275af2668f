-- A few words that travel with an order. The release before does not know the
-- column and goes on writing orders without it.

ALTER TABLE orders ADD COLUMN gift_note TEXT NOT NULL DEFAULT '';
