const { bootstrapWorker } = require('@vendure/core');
const { config } = require('./config');

// At SIGTERM Vendure ends by itself, after the jobs that run. A handler of our own that closes the
// worker as well would let it end before them: they would be "running" for ever.
bootstrapWorker(config).then(async worker => {
    await worker.startJobQueue();
    await worker.startHealthCheckServer({ hostname: process.env.HOST, port: Number(process.env.PORT) });
});
