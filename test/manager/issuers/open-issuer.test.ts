import assert from "node:assert/strict";
import { test } from "mocha";
import { readCertificate, uriNames } from "../../../src/ca/certificate-fields.ts";
import { fingerprintOf } from "../../../src/ca/issued-list.ts";
import type { Host } from "../../../src/host.ts";
import { FolderStore } from "../../../src/manager/store/folder-store.ts";
import type { Issuer } from "../../../src/manager/issuer.ts";
import { type IssuerParts, openIssuer } from "../../../src/manager/issuers/open-issuer.ts";
import type { SourceSpec } from "../../../src/manager/policy.ts";
import { folderOf } from "../../kits/folder.ts";
import { TestHost } from "../../kits/test-host.ts";
import { derOf } from "../../kits/tls.ts";
import { issuerLab, order as certManagerOrder, SPEC } from "../cert-manager/issuer-lab.ts";
import { middle, order as vaultOrder, signal, specOf, VaultSite } from "../vault/vault-site.ts";

const CHANGE = { rotateRoot: "", graceRatio: 0.1 };
const unused = (): never => assert.fail("a policy names one source, and no other is opened");

const partsOf = (host: Host, folder: string, parts: Partial<IssuerParts>): IssuerParts => ({
  host,
  store: new FolderStore(folder),
  readSecret: () => Promise.resolve("absent"),
  certManager: unused,
  vault: unused,
  ...parts,
});

test("what Vault signs passes all that any issuer is held to", async () => {
  await using site = await VaultSite.start();
  const parts = partsOf(site.host, "/nowhere", { vault: () => site.issuer });
  const issuer = openIssuer(specOf(site.server), CHANGE, parts);
  const { chain } = await issuer.sign(vaultOrder(), signal);
  assert.deepEqual(uriNames(readCertificate(chain[0]!)), ["spiffe://mesh.example"]);
  assert.equal(issuer.title, site.issuer.title);
  assert.deepEqual(issuer.notes, site.issuer.notes);
});

test("what cert-manager signs passes all that any issuer is held to", async () => {
  const lab = await issuerLab();
  const issuer = openIssuer(SPEC, CHANGE, partsOf(lab.host, "/nowhere", { certManager: () => lab.issuer }));
  const { chain } = await lab.good(issuer.sign(await certManagerOrder(), lab.signal));
  assert.deepEqual(uriNames(readCertificate(chain[0]!)), ["spiffe://mesh.example"]);
  await lab.close();
});

test("a generated root and a Secret's authority need no other program", async () => {
  await using folder = await folderOf({});
  const generated: SourceSpec = { kind: "generated", organization: "Example", keyType: "ec-p256", lifetimeMs: 1e9 };
  const parts = partsOf(new TestHost(), folder.path, {});
  const own = openIssuer(generated, CHANGE, parts);
  const [root] = await own.roots(signal);
  const other = openIssuer(generated, { ...CHANGE, rotateRoot: "b" }, parts);
  assert.equal((await other.roots(signal)).length, 2);
  await other.retire!([fingerprintOf(root!)], signal);
  assert.equal((await other.roots(signal)).length, 1);
  const secret: SourceSpec = { kind: "secret", secret: { namespace: "gloo-mesh", name: "root" } };
  // Whoever asks has to see that it has nothing to forget.
  assert.equal(openIssuer(secret, CHANGE, parts).retire, undefined);
  await assert.rejects(openIssuer(secret, CHANGE, parts).roots(signal), /Secret gloo-mesh\/root is not there/);
});

test("an issuer that gives a leaf is told what to change where it is configured", async () => {
  await using site = await VaultSite.start();
  const leaf = derOf((await middle.issue(["spiffe://mesh.example"])).certificate);
  const leafy = (fix: RegExp, spec: SourceSpec) => {
    const inner: Issuer = {
      title: "leafy",
      roots: (over) => site.issuer.roots(over),
      sign: async (order, over) => {
        const { chain, root } = await site.issuer.sign(order, over);
        return { chain: [leaf, ...chain.slice(1)], root };
      },
      close: () => Promise.resolve(),
    };
    const parts = partsOf(site.host, "/nowhere", { vault: () => inner, certManager: () => inner });
    return assert.rejects(openIssuer(spec, CHANGE, parts).sign(vaultOrder(), signal), fix);
  };
  await leafy(/it is a leaf \(CA:FALSE\).*root\/sign-intermediate/, specOf(site.server));
  await leafy(/it is a leaf \(CA:FALSE\).*isCA: true/, SPEC);
});
