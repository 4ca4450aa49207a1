// A protected MCP server and its authorization server, `oidc-provider`.
//
//   node server.mjs [OPTIONS]       OPTIONS is JSON, see below
//
// When both listen it prints {"event":"listening", issuer, url...} as one line on stdout:
// `url` is the MCP server, `seen` tells what has happened so far, a POST to `expire` makes the MCP
// server refuse all access tokens that it has seen, one to `forget` makes the authorization server
// forget all refresh tokens. It ends with its standard input.
import { randomUUID, webcrypto } from 'node:crypto';
import { createServer } from 'node:http';
import { exportJWK, generateKeyPair } from 'jose';
import { Provider } from 'oidc-provider';
import { protectedServer } from './mcp.mjs';

const options = {
  // Seconds.
  accessTokenTtl: 3600,
  // What access tokens are: 'jwt', or 'opaque', which the authorization server can revoke.
  accessTokenFormat: 'jwt',
  // Whether tokens must be bound to a key, and proofs have nonces (RFC 9449).
  dpop: false,
  // The path of the issuer, such as '/tenant': then its metadata is only found under that path.
  issuerPath: '',
  // Whether challenges name the scope; if not, the resource's metadata is to be asked.
  challengeScope: true,
  // Resources besides the MCP server here that tokens may be for.
  resources: [],
  // Clients that are known without registration.
  clients: [],
  registration: true,
  // Client ID metadata documents by their URLs, in place of the web.
  documents: {},
  ...JSON.parse(process.argv[2] ?? '{}'),
};

/** How often clients ask for the outcome of a device flow, in seconds. */
const DEVICE_POLL_INTERVAL = 1;
const TOOLS_SCOPE = 'mcp:tools';
const ADMIN_SCOPE = 'mcp:admin';

/** What has happened, in order. */
const events = [];
const record = (event) => events.push(event);

const authorizationServer = await listening(createServer());
const mcpServer = await listening(createServer());
const issuer = origin(authorizationServer) + options.issuerPath;
const resource = `${origin(mcpServer)}/mcp`;

const refreshTokens = [];
const keys = await Promise.all(['RS256', 'ES256'].map(signingKey));
const provider = new Provider(issuer, {
  jwks: { keys: keys.map(({ jwk }) => jwk) },
  cookies: { keys: [randomUUID()] },
  clients: options.clients,
  scopes: ['openid', 'offline_access', TOOLS_SCOPE, ADMIN_SCOPE],
  pkce: { required: () => true },
  rotateRefreshToken: true,
  // Logins are kept apart by name; nobody has more to tell.
  findAccount: (_context, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  clientAuthMethods: ['none', 'client_secret_basic', 'client_secret_post', 'private_key_jwt'],
  async fetch(url) {
    const document = options.documents[url];
    record({ kind: 'fetch', url: String(url), found: document !== undefined });
    return document ? Response.json(document) : new Response(null, { status: 404 });
  },
  ttl: { Interaction: 600, Session: 3600, Grant: 3600, DeviceCode: 600 },
  features: {
    clientCredentials: { enabled: true },
    clientIdMetadataDocument: { enabled: true, ack: 'draft-02' },
    deviceFlow: { enabled: true, charset: 'base-20', mask: '****-****' },
    devInteractions: { enabled: true },
    dPoP: {
      enabled: true,
      nonceSecret: webcrypto.getRandomValues(Buffer.alloc(32)),
      requireNonce: () => options.dpop,
    },
    introspection: { enabled: true },
    registration: { enabled: options.registration },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => undefined,
      // Clients have to name the resource in each request.
      useGrantedResource: () => false,
      getResourceServerInfo(_context, indicator) {
        if (indicator !== resource && !options.resources.includes(indicator)) {
          throw Object.assign(new Error('invalid_target'), {
            error: 'invalid_target',
            error_description: `there is no resource ${indicator}`,
            status: 400,
            statusCode: 400,
            expose: true,
          });
        }
        return {
          scope: `${TOOLS_SCOPE} ${ADMIN_SCOPE}`,
          audience: indicator,
          accessTokenTTL: options.accessTokenTtl,
          accessTokenFormat: options.accessTokenFormat,
          jwt: { sign: { alg: 'ES256' } },
        };
      },
    },
    revocation: { enabled: true },
  },
});
provider.on('refresh_token.saved', ({ jti }) => refreshTokens.push(jti));
provider.use(watch);
authorizationServer.on('request', mounted(provider.callback(), options.issuerPath));

const mcp = protectedServer({
  resource,
  issuer,
  keys,
  findToken,
  dpop: options.dpop,
  scope: TOOLS_SCOPE,
  challengeScope: options.challengeScope,
  toolScopes: { admin: ADMIN_SCOPE },
  record,
});
mcpServer.on('request', async (request, response) => {
  if (request.url === '/test/seen') {
    response.setHeader('Content-Type', 'application/json');
    response.end(JSON.stringify({ events, refreshTokens: await aliveRefreshTokens() }));
  } else if (request.url === '/test/expire') {
    mcp.expire();
    response.end();
  } else if (request.url === '/test/forget') {
    await Promise.all(refreshTokens.map(forget));
    response.end();
  } else {
    await mcp.handle(request, response);
  }
});

process.stdin.resume().on('end', () => process.exit());
process.stdout.write(
  `${JSON.stringify({
    event: 'listening',
    issuer,
    url: resource,
    seen: `${origin(mcpServer)}/test/seen`,
    expire: `${origin(mcpServer)}/test/expire`,
    forget: `${origin(mcpServer)}/test/forget`,
  })}\n`,
);

function listening(server) {
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

function origin(server) {
  return `http://127.0.0.1:${server.address().port}`;
}

async function signingKey(alg) {
  const pair = await generateKeyPair(alg, { extractable: true });
  const jwk = { ...(await exportJWK(pair.privateKey)), alg, use: 'sig', kid: alg };
  return { jwk, alg, publicKey: pair.publicKey };
}

/** Serves under a path; everything else is not found. */
function mounted(handle, path) {
  return (request, response) => {
    if (!request.url.startsWith(`${path}/`)) {
      record({ kind: 'stray', path: request.url });
      response.writeHead(404).end();
      return;
    }
    request.originalUrl = request.url;
    request.url = request.url.slice(path.length);
    handle(request, response);
  };
}

/** Records what clients ask the authorization server for. */
async function watch(context, next) {
  await next();
  const { oidc } = context;
  if (context.path.includes('/.well-known/')) {
    record({ kind: 'metadata', path: context.path, status: context.status });
    return;
  }
  switch (oidc?.route) {
    case 'registration':
      record({ kind: 'registration', body: oidc.body, status: context.status });
      break;
    case 'authorization':
      record({ kind: 'authorization', params: context.query, status: context.status });
      break;
    case 'device_authorization':
      if (context.status === 200) {
        context.body.interval = DEVICE_POLL_INTERVAL;
      }
      record({ kind: 'device', params: oidc.body, status: context.status });
      break;
    case 'token':
    case 'revocation':
      record({
        kind: oidc.route,
        params: oidc.body,
        client: oidc.client?.clientId,
        authentication: authentication(context),
        proof: Boolean(context.get('dpop')),
        status: context.status,
        error: context.body?.error,
      });
      break;
    default:
      break;
  }
}

function authentication({ oidc, headers }) {
  if (headers.authorization) {
    return 'client_secret_basic';
  }
  if (oidc.body?.client_assertion) {
    return 'private_key_jwt';
  }
  return oidc.body?.client_secret ? 'client_secret_post' : 'none';
}

/** An opaque token, as the claims that a JWT would have. */
async function findToken(value) {
  const token =
    (await provider.AccessToken.find(value)) ?? (await provider.ClientCredentials.find(value));
  return token?.isValid
    ? {
        sub: token.accountId ?? token.clientId,
        client_id: token.clientId,
        aud: token.aud,
        scope: token.scope,
        iat: token.iat,
        exp: token.exp,
        jti: token.jti,
        cnf: token.jkt ? { jkt: token.jkt } : undefined,
      }
    : undefined;
}

async function forget(jti) {
  await (await provider.RefreshToken.find(jti))?.destroy();
}

/** How many refresh tokens somebody could still use. */
async function aliveRefreshTokens() {
  const tokens = await Promise.all(refreshTokens.map((jti) => provider.RefreshToken.find(jti)));
  return tokens.filter((token) => token?.isValid && !token.consumed).length;
}
