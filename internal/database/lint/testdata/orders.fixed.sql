-- What the orders of the shop need next.
-- noon: expand
ALTER TABLE orders ADD COLUMN token uuid;
ALTER TABLE orders ALTER COLUMN token SET DEFAULT gen_random_uuid();

-- noon: expand
-- noon: no-transaction
CREATE INDEX CONCURRENTLY orders_placed ON orders (placed);

-- noon: expand
ALTER TABLE orders ADD CONSTRAINT orders_code_not_null CHECK (code IS NOT NULL) NOT VALID;
-- noon: expand
ALTER TABLE orders VALIDATE CONSTRAINT orders_code_not_null;
-- noon: expand
ALTER TABLE orders ALTER COLUMN code SET NOT NULL;
ALTER TABLE orders DROP CONSTRAINT orders_code_not_null;
-- noon: expand
ALTER TABLE orders ADD COLUMN note text; -- free text
-- noon: expand
ALTER TABLE orders ADD CONSTRAINT orders_buyer FOREIGN KEY (customer) REFERENCES customers (id) NOT VALID;
-- noon: expand
ALTER TABLE orders VALIDATE CONSTRAINT orders_buyer;

-- noon: expand
-- noon: no-transaction
CREATE UNIQUE INDEX CONCURRENTLY orders_code_key ON orders (code);
-- noon: expand
ALTER TABLE orders ADD CONSTRAINT orders_code_key UNIQUE USING INDEX orders_code_key;
-- noon: expand
ALTER TABLE orders ALTER COLUMN code TYPE varchar(40);
ALTER TABLE orders ALTER COLUMN customer TYPE integer;
-- noon: data over public.orders.id in 1000
UPDATE orders SET token = gen_random_uuid() WHERE token IS NULL AND id BETWEEN :low AND :high;
-- noon: data over public.orders.id in 1000
UPDATE orders SET note = '' WHERE orders.id BETWEEN :low AND :high;
-- noon: contract
ALTER TABLE orders ADD CONSTRAINT orders_token_not_null CHECK (token IS NOT NULL) NOT VALID;
-- noon: contract
ALTER TABLE orders VALIDATE CONSTRAINT orders_token_not_null;
-- noon: contract
ALTER TABLE orders ALTER COLUMN token SET NOT NULL;
ALTER TABLE orders DROP CONSTRAINT orders_token_not_null;

-- noon: contract
ALTER TABLE orders DROP CONSTRAINT orders_customer;
