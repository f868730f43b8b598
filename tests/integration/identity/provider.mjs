// An OpenID Connect provider (panva's certified oidc-provider) that issues access tokens as JSON Web Tokens, to clients
// that are the users of a test. `node provider.mjs <the package's folder> <port>`; the line "rotate" on stdin makes it
// sign with a new key and publish the old ones beside it.
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { generateKeyPairSync } from 'node:crypto';
import { pathToFileURL } from 'node:url';

const [, , folder, port] = process.argv;
const { default: Provider } = await import(pathToFileURL(`${folder}/lib/index.js`));

const issuer = `http://127.0.0.1:${port}`;
const roles = { ann: [], olaf: [], mona: ['moderator'], otto: ['operator'] };
const scope = 'posts';

function newKey(number) {
  const options = number % 2 ? ['rsa', { modulusLength: 2048 }] : ['ec', { namedCurve: 'P-256' }];
  const alg = number % 2 ? 'RS256' : 'ES256';
  const { privateKey } = generateKeyPairSync(...options);
  return { ...privateKey.export({ format: 'jwk' }), use: 'sig', alg, kid: `key-${number}` };
}

function provider(keys) {
  const { alg } = keys[0];
  return new Provider(issuer, {
    jwks: { keys },
    clients: Object.keys(roles).map((name) => ({
      client_id: name,
      client_secret: `the secret of ${name}, which is long enough`,
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
      token_endpoint_auth_method: 'client_secret_post',
      id_token_signed_response_alg: alg,
    })),
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: () => ({
          scope,
          audience: 'postlog',
          accessTokenFormat: 'jwt',
          accessTokenTTL: 3600,
          jwt: { sign: { alg } },
        }),
      },
    },
    extraTokenClaims: (_, token) => ({ realm_access: { roles: roles[token.clientId] } }),
    scopes: [scope],
  }).callback();
}

let count = 1;
let keys = [newKey(count)];
let current = provider(keys);

createServer((request, response) => current(request, response)).listen(Number(port), '127.0.0.1', () => {
  console.log('listening');
});

for await (const line of createInterface({ input: process.stdin })) {
  if (line !== 'rotate') continue;
  keys = [newKey(++count), ...keys];
  current = provider(keys);
  console.log('rotated');
}
process.exit(0);
