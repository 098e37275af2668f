// What people do in the shop. Each time it prints one line of JSON: what is to stay, or the error.
//   node journey.mjs          a customer buys something, once
//   node journey.mjs buy      customers buy, one after the other, until the input ends
//   node journey.mjs keep     the shopkeeper adds pictures and products with options, until it ends
const url = process.env.SITE_URL;
const mode = process.argv[2];
const stamp = `${process.pid}x${Date.now()}`;
let turn = 0;

function need(ok, what, seen) {
    if (!ok) throw new Error(`${what}: ${JSON.stringify(seen)}`);
}

// client is somebody with a session, which the shop keeps by a token.
function client(api) {
    let token = '';
    const send = async init => {
        const headers = { ...init.headers, ...(token && { Authorization: `Bearer ${token}` }) };
        const res = await fetch(`${url}/${api}`, { method: 'POST', signal: AbortSignal.timeout(30000), ...init, headers });
        const text = await res.text();
        token = res.headers.get('vendure-auth-token') ?? token;
        need(res.status === 200 && !text.includes('"errors":'), `${api}: HTTP ${res.status}`, text.slice(0, 200));
        return JSON.parse(text).data;
    };
    return {
        // ask returns the one field that the query asks for.
        ask: async (query, variables) =>
            Object.values(await send({ headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ query, variables }) }))[0],
        upload: async (query, name, type, content) => {
            const body = new FormData();
            body.set('operations', JSON.stringify({ query, variables: { input: [{ file: null }] } }));
            body.set('map', JSON.stringify({ 0: ['variables.input.0.file'] }));
            body.set('0', new Blob([content], { type }), name);
            return Object.values(await send({ headers: { 'apollo-require-preflight': 'true' }, body }))[0];
        },
    };
}

const order = '{ ... on Order { code state totalWithTax totalQuantity lines { id } } ... on ErrorResult { errorCode message } }';

async function buy() {
    const { ask } = client('shop-api');
    const product = await ask('{ product(slug: "pocket-sundial") { variants { id sku priceWithTax } featuredAsset { name preview } optionGroups { code } } }');
    need(product.variants.length === 2 && product.optionGroups.length === 1, 'product', product);
    const picture = await fetch(url + new URL(product.featuredAsset.preview, url).pathname + '?preset=thumb', { signal: AbortSignal.timeout(30000) });
    need(picture.status === 200 && (await picture.arrayBuffer()).byteLength > 0, 'picture', picture.status);
    const [variant] = product.variants;
    let cart = await ask(`mutation($id: ID!) { addItemToOrder(productVariantId: $id, quantity: 3) ${order} }`, { id: variant.id });
    cart = await ask(`mutation($id: ID!) { adjustOrderLine(orderLineId: $id, quantity: 2) ${order} }`, { id: cart.lines[0].id });
    need(cart.totalQuantity === 2 && cart.totalWithTax === 2 * variant.priceWithTax, 'cart', cart);
    const emailAddress = `${mode ? 'user' : 'smoke'}${stamp}-${turn}@example.com`;
    cart = await ask(`mutation($input: CreateCustomerInput!) { setCustomerForOrder(input: $input) ${order} }`, {
        input: { firstName: 'Ada', lastName: 'Noon', emailAddress },
    });
    const input = { fullName: 'Ada Noon', streetLine1: '12 Meridian Road', city: 'Greenwich', postalCode: 'SE10', countryCode: 'GB' };
    cart = await ask(`mutation($input: CreateAddressInput!) { setOrderShippingAddress(input: $input) ${order} }`, { input });
    const [shipping] = await ask('{ eligibleShippingMethods { id } }');
    cart = await ask(`mutation($id: [ID!]!) { setOrderShippingMethod(shippingMethodId: $id) ${order} }`, { id: [shipping.id] });
    cart = await ask(`mutation { transitionOrderToState(state: "ArrangingPayment") ${order} }`);
    need(cart.state === 'ArrangingPayment', 'checkout', cart);
    const [method] = await ask('{ eligiblePaymentMethods { code } }');
    const payment = { method: method.code, metadata: { shouldDecline: false, shouldError: false, shouldErrorOnSettle: false } };
    cart = await ask(`mutation($input: PaymentInput!) { addPaymentToOrder(input: $input) ${order} }`, { input: payment });
    need(cart.state === 'PaymentAuthorized', 'payment', cart);
    const placed = await ask('query($code: String!) { orderByCode(code: $code) { state totalWithTax customer { emailAddress } payments { amount } } }', { code: cart.code });
    need(placed.customer.emailAddress === emailAddress && placed.payments[0].amount === cart.totalWithTax, 'order', placed);
    return [{ kind: 'order', id: cart.code, text: `${emailAddress} ${cart.totalWithTax}` }];
}

const english = name => [{ languageCode: 'en', name }];

// keep writes what the releases of a deployment may hold in different tables.
async function keep() {
    const { ask, upload } = client('admin-api');
    const login = { username: 'superadmin', password: process.env.SUPERADMIN_PASSWORD };
    await ask('mutation($username: String!, $password: String!) { login(username: $username, password: $password) { ... on CurrentUser { id } ... on ErrorResult { message } } }', login);
    const name = `keeper${stamp}-${turn}`;
    const [asset] = await upload('mutation($input: [CreateAssetInput!]!) { createAssets(input: $input) { ... on Asset { id name } ... on ErrorResult { message } } }', `${name}.pdf`, 'application/pdf', '%PDF-1.4');
    need(asset.name === `${name}.pdf`, 'upload', asset);
    const product = await ask('mutation($input: CreateProductInput!) { createProduct(input: $input) { id } }', {
        input: { translations: [{ languageCode: 'en', name, slug: name, description: '' }], assetIds: [asset.id], featuredAssetId: asset.id },
    });
    const group = await ask('mutation($input: CreateProductOptionGroupInput!) { createProductOptionGroup(input: $input) { id } }', {
        input: { code: name, translations: english(name), options: [{ code: 'large', translations: english('large') }] },
    });
    await ask('mutation($product: ID!, $group: ID!) { addOptionGroupToProduct(productId: $product, optionGroupId: $group) { id } }', { product: product.id, group: group.id });
    await ask('mutation($input: CreateProductOptionInput!) { createProductOption(input: $input) { id } }', {
        input: { productOptionGroupId: group.id, code: 'small', translations: english('small') },
    });
    const seen = await ask('query($id: ID!) { product(id: $id) { featuredAsset { name } optionGroups { code options { code } } } }', { id: product.id });
    const options = seen.optionGroups.map(g => `${g.code}: ${g.options.map(o => o.code).sort()}`).join('; ');
    need(seen.featuredAsset.name === asset.name && options === `${name}: large,small`, 'product', seen);
    return [
        { kind: 'picture', id: String(asset.id), text: asset.name },
        { kind: 'options', id: String(product.id), text: options },
    ];
}

async function journey() {
    turn++;
    try {
        console.log(JSON.stringify({ kept: await (mode === 'keep' ? keep : buy)() }));
    } catch (e) {
        process.exitCode = 1;
        console.log(JSON.stringify({ error: `${mode}: ${e.message} ${e.cause?.code ?? ''}` }));
        await new Promise(done => setTimeout(done, 200));
    }
}

await journey();
if (mode) {
    let over = false;
    process.stdin.resume().once('end', () => (over = true));
    while (!over) await journey();
    process.exit(0);
}
