import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { setup, suiteSetup, suiteTeardown, teardown, test } from "mocha";
import { pathLength, readCertificate, uriNames } from "../../src/ca/certificate-fields.ts";
import { MeshError } from "../../src/errors.ts";
import type { IntermediateOrder } from "../../src/manager/issuer.ts";
import type { VaultAuth, VaultSpec } from "../../src/manager/policy.ts";
import { CheckedIssuer } from "../../src/manager/issuers/checked.ts";
import { VaultIssuer } from "../../src/manager/vault/vault-issuer.ts";
import { clusterId } from "../../src/names.ts";
import { makeCsr } from "../kits/csr.ts";
import { folderOf } from "../kits/folder.ts";
import { TestHost } from "../kits/test-host.ts";
import { derOf } from "../kits/tls.ts";
import { eventually } from "./causeway-process.ts";
import { MESH, type VaultLab, vaultLab } from "./vault-lab.ts";

const DAY_MS = 86_400_000;
const SIGN = "pki_int/root/sign-intermediate";
const SIGNS = `update ${SIGN}`;
const READS_ROLE = "read pki_int/roles/gloo-mesh";
const signal = new AbortController().signal;
const csr = await makeCsr({ uris: [`spiffe://${MESH}`], subject: "O=Acme, CN=east authority" });

let lab: VaultLab;
let tokens: Awaited<ReturnType<typeof folderOf>>;
/** Of tokens' lives; certificates are of the real day. */
let waiting: TestHost;
const opened: CheckedIssuer[] = [];

suiteSetup(async () => {
  lab = await vaultLab(process.env);
  console.log(`    against ${lab.name}`);
  tokens = await folderOf({ token: lab.accounts.ours });
});
suiteTeardown(async () => {
  await lab[Symbol.asyncDispose]();
  await tokens[Symbol.asyncDispose]();
});
setup(() => void (waiting = new TestHost()));
teardown(async () => {
  for (const issuer of opened.splice(0)) await issuer.close();
});

const login = (role = "gloo-mesh"): VaultAuth => ({
  kind: "kubernetes",
  mountPath: "kubernetes",
  role,
  tokenFile: tokens.at("token"),
});

/** As guide 004 has it, but for what is changed. */
function issuerOf(change: Partial<VaultSpec> = {}, token = ""): CheckedIssuer {
  const spec: VaultSpec = {
    kind: "vault",
    server: lab.server,
    vaultNamespace: "",
    caPath: "pki_int/sign/gloo-mesh",
    rolePath: "pki_int/roles/gloo-mesh",
    caBundle: lab.ca,
    caBundleSecret: undefined,
    auth: login(),
    ...change,
  };
  const { clock, random } = waiting;
  const host = {
    random,
    clock: { now: () => Date.now(), elapsedMs: () => clock.elapsedMs(), after: clock.after.bind(clock) },
  };
  const issuer = new CheckedIssuer(host, new VaultIssuer(host, spec, () => Promise.resolve(token)), "correct caPath");
  opened.push(issuer);
  return issuer;
}

const order = (change: Partial<IntermediateOrder> = {}): IntermediateOrder => ({
  cluster: clusterId("east"),
  trustDomain: MESH,
  organization: "Acme",
  commonName: "east authority",
  pathLength: 0,
  lifetimeMs: 30 * DAY_MS,
  keyType: "ec-p256",
  csr: csr.pem,
  publicKey: csr.publicKey,
  ...change,
});

async function refusal(issuer: CheckedIssuer, change: Partial<IntermediateOrder> = {}): Promise<string> {
  try {
    await issuer.sign(order(change), signal);
    return "it was not refused";
  } catch (thrown) {
    if (thrown instanceof MeshError) return `${thrown.code}: ${thrown.message}`;
    throw thrown;
  }
}

const subjectOf = (der: Uint8Array): string => new X509Certificate(der).subject.replace(/\n/g, ", ");

test("a Vault that is new is waited for: not initialised, then sealed, then open, with no restart of ours", async () => {
  const issuer = issuerOf({ rolePath: "" });
  assert.match(await refusal(issuer), /^unavailable: Vault https:\S+ is not initialised .*run `vault operator init`/);
  await lab.initialize();
  await lab.allow([SIGNS]);
  await lab.seal();
  assert.match(
    await refusal(issuer),
    /^unavailable: Vault https:\S+ is sealed .*0 of \d key shares are given: unseal it/,
  );
  await lab.unseal();
  assert.equal((await issuer.sign(order(), signal)).chain.length, 2);
});

test("guide 004's example works: logged in as a service account, by a role's path, an authority all the same", async () => {
  await lab.allow([SIGNS, READS_ROLE]);
  await lab.writeRole({ allowed_uri_sans: [`spiffe://${MESH}`] });
  const issuer = issuerOf();
  const [root] = await issuer.roots(signal);
  const { chain, root: top } = await issuer.sign(order(), signal);
  const fields = readCertificate(chain[0]!);
  assert.deepEqual(Buffer.from(top), Buffer.from(root!));
  assert.deepEqual([...chain, top].map(subjectOf), [
    "O=Acme, CN=east authority",
    "CN=mesh intermediates",
    "CN=mesh root",
  ]);
  assert.deepEqual(pathLength(fields), { ca: true, max: 0 });
  assert.deepEqual(uriNames(fields), [`spiffe://${MESH}`]);
  assert.equal(new X509Certificate(chain[0]!).subjectAltName, `URI:spiffe://${MESH}`);
  assert.deepEqual(Buffer.from(fields.publicKey), csr.publicKey);
  assert.ok(Math.abs(fields.notAfter - Date.now() - 30 * DAY_MS) < 60_000);
  assert.ok(new X509Certificate(chain[0]!).verify(new X509Certificate(chain[1]!).publicKey));
  assert.match(issuer.notes[0]!, /so pki_int\/root\/sign-intermediate is asked instead/);
});

test("the path that guide 004 names signs leaves, which is why it is not asked", async () => {
  assert.equal(pathLength(readCertificate(derOf(await lab.signByRole(csr.pem)))).ca, false);
});

test("a role that allows no URI, as new ones are, is named with the command that allows ours", async () => {
  await lab.allow([SIGNS, READS_ROLE]);
  await lab.writeRole({ allowed_uri_sans: [] });
  assert.match(
    await refusal(issuerOf()),
    /^denied: role pki_int\/roles\/gloo-mesh allows no name spiffe:\/\/mesh\.example; run `vault patch/,
  );
  await lab.writeRole({ allowed_uri_sans: [`spiffe://${MESH}`], max_ttl: 86_400 });
  const { chain } = await issuerOf().sign(order(), signal);
  assert.ok(Math.abs(readCertificate(chain[0]!).notAfter - Date.now() - DAY_MS) < 60_000);
  await lab.writeRole({ allowed_uri_sans: [`spiffe://${MESH}`], max_ttl: 0 });
});

test("each line that the policy lacks is named, and works once it is there", async () => {
  await lab.allow([]);
  const issuer = issuerOf();
  assert.match(
    await refusal(issuer),
    /^denied: .*403 .*its policy in Vault lacks `path "pki_int\/roles\/gloo-mesh" \{ capabilities = \["read"\] \}`/,
  );
  await lab.allow([READS_ROLE]);
  assert.match(
    await refusal(issuer),
    /^denied: .*403 .*`path "pki_int\/root\/sign-intermediate" \{ capabilities = \["update"\] \}`/,
  );
  await lab.allow([READS_ROLE, SIGNS]);
  assert.equal(await refusal(issuer), "it was not refused");
});

test("a token that was revoked is had anew in the same request; one of a Secret is renewed", async () => {
  await lab.allow([SIGNS]);
  const issuer = issuerOf({ rolePath: "" });
  await issuer.sign(order(), signal);
  await lab.revoke();
  waiting.clock.advance(60_000);
  assert.equal(await refusal(issuer), "it was not refused");
  waiting = new TestHost();
  const auth: VaultAuth = { kind: "token", secret: { namespace: "gloo-mesh", name: "vault" } };
  const token = await lab.token();
  const kept = issuerOf({ rolePath: "", auth }, token);
  await kept.sign(order(), signal);
  assert.equal(await lab.renewed(token), false);
  waiting.clock.advance(1_800_000);
  await eventually("the token is renewed", 10_000, () => lab.renewed(token));
});

test("a login as somebody else, or in a role that there is not, is refused by what to look at", async () => {
  assert.match(
    await refusal(issuerOf({ auth: login("none") })),
    /^denied: .*400 \(invalid role name "none"\): there is no role none; make it/,
  );
  await writeFile(tokens.at("token"), lab.accounts.other);
  assert.match(
    await refusal(issuerOf()),
    /^denied: .*POST auth\/kubernetes\/login with .*does not take our service account's token for role gloo-mesh/,
  );
  await writeFile(tokens.at("token"), lab.accounts.ours);
});

test("an issuer by its name signs; one that there is not, and a mount that there is not, are named", async () => {
  await lab.allow([SIGNS, "update pki_int/issuer/mesh/sign-intermediate"]);
  const of = (caPath: string): CheckedIssuer => issuerOf({ caPath, rolePath: "" });
  assert.equal(await refusal(of("pki_int/issuer/mesh/sign-intermediate")), "it was not refused");
  assert.match(
    await refusal(of("pki_int/issuer/west/sign-intermediate")),
    /^absent: .*the PKI engine pki_int has no issuer west/,
  );
  assert.match(
    await refusal(of("pki_away/root/sign-intermediate")),
    /^absent: .*no PKI engine is mounted at pki_away, or caPath is wrong/,
  );
});

test("neither a path length without room nor a life beyond the authority's is asked for", async () => {
  await lab.allow([SIGNS]);
  const issuer = issuerOf({ rolePath: "" });
  assert.match(
    await refusal(issuer, { pathLength: 1 }),
    /^denied: .*"CN=mesh intermediates" allows 1 authorities below it, and 2 are wanted/,
  );
  const { chain } = await issuer.sign(order({ lifetimeMs: 3650 * DAY_MS }), signal);
  const [made, above] = chain.map((der) => readCertificate(der));
  assert.ok(made!.notAfter < above!.notAfter);
  assert.match(
    issuer.notes.join("\n"),
    /intermediates live for \d+(\.\d)? days, not 3650 days, as "CN=mesh intermediates" ends at/,
  );
});

test("what is no request, and a certificate of Vault's that we do not know, are told from each other", async () => {
  await lab.allow([SIGNS]);
  assert.match(
    await refusal(issuerOf({ rolePath: "" }), { csr: "no request" }),
    /^denied: .*400 .*it cannot read the request of the cluster/,
  );
  assert.match(
    await refusal(issuerOf({ rolePath: "", caBundle: undefined })),
    /^invalid: .*put the certificate that issued Vault's own into caBundle/,
  );
});
