// The shop as server, worker and migration see it, the same in every release.
const { AssetServerPlugin } = require('@vendure/asset-server-plugin');
const { DefaultJobQueuePlugin, DefaultLogger, DefaultSearchPlugin, LogLevel, dummyPaymentHandler } = require('@vendure/core');
const env = process.env;

exports.config = {
    apiOptions: { hostname: env.HOST ?? '127.0.0.1', port: Number(env.PORT ?? 0), shopApiPath: 'shop-api', adminApiPath: 'admin-api', trustProxy: 1 },
    authOptions: {
        tokenMethod: ['bearer', 'cookie'],
        superadminCredentials: { identifier: 'superadmin', password: env.SUPERADMIN_PASSWORD },
        cookieOptions: { secret: env.COOKIE_SECRET },
    },
    dbConnectionOptions: { type: 'postgres', url: env.DATABASE_URL, synchronize: false, logging: false, migrations: [`${__dirname}/migrations/*.js`] },
    paymentOptions: { paymentMethodHandlers: [dummyPaymentHandler] },
    importExportOptions: { importAssetsDir: `${__dirname}/catalogue` },
    logger: new DefaultLogger({ level: LogLevel.Warn }),
    plugins: [
        AssetServerPlugin.init({ route: 'assets', assetUploadDir: env.ASSETS_DIR }),
        DefaultJobQueuePlugin.init({}),
        DefaultSearchPlugin.init({ indexStockStatus: true }),
    ],
};
