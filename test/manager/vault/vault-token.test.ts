import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { test } from "mocha";
import { folderOf } from "../../kits/folder.ts";
import { until } from "../../kits/until.ts";
import { middle, root, VaultSite } from "./vault-site.ts";

const LOGIN = "/v1/auth/kubernetes/login";
const RENEW = "/v1/auth/token/renew-self";
const engines = { pki_int: { issuer: middle, above: [root] } };

const waitsForRenewal = (site: VaultSite, delayMs = 1_800_000): Promise<void> =>
  until(() => site.waits.join() === String(delayMs));

/** One whose service account has this token. */
async function inCluster(leaseSeconds = 3600, renewable = true) {
  const folder = await folderOf({ token: "jwt-1\n" });
  const kubernetes = { role: "gloo-mesh", jwts: new Set(["jwt-1"]), leaseSeconds, renewable };
  const auth = {
    kind: "kubernetes",
    mountPath: "kubernetes",
    role: "gloo-mesh",
    tokenFile: folder.at("token"),
  } as const;
  const site = await VaultSite.start({ auth }, { engines, kubernetes });
  site.server.tokens.clear();
  return { site, kubernetes, folder, auth };
}

test("our service account's token is shown to Vault once, however many clusters ask at once, and what it gives is used until half of its life", async () => {
  const { site, folder } = await inCluster();
  await using _ = folder;
  await using __ = site;
  await Promise.all([site.sign(), site.sign(), site.sign()]);
  assert.equal(site.server.count(LOGIN), 1);
  assert.deepEqual(site.server.asked.find(({ path }) => path === LOGIN)?.body, { role: "gloo-mesh", jwt: "jwt-1" });
  site.host.clock.advance(1_799_000);
  assert.equal(site.server.count(RENEW), 0);
  site.host.clock.advance(1_000);
  await until(() => site.server.count(RENEW) === 1);
  assert.equal(site.server.asked.at(-1)!.token, "s.login-1");
});

test("a token that is renewed at half of its life lives on and on, and asks for no login", async () => {
  const { site, folder } = await inCluster();
  await using _ = folder;
  await using __ = site;
  await site.sign();
  for (let renewals = 1; renewals <= 5; renewals += 1) {
    await waitsForRenewal(site);
    site.host.clock.advance(1_800_000);
    await until(() => site.server.count(RENEW) === renewals);
  }
  await waitsForRenewal(site);
  await site.sign();
  assert.equal(site.server.count(LOGIN), 1);
});

test("a token that cannot be renewed is had anew when it ends, with the service account's token of then", async () => {
  const { site, folder, kubernetes } = await inCluster(3600, false);
  await using _ = folder;
  await using __ = site;
  await site.sign();
  await writeFile(folder.at("token"), "jwt-2\n");
  kubernetes.jwts.clear();
  kubernetes.jwts.add("jwt-2");
  site.host.clock.advance(3_590_000);
  await site.sign();
  assert.equal(site.server.count(LOGIN), 1);
  site.host.clock.advance(6_000);
  await site.sign();
  assert.deepEqual([site.server.count(LOGIN), site.server.count(RENEW)], [2, 0]);
});

test("a token that was revoked is had anew within the request that it was refused in", async () => {
  const { site, folder } = await inCluster();
  await using _ = folder;
  await using __ = site;
  await site.sign();
  site.host.clock.advance(60_000);
  site.server.tokens.clear();
  assert.equal((await site.sign()).chain.length, 2);
  assert.equal(site.server.count(LOGIN), 2);
});

test("what a new token may not do is no reason for another one", async () => {
  const folder = await folderOf({ token: "jwt-1" });
  await using _ = folder;
  const kubernetes = { role: "gloo-mesh", jwts: new Set(["jwt-1"]), leaseSeconds: 3600, renewable: true };
  const auth = {
    kind: "kubernetes",
    mountPath: "auth/kubernetes/",
    role: "gloo-mesh",
    tokenFile: folder.at("token"),
  } as const;
  await using site = await VaultSite.start({ auth }, { engines, kubernetes, allowed: new Set() });
  assert.match(
    await site.refusal(),
    /^denied: .*role gloo-mesh of auth\/kubernetes may not do that: its policy in Vault lacks `path "pki_int\/root\/sign-intermediate" \{ capabilities = \["update"\] \}`/,
  );
  assert.equal(site.server.count(LOGIN), 1);
});

test("a renewal that Vault cannot answer is tried again, and one that it refuses ends in a login", async () => {
  const { site, folder } = await inCluster();
  await using _ = folder;
  await using __ = site;
  await site.sign();
  site.server.sealed = true;
  site.host.clock.advance(1_800_000);
  await until(() => site.issuer.notes.some((note) => note.includes("is sealed")));
  site.server.sealed = false;
  site.host.clock.advance(2_000);
  await until(() => site.server.count(RENEW) === 2 && site.issuer.notes.every((note) => !note.includes("is sealed")));
  await waitsForRenewal(site);
  site.server.tokens.clear();
  site.host.clock.advance(1_800_000);
  await until(() => site.issuer.notes.some((note) => note.includes("cannot be renewed: it has ended or was revoked")));
  await site.sign();
  assert.equal(site.server.count(LOGIN), 2);
  assert.ok(site.issuer.notes.every((note) => !note.includes("cannot be renewed")));
});

test("a login that Vault refuses says what of the role, of the token and of the mount to look at", async () => {
  const { site, folder, kubernetes, auth } = await inCluster();
  await using _ = folder;
  await using __ = site;
  kubernetes.jwts.clear();
  assert.match(
    await site.refusal(),
    /^denied: .*POST auth\/kubernetes\/login with 403 \(permission denied\): it does not take our service account's token for role gloo-mesh, or no Kubernetes .*; the role's bound_service_account_names/,
  );
  await using other = await VaultSite.start({ auth: { ...auth, role: "mesh" } }, { engines, kubernetes });
  assert.match(
    await other.refusal(),
    /^denied: .*400 \(invalid role name "mesh"\): there is no role mesh; make it with `vault write auth\/kubernetes\/role\/mesh …`/,
  );
  await writeFile(folder.at("token"), "");
  assert.match(await site.refusal(), /^invalid: .*token is empty; put one token there/);
  await using astray = await VaultSite.start(
    { auth: { ...auth, tokenFile: folder.at("away") } },
    { engines, kubernetes },
  );
  assert.match(
    await astray.refusal(),
    /^absent: the service account's token, which is shown to Vault, cannot be read: ENOENT.*; mount it there/,
  );
});

test("a token of a Secret is renewed for as long as it can be, and one that was changed there counts once the old one is refused", async () => {
  await using site = await VaultSite.start();
  site.server.addToken("s.static", 7200, true);
  await site.sign();
  site.host.clock.advance(3_600_000);
  await until(() => site.server.count(RENEW) === 1);
  await waitsForRenewal(site, 3_600_000);
  site.server.tokens.delete("s.static");
  site.server.addToken("s.next");
  site.secret.token = "s.next";
  site.host.clock.advance(10_000);
  assert.equal((await site.sign()).chain.length, 2);
  assert.equal(site.server.asked.at(-1)!.token, "s.next");
});

test("nothing goes on once an issuer is closed", async () => {
  const { site, folder } = await inCluster();
  await using _ = folder;
  await site.sign();
  await site[Symbol.asyncDispose]();
  assert.equal(site.host.clock.pending, 0);
  await site.issuer.close();
});
