-- While 3.5.2 and 3.6.4 may both have users, each sees what the other writes.
-- Every function changes only what differs, so that two of them come to rest.

-- Names of pictures: asset.name in 3.5.2; in 3.6.4 a translation, of which the one in the shop's
-- language is meant here.
ALTER TABLE asset ALTER COLUMN name SET DEFAULT ''; -- 3.6.4 does not name it

CREATE FUNCTION sync_shop_language() RETURNS varchar LANGUAGE sql STABLE
    AS $$ SELECT "defaultLanguageCode" FROM channel WHERE code = '__default_channel__' $$;

CREATE FUNCTION sync_asset_to_new() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE asset_translation SET name = NEW.name
        WHERE "baseId" = NEW.id AND "languageCode" = sync_shop_language() AND name <> NEW.name;
    INSERT INTO asset_translation ("baseId", "languageCode", name) SELECT NEW.id, sync_shop_language(), NEW.name
        WHERE NOT EXISTS (SELECT FROM asset_translation WHERE "baseId" = NEW.id AND "languageCode" = sync_shop_language());
    RETURN NULL;
END $$;
CREATE TRIGGER sync_to_new AFTER INSERT OR UPDATE OF name ON asset
    FOR EACH ROW WHEN (NEW.name <> '') EXECUTE FUNCTION sync_asset_to_new();

CREATE FUNCTION sync_asset_to_old() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE asset SET name = NEW.name WHERE id = NEW."baseId" AND name <> NEW.name AND NEW."languageCode" = sync_shop_language();
    RETURN NULL;
END $$;
CREATE TRIGGER sync_to_old AFTER INSERT OR UPDATE ON asset_translation
    FOR EACH ROW EXECUTE FUNCTION sync_asset_to_old();

-- Options: a group belongs to one product by a column in 3.5.2; to any number, and to channels as
-- its options do, by tables of their own in 3.6.4. What 3.6.4 writes into these by itself comes
-- first: what is still missing is added at the end of the transaction.
CREATE FUNCTION sync_group_to_new() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed product_option_group;
BEGIN
    SELECT * INTO changed FROM product_option_group WHERE id = CASE TG_TABLE_NAME
        WHEN 'product_option' THEN (to_jsonb(NEW) ->> 'groupId')::int ELSE NEW.id END;
    INSERT INTO product_option_groups_product_option_group ("productId", "productOptionGroupId")
        SELECT changed."productId", changed.id WHERE changed."productId" IS NOT NULL ON CONFLICT DO NOTHING;
    INSERT INTO product_option_group_channels_channel ("productOptionGroupId", "channelId")
        SELECT changed.id, "channelId" FROM product_channels_channel WHERE "productId" = changed."productId"
        UNION SELECT changed.id, id FROM channel WHERE code = '__default_channel__' AND changed.id IS NOT NULL ON CONFLICT DO NOTHING;
    INSERT INTO product_option_channels_channel ("productOptionId", "channelId")
        SELECT o.id, c."channelId" FROM product_option o JOIN product_option_group_channels_channel c ON c."productOptionGroupId" = o."groupId"
        WHERE o."groupId" = changed.id ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER sync_to_new AFTER INSERT OR UPDATE OF "productId" ON product_option_group
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION sync_group_to_new();
CREATE CONSTRAINT TRIGGER sync_to_new AFTER INSERT ON product_option
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION sync_group_to_new();

CREATE FUNCTION sync_group_left() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM product_option_groups_product_option_group WHERE "productId" = OLD."productId" AND "productOptionGroupId" = OLD.id;
    RETURN NULL;
END $$;
CREATE TRIGGER sync_left AFTER UPDATE OF "productId" ON product_option_group
    FOR EACH ROW WHEN (OLD."productId" IS DISTINCT FROM NEW."productId" AND OLD."productId" IS NOT NULL) EXECUTE FUNCTION sync_group_left();

-- Of several products 3.5.2 shows the group with the first.
CREATE FUNCTION sync_group_to_old() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        UPDATE product_option_group SET "productId" = NEW."productId" WHERE id = NEW."productOptionGroupId" AND "productId" IS NULL;
    ELSE
        UPDATE product_option_group SET "productId" = NULL WHERE id = OLD."productOptionGroupId" AND "productId" = OLD."productId";
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER sync_to_old AFTER INSERT OR DELETE ON product_option_groups_product_option_group
    FOR EACH ROW EXECUTE FUNCTION sync_group_to_old();
