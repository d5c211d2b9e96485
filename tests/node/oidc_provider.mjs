// An OpenID provider (panva's oidc-provider) on 127.0.0.1, for tests/servers/oidc_provider.py.
// The last argument is JSON: { port, accounts, clients, audiences, slim, tls }. Below /control
// tests rotate keys, disable users, and have one path answer otherwise than the provider would.
import { generateKeyPairSync, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { Provider } from "oidc-provider";

const { port, accounts, clients, audiences, slim, tls } = JSON.parse(process.argv.at(-1));
const issuer = tls ? `https://localhost:${port}` : `http://127.0.0.1:${port}`;

const KINDS = {
  RS: () => generateKeyPairSync("rsa", { modulusLength: 2048 }),
  ES256: () => generateKeyPairSync("ec", { namedCurve: "P-256" }),
  ES384: () => generateKeyPairSync("ec", { namedCurve: "P-384" }),
  EdDSA: () => generateKeyPairSync("ed25519"),
};

function newKeys() {
  return Object.values(KINDS).map((make) => ({
    ...make().privateKey.export({ format: "jwk" }),
    kid: randomUUID(),
    use: "sig",
  }));
}

const SIGNING = [
  ...["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
  ...["ES256", "ES384", "EdDSA", "HS256"],
];
const disabled = new Set();
const answers = new Map();
const asked = {};
let keys = newKeys();
let handle;

// The same shared memory and cookie keys each time: who was signed in still is.
function provide() {
  const provider = new Provider(issuer, {
    clients,
    jwks: { keys },
    cookies: { keys: ["only-for-tests"] },
    claims: {
      email: ["email", "email_verified"],
      profile: ["name", "preferred_username", "realm_access", "hospital", "dicom_name"],
    },
    // Slim: an ID token says who, and the user info endpoint the rest.
    conformIdTokenClaims: slim,
    enabledJWA: { idTokenSigningAlgValues: SIGNING },
    findAccount: (_, id) =>
      accounts[id] && !disabled.has(id)
        ? { accountId: id, claims: () => ({ sub: id, ...accounts[id] }) }
        : undefined,
    extraTokenClaims: (_, token) => accounts[token.accountId],
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_, resource) => ({
          scope: "pacs",
          audience: resource,
          accessTokenFormat: "jwt",
          accessTokenTTL: 600,
          jwt: { sign: { alg: audiences[resource] } },
        }),
      },
    },
    pkce: { required: () => true },
    ttl: { AccessToken: 600, AuthorizationCode: 60, IdToken: 300, Interaction: 600, Session: 3600, Grant: 3600 },
  });
  handle = provider.callback();
}

async function control(path, request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  const said = parts.length ? JSON.parse(Buffer.concat(parts)) : {};
  if (path === "/control/rotate") {
    keys = said.keep ? [...newKeys(), ...keys] : newKeys();
    provide();
  } else if (path === "/control/disable") {
    disabled.add(said.account);
  } else if (path === "/control/answer") {
    answers.set(said.path, said);
  } else if (path === "/control/reset") {
    answers.clear();
    disabled.clear();
  }
  return { keys, asked };
}

async function answerOtherwise(response, said) {
  if (said.after_s) await new Promise((done) => setTimeout(done, said.after_s * 1000));
  response.writeHead(said.status ?? 200, said.headers ?? { "content-type": "application/json" });
  if (said.drips) {
    const drip = setInterval(() => response.write(" "), 20);
    response.on("close", () => clearInterval(drip));
    return;
  }
  const body = Buffer.from(said.body ?? "", said.base64 ? "base64" : "utf8");
  response.end(said.repeat ? Buffer.alloc(said.repeat, body) : body);
}

async function respond(request, response) {
  const path = new URL(request.url, issuer).pathname;
  if (path.startsWith("/control/")) {
    const body = JSON.stringify(await control(path, request));
    response.writeHead(200, { "content-type": "application/json" }).end(body);
    return;
  }
  asked[path] = (asked[path] ?? 0) + 1;
  if (answers.has(path)) await answerOtherwise(response, answers.get(path));
  else handle(request, response);
}

provide();
const server = tls
  ? createTlsServer({ cert: readFileSync(tls), key: readFileSync(tls) }, respond)
  : createServer(respond);
server.listen(port, "127.0.0.1");
