import assert from "node:assert/strict";
import { test } from "mocha";
import { vaultTarget } from "../../../src/manager/vault/vault-target.ts";
import { ANSWER_MS } from "../../../src/manager/vault/vault-http.ts";
import { VaultServer } from "../../kits/vault-server.ts";
import { until } from "../../kits/until.ts";
import { authority, middle, order, refusalOf, root, VaultSite, specOf, TD } from "./vault-site.ts";

test("a Vault that is sealed, or not initialised yet, is asked again once it is open, without a restart here", async () => {
  await using site = await VaultSite.start();
  site.server.sealed = true;
  site.server.progress = 2;
  const sealed =
    /^unavailable: Vault https:\/\/127\.0\.0\.1:\d+ is sealed \(Vault is sealed\); 2 of 3 key shares are given: unseal it with `vault operator unseal`; nothing has to be restarted/;
  assert.match(await site.refusal(), sealed);
  assert.match(await refusalOf(() => site.roots()), sealed);
  site.server.initialized = false;
  assert.match(
    await site.refusal(),
    /^unavailable: .* is not initialised \(Vault is sealed\): run `vault operator init` and unseal it/,
  );
  site.server.initialized = true;
  site.server.sealed = false;
  assert.equal((await site.sign()).chain.length, 2);
});

test("a standby sends to its leader once, which has to prove itself like the first one", async () => {
  await using site = await VaultSite.start();
  await using stranger = await VaultServer.start(site.host.clock, {});
  site.server.leader = stranger.url;
  assert.match(
    await site.refusal(),
    /^invalid: Vault https:\/\/127\.0\.0\.1:\d+ cannot be asked GET pki_int\/cert\/ca_chain: .*caBundle/,
  );
  assert.equal(stranger.asked.length, 0);
  site.server.leader = site.server.url;
  assert.match(await site.refusal(), /^unavailable: .* is a standby of https:\/\/127\.0\.0\.1:\d+, which is one, too/);
  site.server.leader = "http://vault.internal:8200";
  assert.match(
    await site.refusal(),
    /^unavailable: .* is a standby, which names no leader that may be asked: "http:\/\/vault\.internal:8200\/v1/,
  );
  site.server.instead = (asked, response) => {
    site.server.leader = undefined;
    site.server.instead = undefined;
    response.writeHead(307, { location: `${site.server.url}${asked.path}` }).end();
    return true;
  };
  assert.deepEqual(await site.roots(), ["CN=mesh root"]);
});

test("what a policy of Vault's does not allow is named with the line that allows it", async () => {
  const allowed = new Set(["update pki_int/root/sign-intermediate"]);
  await using reader = await VaultSite.start({ rolePath: "pki_int/roles/gloo-mesh" }, { ...engines, allowed });
  assert.match(
    await reader.refusal(),
    /^denied: .*GET pki_int\/roles\/gloo-mesh with 403 \(permission denied\): the token in Secret gloo-mesh\/vault-token may not do that: it may have ended; or its policy in Vault lacks `path "pki_int\/roles\/gloo-mesh" \{ capabilities = \["read"\] \}`; if all this is in a namespace of Vault, set vault.namespace in the RootTrustPolicy, or leave rolePath out/,
  );
  await using signer = await VaultSite.start({}, { ...engines, allowed: new Set() });
  assert.match(
    await signer.refusal(),
    /its policy in Vault lacks `path "pki_int\/root\/sign-intermediate" \{ capabilities = \["update"\] \}`/,
  );
});

const engines = { engines: { pki_int: { issuer: middle, above: [root] } } };

test("a mount that is not there, and one in a namespace that is not named, are told apart from ours by what to look at", async () => {
  await using away = await VaultSite.start({ caPath: "pki_away/root/sign-intermediate" });
  assert.match(
    await refusalOf(() => away.roots()),
    /^absent: .*GET pki_away\/cert\/ca_chain with 403 .*no PKI engine is mounted at pki_away, or caPath is wrong; if it is in a namespace, set vault.namespace in the RootTrustPolicy/,
  );
  await using nameless = await VaultSite.start({}, { ...engines, namespace: "team-a" });
  assert.match(
    await refusalOf(() => nameless.roots()),
    /^absent: .* with 403 \(permission denied\): no PKI engine .* set vault.namespace in the RootTrustPolicy/,
  );
  await using named = await VaultSite.start({ vaultNamespace: "team-a/" }, { ...engines, namespace: "team-a" });
  assert.equal((await named.sign()).chain.length, 2);
  assert.ok(named.server.asked.every(({ namespace }) => namespace === "team-a"));
});

test("what the engine refuses is told in its own words, with what to do", async () => {
  await using unknown = await VaultSite.start({ caPath: "pki_int/issuer/west/sign-intermediate" });
  assert.match(
    await refusalOf(() => unknown.roots()),
    /^absent: .*500 \(unable to find PKI issuer for reference: west\): the PKI engine pki_int has no issuer west; `vault list pki_int\/issuers` names them/,
  );
  await using site = await VaultSite.start();
  assert.match(
    await site.refusal({ csr: "no request" }),
    /^denied: .*400 \(csr contains no data\): it cannot read the request/,
  );
  const last = await authority("CN=signs leaves", root, { pathLength: 0 });
  await using leaves = await VaultSite.start({}, { engines: { pki_int: { issuer: last, above: [root] } } });
  assert.match(await leaves.refusal(), /^denied: .*"CN=signs leaves" allows 0 authorities below it, and 1 are wanted/);
});

test("what OpenBao 2.6.2 was seen to answer says what to do, whatever its status is", async () => {
  await using site = await VaultSite.start({ rolePath: "pki_int/roles/gloo-mesh" });
  const recorded: readonly (readonly [only: string, status: number, error: string, refusal: RegExp])[] = [
    [
      "cert/ca_chain",
      400,
      "no default issuer currently configured",
      /^absent: .*has no authority yet; give it one with `vault write pki_int\/inter/,
    ],
    ["cert/ca_chain", 403, "permission denied", /^absent: .*no PKI engine is mounted at pki_int, or caPath is wrong/],
    [
      "cert/ca_chain",
      404,
      "namespace not found",
      /^absent: .*\(namespace not found\): .*set vault.namespace in the RootTrustPolicy/,
    ],
    [
      "sign-intermediate",
      500,
      "1 error occurred:\n\t* could not fetch the CA certificate (was one set?): no default issuer currently configured\n\n",
      /^denied: .*500 \(1 error occurred: \* could not fetch the CA .*\): it has no authority yet that may sign/,
    ],
    ["roles/gloo-mesh", 404, "", /^absent: .*there is no such role; make it, correct rolePath, or leave it out/],
    ["sign-intermediate", 500, "internal error", /^unavailable: .*500 \(internal error\): it cannot answer now/],
    [
      "sign-intermediate",
      503,
      "node is not active",
      /^unavailable: .*cannot serve now \(node is not active\): it may be a standby/,
    ],
    ["sign-intermediate", 429, "request path: rate limit quota exceeded", /^unavailable: .*asked too often/],
  ];
  for (const [only, status, error, refusal] of recorded) {
    site.server.instead = (asked, response) => {
      if (!asked.path.endsWith(only)) return false;
      response.writeHead(status, { "content-type": "application/json" });
      response.end(JSON.stringify({ errors: error === "" ? [] : [error] }));
      return true;
    };
    assert.match(await site.refusal(), refusal);
  }
});

test("a leaf, half an answer, and what is no answer of Vault's are refused by what they are", async () => {
  await using site = await VaultSite.start();
  const answers = (status: number, text: string, only = "sign-intermediate"): void => {
    site.server.instead = (asked, response) => {
      if (!asked.path.endsWith(only)) return false;
      response.writeHead(status, { "content-type": "text/html" }).end(text);
      return true;
    };
  };
  const leaf = (await site.server.engines.get("pki_int")!.signLeaf({ csr: "" })).errors;
  assert.deepEqual(leaf, ["csr contains no data"]);
  const made = await site.server.engines
    .get("pki_int")!
    .signLeaf({ csr: order().csr, common_name: "x", uri_sans: `spiffe://${TD}` });
  answers(200, JSON.stringify({ data: made.data }));
  assert.match(
    await site.refusal(),
    /^invalid: .*pki_int did not sign what was ordered for cluster east: it is a leaf \(CA:FALSE\), which can sign for nobody; let caPath end in/,
  );
  answers(200, "<html>please log in</html>");
  assert.match(
    await site.refusal(),
    /^invalid: .*POST pki_int\/root\/sign-intermediate with what is no JSON; check that server is Vault itself/,
  );
  answers(200, JSON.stringify({ data: null }));
  assert.match(await site.refusal(), /^invalid: .*answers without a certificate/);
  answers(200, JSON.stringify({ data: { certificate: "-----BEGIN CERTIFICATE-----\nMIIB" } }));
  assert.match(await site.refusal(), /^invalid: .*holds a certificate that cannot be read: it is cut short or damaged/);
  answers(502, "bad gateway");
  assert.match(await site.refusal(), /^unavailable: .*with 502: it cannot answer now/);
  answers(302, "");
  assert.match(await site.refusal(), /^unavailable: .*names no leader/);
  answers(418, "");
  assert.match(await site.refusal(), /^invalid: .*this is no answer of Vault's/);
  answers(200, "x".repeat(300_000));
  assert.match(await site.refusal(), /^unavailable: .*it answers with over 262144 bytes/);
  site.server.instead = (asked, response) => {
    if (!asked.path.endsWith("sign-intermediate")) return false;
    response.writeHead(200, { "content-length": 1000 }).write("{");
    response.socket!.destroySoon();
    return true;
  };
  assert.match(await site.refusal(), /^unavailable: .*cannot be asked POST pki_int\/root\/sign-intermediate: /);
});

test("a Vault that says nothing is given up after 15 seconds, and one that is not there at once", async () => {
  const site = await VaultSite.start();
  let silent = false;
  site.server.instead = () => (silent = true);
  const refused = refusalOf(() => site.roots());
  await until(() => silent);
  site.host.clock.advance(ANSWER_MS);
  assert.match(await refused, /^unavailable: .*it has not answered within 15 s; it is asked again/);
  await site[Symbol.asyncDispose]();
  assert.match(await refusalOf(() => site.roots()), /^unavailable: .*ECONNREFUSED/);
  assert.equal(site.host.clock.pending, 0);
});

test("a Vault is told apart from one that shows another authority's certificate, or speaks no TLS", async () => {
  await using site = await VaultSite.start({ caBundle: root.root });
  assert.match(
    await refusalOf(() => site.roots()),
    /^invalid: .*; put the certificate that issued Vault's own into caBundle/,
  );
  await using plain = await VaultServer.startPlain(site.host.clock, engines);
  await using astray = await VaultSite.start({ server: plain.url.replace("http:", "https:") });
  assert.match(await refusalOf(() => astray.roots()), /^invalid: .*no TLS is spoken there: check host and port/);
});

test("what verifies Vault may be in a Secret, and counts as soon as it is there", async () => {
  const inSecret = { caBundle: undefined, caBundleSecret: { namespace: "gloo-mesh", name: "vault-ca" } };
  await using site = await VaultSite.start(inSecret);
  const { ca } = site.secret;
  site.secret.ca = root.root;
  assert.match(
    await refusalOf(() => site.roots()),
    /^invalid: .*put the certificate that issued Vault's own into caBundle/,
  );
  site.secret.ca = "";
  assert.match(
    await refusalOf(() => site.roots()),
    /^invalid: Secret gloo-mesh\/vault-ca, key ca\.crt, holds no certificate; put the one there/,
  );
  site.secret.ca = ca;
  assert.deepEqual(await site.roots(), ["CN=mesh root"]);
});

test("a policy that no Vault could be asked by is refused before it is, with the field and what it should be", async () => {
  await using site = await VaultSite.start();
  const refused = (change: object): Promise<string> =>
    refusalOf(() => vaultTarget({ ...specOf(site.server), ...change }));
  assert.match(
    await refused({ server: "http://vault.internal:8200" }),
    /^invalid: server "http:\/\/vault\.internal:8200" is no address of a Vault; write https:/,
  );
  assert.match(await refused({ server: "https://vault.internal:8200/v1/pki" }), /nothing after it/);
  assert.match(
    await refused({ caPath: "pki_int" }),
    /^invalid: caPath pki_int signs no intermediates; write pki_int\/root\/sign-intermediate, or pki_int\/issuer\/<name>/,
  );
  assert.match(
    await refused({ caPath: "teams/a/pki/sign-verbatim/x" }),
    /write teams\/a\/pki\/root\/sign-intermediate/,
  );
  assert.match(await refused({ caPath: "pki/../sys/root/sign-intermediate" }), /^invalid: caPath "pki\/\.\.\/sys/);
  assert.match(await refused({ caPath: "pki/sign/x?y" }), /is no path in Vault/);
  assert.match(
    await refused({ rolePath: "pki_int/gloo-mesh" }),
    /^invalid: rolePath pki_int\/gloo-mesh is no role .* write <mount>\/roles\/<role>/,
  );
  assert.equal(
    await refused({ server: "http://127.0.0.1:8200", caPath: "/v1/teams/pki/root/sign-intermediate" }),
    "it was not refused",
  );
});
