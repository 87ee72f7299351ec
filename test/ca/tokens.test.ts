import assert from "node:assert/strict";
import { generateKeyPairSync, createHmac, createPrivateKey } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SignJWT } from "jose";
import { afterEach, beforeEach, test } from "mocha";
import { Authenticators } from "../../src/ca/authenticators.ts";
import {
  type CertificateTemplate,
  type CheckedTemplate,
  EMPTY_NAME,
  signCertificate,
} from "../../src/ca/certificate.ts";
import { issuerName, TokenIssuer } from "../../src/ca/token-issuer.ts";
import { TrustBundles } from "../../src/ca/trust-bundles.ts";
import { TokenVerifier } from "../../src/ca/token-verifier.ts";
import type { Credentials } from "../../src/caller.ts";
import { MeshError } from "../../src/errors.ts";
import type { Clock } from "../../src/host.ts";
import { clusterId } from "../../src/names.ts";
import { realHost } from "../kits/real-host.ts";
import { TestHost } from "../kits/test-host.ts";
import { derOf, TestAuthority } from "../kits/tls.ts";
import { type LivePod, livePods } from "./live-pods.ts";

const east = clusterId("east");
const west = clusterId("west");
let folder = "";
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), "causeway-tokens-"))));
afterEach(() => rmSync(folder, { recursive: true }));

interface Lab {
  readonly host: TestHost;
  readonly issuer: TokenIssuer;
  readonly verifier: TokenVerifier;
  readonly pods: Record<string, LivePod>;
}

async function lab(cluster = east): Promise<Lab> {
  const host = new TestHost();
  const issuer = await TokenIssuer.open(host, cluster, join(folder, `${cluster}.pem`));
  const pods: Record<string, LivePod> = {
    [`${cluster}/shop/cart-0`]: { uid: "u1", node: "n1", serviceAccount: "cart" },
  };
  const options = { cluster, trustDomain: "cluster.local", publicKey: issuer.publicKey, pods: livePods(pods) };
  return { host, issuer, pods, verifier: new TokenVerifier(host, options) };
}

const showing = (authorization: string | undefined, clusterIdHeader?: string): Credentials => ({
  authorization,
  clusterId: clusterIdHeader,
  certificateChain: [],
  remoteAddress: "test",
});
const trustDomain = "cluster.local";
function byCertificateAlone(clock: Clock, ...roots: readonly TestAuthority[]): Authenticators {
  const trust = new TrustBundles(trustDomain);
  trust.setOwn(roots.map(({ root }) => derOf(root)));
  return new Authenticators({ clock, tokens: new Map(), localCluster: east, trustDomain, trust });
}
const bearer = (token: string): Credentials => showing(`Bearer ${token}`);
const cart = { namespace: "shop", serviceAccount: "cart", pod: { name: "cart-0", uid: "u1", node: "n1" } };
const refused = async (attempt: Promise<unknown>, reason: RegExp): Promise<void> =>
  assert.rejects(
    attempt,
    (error) =>
      (error instanceof MeshError && error.code === "unauthenticated" && reason.test(error.message)) ||
      assert.fail(String(error)),
  );

test("a token proves its service account and its pod", async () => {
  const { issuer, verifier, host } = await lab();
  assert.deepEqual(await verifier.authenticate(bearer(await issuer.issue(cart))), {
    identity: { trustDomain: "cluster.local", namespace: "shop", serviceAccount: "cart" },
    cluster: east,
    via: "token",
    pod: { name: "cart-0", uid: "u1" },
    expiresAt: host.clock.now() + 43_200_000,
  });
});

test("tokens of before a restart are still good, and the key is nobody else's to read", async () => {
  const token = await (await lab()).issuer.issue(cart);
  const { verifier } = await lab();
  await verifier.authenticate(bearer(token));
  assert.equal(statSync(join(folder, "east.pem")).mode & 0o777, 0o600);
  writeFileSync(join(folder, "east.pem"), "damaged");
  await assert.rejects(lab(), /east.pem cannot be used: .*; remove it to have a new one made/);
  assert.equal(readFileSync(join(folder, "east.pem"), "utf8"), "damaged");
});

test("a token is good until it expires, remembered or not", async () => {
  const { issuer, verifier, host } = await lab();
  const token = await issuer.issue(cart, 600);
  await verifier.authenticate(bearer(token));
  host.clock.advance(599_000);
  await verifier.authenticate(bearer(token));
  host.clock.advance(2_000);
  await refused(verifier.authenticate(bearer(token)), /"exp" claim timestamp check failed/);
});

test("a token of a pod that has ended, or is another by now, proves nothing, remembered or not", async () => {
  const { issuer, verifier, pods } = await lab();
  const token = await issuer.issue(cart);
  await verifier.authenticate(bearer(token));
  pods["east/shop/cart-0"] = { uid: "u2", node: "n1", serviceAccount: "cart" };
  await refused(verifier.authenticate(bearer(token)), /bound to pod shop\/cart-0, which is not live/);
  delete pods["east/shop/cart-0"];
  await refused(verifier.authenticate(bearer(token)), /not live/);
});

test("forged and foreign tokens prove nothing", async () => {
  const { issuer, verifier, host } = await lab();
  const now = Math.floor(host.clock.now() / 1000);
  const own = createPrivateKey(readFileSync(join(folder, "east.pem"), "utf8"));
  const other = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
  const claims = { iss: issuerName(east), sub: "system:serviceaccount:shop:cart", aud: "istio-ca", exp: now + 60 };
  const signed = (over: Readonly<Record<string, unknown>>, key = own, alg = "ES256"): Promise<string> =>
    new SignJWT({ ...claims, ...over }).setProtectedHeader({ alg }).sign(key);
  await verifier.authenticate(bearer(await signed({})));
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const unsigned = `${part({ alg: "none" })}.${part(claims)}.`;
  const body = `${part({ alg: "HS256" })}.${part(claims)}`;
  const publicPem = issuer.publicKey.export({ type: "spki", format: "pem" });
  const confused = `${body}.${createHmac("sha256", publicPem).update(body).digest("base64url")}`;
  const cases: readonly (readonly [string, RegExp])[] = [
    [await signed({}, other), /signature verification failed/],
    [unsigned, /"alg"|not supported|Invalid Compact/i],
    [confused, /"alg"/],
    [await signed({ aud: "kubernetes" }), /unexpected "aud"/],
    [await signed({ aud: undefined }), /missing required "aud"/],
    [await signed({ exp: now - 1 }), /"exp" claim/],
    [await signed({ exp: undefined }), /missing required "exp"/],
    [await signed({ nbf: now + 60 }), /"nbf" claim/],
    [await signed({ iss: issuerName(west) }), /unexpected "iss"/],
    [await signed({ sub: "alice" }), /not of a service account/],
    [await signed({ sub: "system:serviceaccount:shop:cart:x" }), /not of a service account/],
    [await signed({ sub: "system:serviceaccount:shop:" }), /not of a service account/],
    [await signed({ sub: "system:serviceaccount:a.b:cart" }), /not of a service account/],
    [await signed({ sub: "system:serviceaccount:shop:../cart" }), /not of a service account/],
    [await signed({ "kubernetes.io": { pod: { name: "cart-0" } } }), /binding to a pod cannot be read/],
    ["..", /Invalid Compact|not one that/],
    ["x".repeat(17_000), /over 16384 characters/],
  ];
  for (const [token, reason] of cases) await refused(verifier.authenticate(bearer(token)), reason);
  for (const header of [undefined, "", "Bearer ", "Basic abc", "bearer", "Bearer a b"])
    await refused(verifier.authenticate(showing(header)), /no bearer token/);
});

test("several audiences are fine if ours is among them", async () => {
  const { verifier, host } = await lab();
  const own = createPrivateKey(readFileSync(join(folder, "east.pem"), "utf8"));
  const token = await new SignJWT({ aud: ["a", "istio-ca"], sub: "system:serviceaccount:shop:cart" })
    .setProtectedHeader({ alg: "ES256" })
    .setIssuer(issuerName(east))
    .setExpirationTime(Math.floor(host.clock.now() / 1000) + 60)
    .sign(own);
  await verifier.authenticate(bearer(token));
});

test("the clusterid header selects who verifies, and gives nothing", async () => {
  const [here, there] = [await lab(east), await lab(west)];
  const tokens = new Map([
    [east, here.verifier],
    [west, there.verifier],
  ]);
  const trust = new TrustBundles(trustDomain);
  const all = new Authenticators({ clock: here.host.clock, tokens, localCluster: east, trustDomain, trust });
  const token = `Bearer ${await there.issuer.issue({ ...cart, pod: undefined })}`;
  assert.equal((await all.authenticate(showing(token, "west"))).cluster, west);
  for (const header of ["east", "", undefined]) await refused(all.authenticate(showing(token, header)), /cluster east/);
  await refused(all.authenticate(showing(token, "moon")), /no cluster "moon" is known here/);
  await refused(all.authenticate(showing(token, "x".repeat(10_000))), /no cluster "x{80}" is known/);
  await refused(all.authenticate(showing(token, "__proto__")), /no cluster/);
});

test("a client certificate proves its one SPIFFE name, in our trust domain only", async () => {
  const authority = await TestAuthority.create();
  const all = byCertificateAlone(realHost().clock, authority);
  const shown = async (...uris: string[]): Promise<Credentials> => {
    const { certificate } = await authority.issue(uris);
    return { ...showing(undefined), certificateChain: [derOf(certificate)] };
  };
  const caller = await all.authenticate(await shown("spiffe://cluster.local/ns/shop/sa/cart"));
  assert.deepEqual([caller.identity.serviceAccount, caller.via, caller.pod], ["cart", "certificate", undefined]);
  await refused(all.authenticate(await shown()), /not exactly one URI name/);
  await refused(
    all.authenticate(await shown("spiffe://cluster.local/ns/a/sa/b", "spiffe://cluster.local/ns/a/sa/c")),
    /one URI/,
  );
  await refused(
    all.authenticate(await shown("spiffe://other/ns/shop/sa/cart")),
    /of spiffe:\/\/other\/ns\/shop\/sa\/cart proves nobody/,
  );
  await refused(all.authenticate(await shown("https://cluster.local/ns/shop/sa/cart")), /does not begin with spiffe/);
  await refused(all.authenticate(await shown("spiffe://cluster.local/ns/shop/sa/cart%00")), /not a valid path segment/);
});

test("a client certificate proves nobody once it has ended, however long ago the connection began", async () => {
  const authority = await TestAuthority.create();
  const { certificate } = await authority.issue(["spiffe://cluster.local/ns/shop/sa/cart"]);
  let now = Date.now();
  const all = byCertificateAlone({ ...realHost().clock, now: () => now }, authority);
  const shown = { ...showing(undefined), certificateChain: [derOf(certificate)] };
  const { expiresAt } = await all.authenticate(shown);
  now = expiresAt;
  await refused(all.authenticate(shown), /it ended at/);
  now -= 30 * 86_400_000;
  await refused(all.authenticate(shown), /it begins at/);
});

test("an authority's certificate proves nobody, even if it is named like a workload", async () => {
  const uris = ["spiffe://cluster.local/ns/istio-system/sa/citadel"];
  const shown = { ...showing(undefined), certificateChain: [derOf((await TestAuthority.create({ uris })).root)] };
  await refused(byCertificateAlone(realHost().clock).authenticate(shown), /it is an authority's/);
});

test("a NUL in the name of a client certificate ends nothing", async () => {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const { clock } = realHost();
  const template: CertificateTemplate = {
    serial: Buffer.of(1),
    notBefore: clock.now() - 1000,
    notAfter: clock.now() + 60_000,
    subject: EMPTY_NAME,
    publicKey: publicKey.export({ type: "spki", format: "der" }),
    purpose: "workload",
    names: { uris: ["spiffe://cluster.local/ns/shop/sa/cart\u0000.evil"] },
  };
  // Another authority might not look.
  const leaf = signCertificate(template as CheckedTemplate, {
    subject: EMPTY_NAME,
    keyId: Buffer.alloc(20),
    privateKey,
  });
  const shown = { ...showing(undefined), certificateChain: [leaf] };
  await refused(byCertificateAlone(clock).authenticate(shown), /service account is not a valid path segment/);
});

test("a client certificate that cannot be read proves nobody", async () => {
  const shown = { ...showing(undefined), certificateChain: [Buffer.of(0x30, 0)] };
  await refused(byCertificateAlone(realHost().clock).authenticate(shown), /cut short/);
});
