import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { test } from "mocha";
import { pathLength, readCertificate, uriNames } from "../../../src/ca/certificate-fields.ts";
import { VaultIssuer } from "../../../src/manager/vault/vault-issuer.ts";
import {
  authority,
  DAY_MS,
  lifeMsOf,
  middle,
  nameOf,
  order,
  ROLE,
  root,
  signal,
  specOf,
  TD,
  VaultSite,
} from "./vault-site.ts";

test("Vault signs a cluster's intermediate with the names, the path length and the life of the order, for the key of its request", async () => {
  await using site = await VaultSite.start();
  const { chain, root: top } = await site.sign();
  const fields = readCertificate(chain[0]!);
  assert.deepEqual(chain.map(nameOf), ["O=Acme, CN=east authority", "CN=mesh intermediates"]);
  assert.equal(nameOf(top), "CN=mesh root");
  assert.deepEqual(uriNames(fields), [`spiffe://${TD}`]);
  assert.deepEqual(pathLength(fields), { ca: true, max: 0 });
  assert.deepEqual(Buffer.from(fields.publicKey), Buffer.from(order().publicKey));
  assert.equal(lifeMsOf(chain[0]!), 30 * DAY_MS);
  assert.ok(new X509Certificate(chain[0]!).verify(new X509Certificate(chain[1]!).publicKey));
  const [asked, ...more] = site.server.asked.filter(({ method }) => method === "POST");
  assert.deepEqual([asked!.path, more], ["/v1/pki_int/root/sign-intermediate", []]);
  assert.deepEqual(
    { ...asked!.body, csr: "" },
    {
      csr: "",
      use_csr_values: false,
      common_name: "east authority",
      exclude_cn_from_sans: true,
      organization: "Acme",
      uri_sans: `spiffe://${TD}`,
      max_path_length: 0,
      ttl: "2592000s",
      not_before_duration: "30s",
      format: "pem",
    },
  );
});

test("the root is the one that leads up from the mount's issuer, and is had without a token", async () => {
  await using site = await VaultSite.start();
  site.server.tokens.clear();
  assert.deepEqual(await site.roots(), ["CN=mesh root"]);
  assert.deepEqual(
    site.server.asked.map(({ token }) => token),
    [undefined],
  );
});

test("the example of guide 004, which names a role's path, works by the mount's own, and the status says so", async () => {
  const spec = { caPath: "pki_int/sign/gloo-mesh", rolePath: "pki_int/roles/gloo-mesh" };
  await using site = await VaultSite.start(spec);
  const { chain } = await site.sign();
  assert.deepEqual(pathLength(readCertificate(chain[0]!)), { ca: true, max: 0 });
  assert.equal(site.server.count("/v1/pki_int/sign/gloo-mesh"), 0);
  assert.match(
    site.issuer.notes[0]!,
    /^caPath pki_int\/sign\/gloo-mesh signs by a role, which never makes a certificate authority, so pki_int\/root\/sign-intermediate is asked/,
  );
});

test("a mount's other issuer signs where caPath names it", async () => {
  await using site = await VaultSite.start({ caPath: "pki_int/issuer/mesh/sign-intermediate" });
  assert.deepEqual(await site.roots(), ["CN=mesh root"]);
  assert.equal((await site.sign()).chain.length, 2);
  assert.deepEqual(
    site.server.asked.map(({ path }) => path).filter((path) => path.includes("issuer")),
    ["/v1/pki_int/issuer/mesh/json", "/v1/pki_int/issuer/mesh/json", "/v1/pki_int/issuer/mesh/sign-intermediate"],
  );
});

test("engines from before Vault 1.11, whose chain leaves out the certificate and a root that signs, are read alike", async () => {
  const engines = { pki_int: { issuer: middle, above: [root], old: true }, pki: { issuer: root, old: true } };
  await using two = await VaultSite.start({}, { engines });
  assert.deepEqual((await two.sign()).chain.map(nameOf), ["O=Acme, CN=east authority", "CN=mesh intermediates"]);
  await using one = await VaultSite.start({ caPath: "pki/root/sign-intermediate" }, { engines });
  assert.deepEqual(await one.roots(), ["CN=mesh root"]);
  const { chain, root: top } = await one.sign();
  assert.deepEqual([...chain, top].map(nameOf), ["O=Acme, CN=east authority", "CN=mesh root"]);
});

test("a mount that does not hold its root is refused with what to import, unless what verifies the server has it", async () => {
  await using site = await VaultSite.start({}, { engines: { pki_int: { issuer: middle } } });
  assert.match(
    await site.refusal(),
    /^invalid: Vault https:\/\/127\.0\.0\.1:\d+, mount pki_int: its chain ends at "CN=mesh intermediates" without its root, "CN=mesh root", .*issuers\/import\/cert.* or put it into caBundle$/,
  );
  const spec = { ...specOf(site.server), caBundle: site.server.ca + root.root };
  const issuer = new VaultIssuer(site.host, spec, () => Promise.resolve("s.static"));
  assert.equal(nameOf((await issuer.sign(order(), signal)).root), "CN=mesh root");
  assert.match(issuer.notes[0]!, /mount pki_int: the root "CN=mesh root" is taken from what verifies the server/);
  await issuer.close();
});

test("an intermediate never outlives what signs it, which the engine would let it, and the status says why it is short", async () => {
  const short = await authority("CN=ends soon", root, { notAfterMs: 1_700_000_000_000 + 10 * DAY_MS });
  await using site = await VaultSite.start({}, { engines: { pki_int: { issuer: short, above: [root] } } });
  const { chain } = await site.sign();
  assert.equal(lifeMsOf(chain[0]!), 10 * DAY_MS - 60_000);
  assert.match(
    site.issuer.notes[0]!,
    /live for 10 days, not 30 days, as "CN=ends soon" ends at 2023-11-24T22:13:20\.000Z; renew it in Vault/,
  );
  site.host.clock.advance(10 * DAY_MS - 60_000);
  assert.match(
    await site.refusal(),
    /^denied: .*"CN=ends soon" ends at .* so it signs no more; renew it in Vault, and check the clocks/,
  );
});

test("what a Vault whose clock is a day ahead, or behind, makes is refused with both clocks", async () => {
  await using ahead = await VaultSite.start({}, {}, DAY_MS);
  assert.match(
    await ahead.refusal(),
    /^invalid: .*it begins only at 2023-11-15T.*one clock is wrong; compare the clock of Vault https/,
  );
  await using behind = await VaultSite.start({}, {}, -DAY_MS);
  assert.match(
    await behind.refusal({ lifetimeMs: DAY_MS }),
    /^invalid: .*it ended at 2023-11-14T22:13:20\.000Z, before it came: .*compare the clock of Vault https/,
  );
});

test("a path length that leaves no room below an authority is refused before anything is signed", async () => {
  await using site = await VaultSite.start();
  assert.match(
    await site.refusal({ pathLength: 1 }),
    /^denied: .*"CN=mesh intermediates" allows 1 authorities below it, and 2 are wanted; make it anew in Vault with a larger max_path_length/,
  );
  assert.equal(site.server.count("/v1/pki_int/root/sign-intermediate"), 0);
});

test("a role bounds the life, and one that would not allow the mesh's name, or another organization, is named with its command", async () => {
  const roles = {
    short: { ...ROLE, max_ttl: 86_400, ou: ["IT"] },
    other: { ...ROLE, allowed_uri_sans: ["spiffe://other.example"] },
    org: { ...ROLE, organization: ["Umbrella"] },
    glob: { ...ROLE, allowed_uri_sans: ["spiffe://*.org", "spiffe://*.exam*"] },
    template: { ...ROLE, allowed_uri_sans: ["spiffe://{{identity.entity.name}}"], allowed_uri_sans_template: true },
  };
  const engines = { pki_int: { issuer: middle, above: [root], roles } };
  const withRole = (name: string) => VaultSite.start({ rolePath: `pki_int/roles/${name}` }, { engines });
  await using short = await withRole("short");
  assert.equal(lifeMsOf((await short.sign()).chain[0]!), DAY_MS);
  assert.match(
    short.issuer.notes.join(),
    /sets ou IT, which intermediates do not get.*live for 1 days, not 30 days, as the role's max_ttl says so/,
  );
  await using other = await withRole("other");
  assert.match(
    await other.refusal(),
    /^denied: role pki_int\/roles\/other allows no name spiffe:\/\/mesh\.example; run `vault patch pki_int\/roles\/other allowed_uri_sans=spiffe:\/\/mesh\.example`/,
  );
  await using org = await withRole("org");
  assert.match(
    await org.refusal(),
    /^denied: role pki_int\/roles\/org is for organization Umbrella, and the policy's is Acme/,
  );
  await using glob = await withRole("glob");
  assert.equal((await glob.sign()).chain.length, 2);
  await using template = await withRole("template");
  assert.equal((await template.sign()).chain.length, 2);
  await using none = await withRole("none");
  assert.match(await none.refusal(), /^absent: .*GET pki_int\/roles\/none with 404: there is no such role/);
});

test("what Vault warns of reaches the status, but for what is as wanted", async () => {
  const engines = { pki_int: { issuer: middle, above: [root], maxLeaseSeconds: 86_400 } };
  await using site = await VaultSite.start({}, { engines });
  assert.equal(lifeMsOf((await site.sign()).chain[0]!), DAY_MS);
  assert.match(
    site.issuer.notes.join("\n"),
    /Vault https:\/\/[\d.:]+ warns: TTL "720h0m0s" is longer than permitted maxTTL "24h0m0s"/,
  );
  assert.equal(site.issuer.notes.length, 1);
});
