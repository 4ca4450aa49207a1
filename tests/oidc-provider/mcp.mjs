// The protected MCP server: the legacy revisions over Streamable HTTP, and 2026-07-28.
import { createHash, randomUUID } from 'node:crypto';
import { calculateJwkThumbprint, createLocalJWKSet, EmbeddedJWK, exportJWK, jwtVerify } from 'jose';

const MODERN = '2026-07-28';
const LEGACY = ['2025-11-25', '2025-06-18', '2025-03-26'];
const IDENTITY = { name: 'protected', version: '1.0.0' };
const METADATA = '/.well-known/oauth-protected-resource/mcp';
/** How many nonces are still good; each answer brings a new one. */
const RECENT_NONCES = 8;
const TOOLS = ['whoami', 'echo', 'admin'];

/** Why a request is refused. */
class Refusal extends Error {
  constructor(status, attributes = {}) {
    super(attributes.error_description ?? `${status}`);
    this.status = status;
    this.attributes = attributes;
  }
}

export function protectedServer({
  resource,
  issuer,
  keys,
  findToken,
  dpop,
  scope,
  challengeScope,
  toolScopes,
  record,
}) {
  const { origin } = new URL(resource);
  const scheme = dpop ? 'DPoP' : 'Bearer';
  const sessions = new Set();
  const streams = new Set();
  const proofs = new Set();
  const expired = new Set();
  const accepted = new Set();
  const nonces = [randomUUID()];
  let jwks;

  return { handle, expire };

  /** Refuses all tokens that were accepted until now. */
  function expire() {
    accepted.forEach((jti) => expired.add(jti));
    streams.forEach((stream) => stream.end());
  }

  async function handle(request, response) {
    const { pathname } = new URL(request.url, origin);
    if (pathname === METADATA) {
      record({ kind: 'metadata', path: pathname, status: 200 });
      return reply(response, 200, {
        resource,
        authorization_servers: [issuer],
        scopes_supported: [scope],
        bearer_methods_supported: ['header'],
        ...(dpop && {
          dpop_bound_access_tokens_required: true,
          dpop_signing_alg_values_supported: ['ES256'],
        }),
      });
    }
    if (pathname !== '/mcp') {
      record({ kind: 'stray', path: pathname });
      return response.writeHead(404).end();
    }

    const message = request.method === 'POST' ? JSON.parse(await body(request)) : {};
    const seen = {
      kind: 'mcp',
      http: request.method,
      method: message.method,
      tool: message.params?.name,
    };
    try {
      const claims = await authenticate(request, response);
      authorize(claims, message);
      record({ ...seen, status: 200, jti: claims.jti });
      return answer(request, response, message, claims);
    } catch (error) {
      if (!(error instanceof Refusal)) {
        throw error;
      }
      record({ ...seen, status: error.status, error: error.attributes.error });
      response.setHeader('WWW-Authenticate', challenge(error.attributes));
      return reply(response, error.status, { error: error.message });
    }
  }

  async function authenticate(request, response) {
    if (dpop) {
      response.setHeader('DPoP-Nonce', nonces.at(-1));
    }
    const [, name, token] = /^(\S+) (\S+)$/.exec(request.headers.authorization ?? '') ?? [];
    if (!token) {
      throw new Refusal(401, challengeScope ? { scope } : {});
    }
    if (name.toLowerCase() !== scheme.toLowerCase()) {
      throw new Refusal(401, {
        error: 'invalid_token',
        error_description: `not a ${scheme} token`,
      });
    }

    const claims = (await findToken(token)) ?? (await verify(token));
    if (claims.aud !== resource) {
      throw new Refusal(401, { error: 'invalid_token', error_description: 'for somebody else' });
    }
    if (expired.has(claims.jti) || claims.exp * 1000 <= Date.now()) {
      throw new Refusal(401, { error: 'invalid_token', error_description: 'expired' });
    }
    if (dpop) {
      await prove(request, token, claims);
    }
    accepted.add(claims.jti);
    return claims;
  }

  async function verify(token) {
    try {
      jwks ??= createLocalJWKSet({
        keys: await Promise.all(
          keys.map(async ({ publicKey, alg }) => ({
            ...(await exportJWK(publicKey)),
            alg,
            kid: alg,
          })),
        ),
      });
      return (await jwtVerify(token, jwks, { issuer, audience: resource, typ: 'at+jwt' })).payload;
    } catch (error) {
      throw new Refusal(401, {
        error: 'invalid_token',
        error_description: error.message.replaceAll('"', "'"),
      });
    }
  }

  /** Checks the proof that whoever sends the token has the key it is bound to. */
  async function prove(request, token, claims) {
    let proof;
    try {
      proof = await jwtVerify(request.headers.dpop, EmbeddedJWK, {
        typ: 'dpop+jwt',
        algorithms: ['ES256'],
        maxTokenAge: 60,
      });
    } catch (error) {
      throw invalidProof(error.message.replaceAll('"', "'"));
    }
    const { payload, protectedHeader } = proof;
    if (payload.htm !== request.method || payload.htu !== resource) {
      throw invalidProof('for another request');
    }
    if (payload.ath !== createHash('sha256').update(token).digest('base64url')) {
      throw invalidProof('for another token');
    }
    if ((await calculateJwkThumbprint(protectedHeader.jwk)) !== claims.cnf?.jkt) {
      throw invalidProof('with another key');
    }
    if (proofs.has(payload.jti)) {
      throw invalidProof('used before');
    }
    proofs.add(payload.jti);
    if (!nonces.slice(-RECENT_NONCES).includes(payload.nonce)) {
      throw new Refusal(401, { error: 'use_dpop_nonce' });
    }
    nonces.push(randomUUID());
  }

  function authorize(claims, { method, params }) {
    const required = [scope, method === 'tools/call' ? toolScopes[params.name] : undefined].filter(
      Boolean,
    );
    const granted = (claims.scope ?? '').split(' ');
    if (!required.every((one) => granted.includes(one))) {
      throw new Refusal(403, { error: 'insufficient_scope', scope: required.at(-1) });
    }
  }

  function challenge(attributes) {
    const all = {
      ...attributes,
      resource_metadata: origin + METADATA,
      ...(dpop && { algs: 'ES256' }),
    };
    return `${scheme} ${Object.entries(all)
      .map(([name, value]) => `${name}="${value}"`)
      .join(', ')}`;
  }

  function answer(request, response, message, claims) {
    const modern = request.headers['mcp-protocol-version'] === MODERN;
    if (message.method === 'initialize') {
      const session = randomUUID();
      sessions.add(session);
      response.setHeader('Mcp-Session-Id', session);
    } else if (!modern && !sessions.has(request.headers['mcp-session-id'])) {
      return reply(response, 404, { error: 'no such session' });
    }

    if (request.method === 'GET') {
      streams.add(response);
      response.on('close', () => streams.delete(response));
      response.writeHead(200, { 'Content-Type': 'text/event-stream' });
      return response.write(': here\n\n');
    }
    if (request.method === 'DELETE') {
      sessions.delete(request.headers['mcp-session-id']);
      return response.writeHead(204).end();
    }
    if (message.id === undefined) {
      return response.writeHead(202).end();
    }
    const result = perform(message, claims);
    return reply(response, 200, {
      jsonrpc: '2.0',
      id: message.id,
      ...(result
        ? { result: modern ? { resultType: 'complete', ...result } : result }
        : { error: { code: -32601, message: `no method ${message.method}` } }),
    });
  }

  function perform({ method, params }, claims) {
    switch (method) {
      case 'initialize':
        return {
          protocolVersion:
            LEGACY.find((version) => version === params.protocolVersion) ?? LEGACY[0],
          capabilities: { tools: {} },
          serverInfo: IDENTITY,
        };
      case 'server/discover':
        return {
          supportedVersions: [MODERN],
          capabilities: { tools: {} },
          ttlMs: 0,
          cacheScope: 'private',
          _meta: { 'io.modelcontextprotocol/serverInfo': IDENTITY },
        };
      case 'ping':
        return {};
      case 'tools/list':
        return {
          tools: TOOLS.map((name) => ({ name, inputSchema: { type: 'object' } })),
          ttlMs: 0,
          cacheScope: 'private',
        };
      case 'tools/call':
        return call(params, claims);
      default:
        return undefined;
    }
  }
}

function call({ name, arguments: args }, claims) {
  const text = name === 'echo' ? args.message : JSON.stringify({ server: process.pid, ...claims });
  return { content: [{ type: 'text', text }] };
}

function invalidProof(description) {
  return new Refusal(401, { error: 'invalid_dpop_proof', error_description: description });
}

function reply(response, status, value) {
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify(value));
}

async function body(request) {
  const chunks = [];
  for await (const chunk of request) {
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}
