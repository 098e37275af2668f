-- What the orders of the shop need next.
ALTER TABLE orders ADD COLUMN token uuid NOT NULL DEFAULT gen_random_uuid();
CREATE INDEX orders_placed ON orders (placed);
ALTER TABLE orders ALTER COLUMN code SET NOT NULL;
ALTER TABLE orders ADD COLUMN note text; -- free text
ALTER TABLE orders
  ADD CONSTRAINT orders_buyer FOREIGN KEY (customer) REFERENCES customers (id);
ALTER TABLE orders ADD CONSTRAINT orders_code_key UNIQUE (code);
ALTER TABLE orders ALTER COLUMN code TYPE varchar(40);
ALTER TABLE orders ALTER COLUMN customer TYPE integer;
UPDATE orders SET note = '';
-- noon: contract
ALTER TABLE orders DROP CONSTRAINT orders_customer;
