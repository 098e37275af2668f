// Generated for Vendure 3.5.2 from what its entities want and the database had. It adds, and
// takes uniqueness from two columns: 3.1.1 works with it.
const statements = [
    `CREATE TABLE "settings_store_entry" ("createdAt" TIMESTAMP NOT NULL DEFAULT now(), "updatedAt" TIMESTAMP NOT NULL DEFAULT now(), "key" character varying NOT NULL, "value" json, "scope" character varying, "id" SERIAL NOT NULL, CONSTRAINT "PK_3a905b358c0b454f6fc6637d6db" PRIMARY KEY ("id"))`,
    `CREATE INDEX "IDX_ab560f7983976aec91b91c26a4" ON "settings_store_entry" ("key")`,
    `CREATE INDEX "IDX_8d8ddb95a0fbd11ffb5606ef0c" ON "settings_store_entry" ("scope")`,
    `CREATE UNIQUE INDEX "settings_store_key_scope_unique" ON "settings_store_entry" ("key", "scope")`,
    `ALTER TABLE "order_modification" DROP CONSTRAINT "FK_ad2991fa2933ed8b7f86a716338"`,
    `ALTER TABLE "order_modification" DROP CONSTRAINT "FK_cb66b63b6e97613013795eadbd5"`,
    `ALTER TABLE "order_modification" DROP CONSTRAINT "REL_ad2991fa2933ed8b7f86a71633"`,
    `ALTER TABLE "order_modification" DROP CONSTRAINT "REL_cb66b63b6e97613013795eadbd"`,
    `CREATE INDEX "IDX_af13739f4962eab899bdff34be" ON "order" ("orderPlacedAt")`,
    `CREATE INDEX "IDX_86bc376c56af8cefd41a847a95" ON "job_record" ("createdAt")`,
    `ALTER TABLE "order_modification" ADD CONSTRAINT "FK_ad2991fa2933ed8b7f86a716338" FOREIGN KEY ("paymentId") REFERENCES "payment"("id") ON DELETE NO ACTION ON UPDATE NO ACTION`,
    `ALTER TABLE "order_modification" ADD CONSTRAINT "FK_cb66b63b6e97613013795eadbd5" FOREIGN KEY ("refundId") REFERENCES "refund"("id") ON DELETE NO ACTION ON UPDATE NO ACTION`,
];

exports.To352 = class {
    name = 'To3521700000000002';

    async up(db) {
        for (const statement of statements) await db.query(statement);
    }

    async down() {
        throw new Error('3.1.1 works with this schema: there is no need to go back');
    }
};
