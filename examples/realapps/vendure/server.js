const { bootstrap } = require('@vendure/core');
const { config } = require('./config');

bootstrap(config).then(app => process.once('SIGTERM', () => app.close().then(() => process.exit(0))));
