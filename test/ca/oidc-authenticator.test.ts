import assert from "node:assert/strict";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { exportJWK, generateKeyPair, type GenerateKeyPairResult, SignJWT } from "jose";
import { after, before, beforeEach, test } from "mocha";
import { Authenticators } from "../../src/ca/authenticators.ts";
import { httpsGet } from "../../src/ca/https-get.ts";
import { OidcAuthenticators } from "../../src/ca/oidc-authenticator.ts";
import { TrustBundles } from "../../src/ca/trust-bundles.ts";
import type { Authenticator, Caller, Credentials } from "../../src/caller.ts";
import { type ErrorCode, MeshError } from "../../src/errors.ts";
import { type JwtRule, parseJwtRule } from "../../src/jwt-rule.ts";
import { clusterId } from "../../src/names.ts";
import { TestHost } from "../kits/test-host.ts";
import { TestAuthority } from "../kits/tls.ts";

const localCluster = clusterId("east");
const trustDomain = "example.org";
const MINUTE_MS = 60_000;

/** What the issuer's server answers by path, and how often it was asked for each. */
let pages = new Map<string, { readonly status?: number; readonly body: string; readonly location?: string }>();
let asked: string[] = [];
let authority: TestAuthority;
let server: Server;
let origin = "";
let keys: GenerateKeyPairResult;

before(async () => {
  authority = await TestAuthority.create();
  const { certificate: cert, key } = await authority.issue();
  server = createServer({ cert, key }, ({ url = "" }, response) => {
    asked.push(url);
    const { status = 200, body, location } = pages.get(url) ?? { status: 404, body: "" };
    response.writeHead(status, location === undefined ? {} : { location }).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  origin = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  keys = await generateKeyPair("RS256");
});
after(() => new Promise((resolve) => server.close(resolve)));
beforeEach(async () => {
  asked = [];
  pages = new Map([["/keys", { body: await keySetOf(["one", keys]) }]]);
});

async function keySetOf(...named: readonly (readonly [string, GenerateKeyPairResult])[]): Promise<string> {
  const jwks = await Promise.all(named.map(async ([kid, { publicKey }]) => ({ kid, ...(await exportJWK(publicKey)) })));
  return JSON.stringify({ keys: jwks });
}

interface Shown {
  readonly alg?: string;
  readonly kid?: string;
  readonly signedBy?: GenerateKeyPairResult;
  readonly claims?: Record<string, unknown>;
}

/** A token that is good for ten minutes, but for what is said. */
function token(
  host: TestHost,
  { alg = "RS256", kid = "one", signedBy = keys, claims = {} }: Shown = {},
): Promise<string> {
  const now = Math.floor(host.clock.now() / 1000);
  const usual = { iss: origin, aud: "istio-ca", sub: "system:serviceaccount:vms:billing", exp: now + 600 };
  return new SignJWT({ ...usual, ...claims }).setProtectedHeader({ alg, kid }).sign(signedBy.privateKey);
}

const bearer = (text: string): Credentials => ({
  authorization: `Bearer ${text}`,
  clusterId: "east",
  certificateChain: [],
  remoteAddress: "test",
});

function lab(...rules: readonly object[]) {
  const host = new TestHost();
  // Requests take real time, which the clock of the host does not see.
  const get = httpsGet(host.clock, { ca: authority.root });
  const oidc = new OidcAuthenticators(host, { trustDomain, localCluster, get });
  const usual = { issuer: origin, audiences: ["istio-ca"], jwksUri: `${origin}/keys` };
  oidc.setRules((rules.length > 0 ? rules : [usual]).map((rule) => parseJwtRule({ ...usual, ...rule }, "rule")));
  const reviewed: string[] = [];
  const cluster: Authenticator = {
    authenticate: ({ authorization = "" }) => {
      reviewed.push(authorization);
      return Promise.reject(new MeshError("unauthenticated", "the API server refused the token"));
    },
  };
  const tokens = new Map([[localCluster, cluster]]);
  const trust = new TrustBundles(trustDomain);
  const all = new Authenticators({ clock: host.clock, tokens, localCluster, trustDomain, trust, oidc });
  const show = async (shown?: Shown): Promise<Caller> => all.authenticate(bearer(await token(host, shown)));
  return { host, oidc, all, show, reviewed };
}

const refused = (attempt: Promise<unknown>, reason: RegExp, code: ErrorCode = "unauthenticated"): Promise<void> =>
  assert.rejects(
    attempt,
    (error) =>
      (error instanceof MeshError && error.code === code && reason.test(error.message)) || assert.fail(String(error)),
  );

test("a token of an issuer that is named shows the service account of its subject, and no pod", async () => {
  const { show, reviewed, host } = lab();
  const caller = await show();
  assert.deepEqual(caller, {
    identity: { trustDomain, namespace: "vms", serviceAccount: "billing" },
    cluster: localCluster,
    via: "token",
    pod: undefined,
    expiresAt: Math.floor(host.clock.now() / 1000 + 600) * 1000,
  });
  await show({ claims: { aud: ["others", "istio-ca"] } });
  assert.deepEqual([asked, reviewed], [["/keys"], []], "keys are fetched once, and no API server is asked");
});

test("a token that is not for us, not of a service account, not in time or not signed by the issuer shows nobody", async () => {
  const { show, host } = lab();
  const now = Math.floor(host.clock.now() / 1000);
  const stranger = await generateKeyPair("RS256");
  await refused(show({ claims: { aud: "others" } }), /"aud"/);
  await refused(show({ claims: { aud: undefined } }), /"aud"/);
  await refused(show({ claims: { exp: now } }), /"exp"/);
  await refused(show({ claims: { exp: undefined } }), /"exp"/);
  await refused(show({ claims: { nbf: now + 60 } }), /"nbf"/);
  await refused(show({ signedBy: stranger }), /signature verification failed/);
  for (const sub of ["billing", "system:serviceaccount:vms", "system:serviceaccount:vms:billing:x", "", undefined])
    await refused(show({ claims: { sub } }), /not of a service account|"sub"/);
  await refused(show({ claims: { sub: "system:serviceaccount:v/ms:billing" } }), /not of a service account/);
});

test("what is signed with the public key as if it were a secret, or not at all, shows nobody", async () => {
  const { all, host } = lab();
  const [, payload] = (await token(host)).split(".");
  const modulus = Buffer.from((await exportJWK(keys.publicKey)).n!, "base64url");
  const forged = await new SignJWT({ iss: origin, aud: "istio-ca", sub: "system:serviceaccount:vms:billing" })
    .setProtectedHeader({ alg: "HS256", kid: "one" })
    .sign(modulus);
  await refused(all.authenticate(bearer(forged)), /not signed in a way/);
  const header = Buffer.from(JSON.stringify({ alg: "none" })).toString("base64url");
  await refused(all.authenticate(bearer(`${header}.${payload}.x`)), /not signed in a way/);
});

test("a token of another issuer, or one that is bound to a pod, is for its cluster to verify", async () => {
  const { show, reviewed } = lab();
  const pod = { name: "billing-0", uid: "u1" };
  await refused(show({ claims: { iss: `${origin}/` } }), /API server refused/);
  await refused(show({ claims: { "kubernetes.io": { namespace: "vms", pod } } }), /API server refused/);
  await refused(show({ claims: { "kubernetes.io": { pod: "billing-0" } } }), /binding to a pod cannot be read/);
  assert.equal(reviewed.length, 2);
  assert.deepEqual(asked, []);
});

test("an issuer's own configuration says where its keys are, and must be its own", async () => {
  const discovery = "/.well-known/openid-configuration";
  const config = (fields: object): void =>
    void pages.set(discovery, { body: JSON.stringify({ issuer: origin, jwks_uri: `${origin}/keys`, ...fields }) });
  config({});
  assert.equal((await lab({ jwksUri: undefined }).show()).identity.namespace, "vms");
  assert.deepEqual(asked, [discovery, "/keys"]);
  config({ issuer: "https://others.test" });
  await refused(lab({ jwksUri: undefined }).show(), /is of another issuer/, "unavailable");
  config({ jwks_uri: "http://127.0.0.1/keys" });
  await refused(lab({ jwksUri: undefined }).show(), /no jwks_uri that begins with https/, "unavailable");
});

test("keys that are written down are not asked for", async () => {
  const jwks = await keySetOf(["one", keys]);
  assert.equal((await lab({ jwksUri: undefined, jwks }).show()).identity.serviceAccount, "billing");
  await refused(lab({ jwksUri: undefined, jwks }).show({ kid: "two" }), /no applicable key/);
  assert.deepEqual(asked, []);
});

test("a key that is new is looked for, but not each time that a stranger names one", async () => {
  const { show, host } = lab();
  await show();
  const next = await generateKeyPair("ES256");
  pages.set("/keys", { body: await keySetOf(["one", keys], ["two", next]) });
  const shown = { alg: "ES256", kid: "two", signedBy: next };
  await refused(show(shown), /no applicable key/);
  host.clock.advance(31_000);
  assert.equal((await show(shown)).identity.serviceAccount, "billing");
  for (let at = 0; at < 5; at += 1) await refused(show({ kid: `stranger ${at}` }), /no applicable key/);
  assert.equal(asked.length, 2);
});

test("while the issuer does not answer its keys stay good for a day, and nobody else's take their place", async () => {
  const { show, host } = lab();
  await show();
  pages.clear();
  host.clock.advance(23 * 60 * MINUTE_MS);
  assert.equal((await show()).identity.serviceAccount, "billing");
  host.clock.advance(61 * MINUTE_MS);
  await refused(show(), /keys of issuer .* cannot be had now: it answers with status 404/, "unavailable");
  assert.ok(host.lines.some((line) => line.startsWith("warn ca: the keys of a token issuer cannot be had")));
  pages.set("/keys", { body: await keySetOf(["one", keys]) });
  host.clock.advance(MINUTE_MS);
  assert.equal((await show()).identity.serviceAccount, "billing");
});

test("keys come from the server that is named, whole and in bounds, or not at all", async () => {
  const attempt = async (page: { status?: number; body: string; location?: string }, reason: RegExp): Promise<void> => {
    pages.set("/keys", page);
    await refused(lab().show(), reason, "unavailable");
  };
  pages.set("/elsewhere", { body: await keySetOf(["one", keys]) });
  await attempt(
    { status: 302, body: "", location: `${origin}/elsewhere` },
    /status 302, and redirects are not followed/,
  );
  assert.ok(!asked.includes("/elsewhere"));
  await attempt({ body: "x".repeat(300_000) }, /over 262144 bytes/);
  await attempt({ body: "<html>" }, /is no JSON/);
  await attempt({ body: '{"keys": [{"kty": "oct", "k": "AAAA"}]}' }, /holds a secret key/);
  await attempt({ status: 500, body: await keySetOf(["one", keys]) }, /status 500/);
  const untrusting = new OidcAuthenticators(new TestHost(), { trustDomain, localCluster });
  untrusting.setRules([parseJwtRule({ issuer: origin, audiences: ["istio-ca"], jwksUri: `${origin}/keys` }, "rule")]);
  const text = bearer(await token(new TestHost()));
  await refused(untrusting.for(text)!.authenticate(text), /cannot be had now: .*certificate/, "unavailable");
});

test("a server that does not answer is given up after five seconds", async () => {
  const host = new TestHost();
  const silent = createServer(() => host.clock.advance(5_000));
  const { certificate: cert, key } = await authority.issue();
  silent.setSecureContext({ cert, key });
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  try {
    const url = `https://127.0.0.1:${(silent.address() as AddressInfo).port}/`;
    await assert.rejects(httpsGet(host.clock, { ca: authority.root })(url), /not answered within 5 s/);
  } finally {
    silent.closeAllConnections();
    silent.close();
  }
});

test("a rule that is withdrawn counts no more, and one that is the same keeps its keys", async () => {
  const { show, oidc } = lab();
  await show();
  const rule: JwtRule = parseJwtRule({ issuer: origin, audiences: ["istio-ca"], jwksUri: `${origin}/keys` }, "rule");
  oidc.setRules([rule]);
  await show();
  assert.equal(asked.length, 1);
  oidc.setRules([{ ...rule, audiences: ["others"] }, rule]);
  await refused(show(), /"aud"/);
  oidc.setRules([]);
  await refused(show(), /API server refused/);
});
