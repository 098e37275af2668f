const { bootstrap } = require('@vendure/core');
const { config } = require('./config');

bootstrap(config); // ends by itself at SIGTERM
