// What only 3.5.2 needed goes, one release after the one that ended its use. There is no way
// back to 3.5.2 from here.
const statements = [
    `DROP FUNCTION IF EXISTS sync_asset_to_new, sync_asset_to_old, sync_group_to_new, sync_group_left, sync_group_to_old CASCADE`, // and their triggers
    `DROP FUNCTION IF EXISTS sync_shop_language`,
    `ALTER TABLE "product_option_group" DROP COLUMN IF EXISTS "productId"`, // and its foreign key and index
    `ALTER TABLE "asset" DROP COLUMN IF EXISTS "name"`,
    `ALTER TABLE "administrator" DROP CONSTRAINT IF EXISTS "UQ_154f5c538b1576ccc277b1ed631"`,
];

exports.Contract364 = class {
    name = 'Contract3641700000000004';

    async up(db) {
        for (const statement of statements) await db.query(statement);
    }

    async down() {
        throw new Error('there is no way back: what was dropped is gone');
    }
};
