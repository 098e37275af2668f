const { bootstrapWorker } = require('@vendure/core');
const { config } = require('./config');

bootstrapWorker(config).then(async worker => {
    process.once('SIGTERM', () => worker.app.close().then(() => process.exit(0)));
    await worker.startJobQueue();
    await worker.startHealthCheckServer({ hostname: process.env.HOST, port: Number(process.env.PORT) });
});
