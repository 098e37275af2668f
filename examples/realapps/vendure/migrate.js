// Takes the database to the schema of this release; may be repeated. An empty one gets the
// whole schema and a small catalogue.
//
// The shop is in use meanwhile: a statement that can not have its lock at once gives up, its
// migration is rolled back whole and tried again, so that nobody queues behind it.
const { setTimeout: pause } = require('node:timers/promises');
const { DataSource } = require('typeorm');
const { JobQueueService, TransactionalConnection, bootstrap } = require('@vendure/core');
const { preBootstrapConfig } = require('@vendure/core/dist/bootstrap');
const { populate } = require('@vendure/core/cli');
const { config } = require('./config');

const lockTimeout = '300ms'; // below the second after which PostgreSQL looks for deadlocks
const busy = ['55P03', '40P01']; // lock not available, deadlock

async function main() {
    const { dbConnectionOptions } = await preBootstrapConfig(config);
    const db = await new DataSource({ ...dbConnectionOptions, extra: { options: `-c lock_timeout=${lockTimeout}` } }).initialize();
    const [{ channel }] = await db.query(`SELECT to_regclass('channel') AS channel`);
    if (channel) {
        await migrate(db);
    } else {
        await db.synchronize();
        await db.runMigrations({ fake: true });
    }
    await db.destroy();
    if (!channel) await fill();
}

async function migrate(db) {
    for (let attempt = 1; ; attempt++) {
        try {
            const ran = await db.runMigrations({ transaction: 'each' });
            console.log(`attempt ${attempt}:`, ran.map(m => m.name).join(', ') || 'nothing to do');
            return;
        } catch (e) {
            if (!busy.includes(e.driverError?.code) || attempt === 60) throw e;
            console.log(`attempt ${attempt}: ${e.message}`);
            await pause(100 + 400 * Math.random());
        }
    }
}

// fill puts the catalogue into an empty shop, and waits for the search index.
async function fill() {
    const start = async () => {
        const app = await bootstrap(config);
        await app.get(JobQueueService).start();
        return app;
    };
    const app = await populate(start, `${__dirname}/catalogue/shop.json`, `${__dirname}/catalogue/products.csv`);
    const db = app.get(TransactionalConnection).rawConnection;
    const unfinished = `SELECT count(*)::int AS n FROM job_record WHERE NOT "isSettled"`;
    for (let quiet = 0; quiet < 3; ) {
        await pause(500);
        const [{ n }] = await db.query(unfinished);
        quiet = n ? 0 : quiet + 1;
    }
    await app.close();
}

main().then(() => process.exit(0), e => {
    console.error(e);
    process.exit(1);
});
