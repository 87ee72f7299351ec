import assert from "node:assert/strict";
import { test } from "mocha";
import { newAuthorityRequest, readAuthorityRequest } from "../../../src/ca/authority-request.ts";
import { readCertificate } from "../../../src/ca/certificate-fields.ts";
import { fingerprintOf } from "../../../src/ca/issued-list.ts";
import { MeshError } from "../../../src/errors.ts";
import { FolderStore } from "../../../src/manager/store/folder-store.ts";
import type { IntermediateOrder } from "../../../src/manager/issuer.ts";
import { CheckedIssuer } from "../../../src/manager/issuers/checked.ts";
import { GeneratedIssuer, type RootChange } from "../../../src/manager/issuers/generated.ts";
import type { TrustStore } from "../../../src/manager/store/store.ts";
import { clusterId } from "../../../src/names.ts";
import { folderOf } from "../../kits/folder.ts";
import { TestHost } from "../../kits/test-host.ts";

const DAY = 86_400_000;
const signal = new AbortController().signal;
const spec = {
  kind: "generated" as const,
  organization: "Example",
  keyType: "ec-p256" as const,
  lifetimeMs: 100 * DAY,
};

async function order(change: Partial<IntermediateOrder> = {}): Promise<IntermediateOrder> {
  const shape = {
    organization: "Example",
    commonName: "Intermediate CA east",
    trustDomain: "mesh.example",
    pathLength: 0,
    keyType: "ec-p256" as const,
  };
  const request = await readAuthorityRequest((await newAuthorityRequest(shape)).csr, shape);
  return { ...shape, ...request, cluster: clusterId("east"), lifetimeMs: 30 * DAY, ...change };
}

/** A place where roots are kept, and managers that begin and end. */
async function place() {
  const folder = await folderOf({});
  const host = new TestHost();
  const store = new FolderStore(folder.path);
  const open = (change: Partial<RootChange> = {}, kept: TrustStore = store): GeneratedIssuer =>
    new GeneratedIssuer(host, kept, spec, { rotateRoot: "", graceRatio: 0.1, ...change });
  const named = async (issuer: GeneratedIssuer): Promise<readonly string[]> =>
    (await issuer.roots(signal)).map(fingerprintOf);
  return { host, store, open, named, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() };
}

test("a root is made on first use, and is the same for every manager after it", async () => {
  await using at = await place();
  const [first, ...more] = await at.named(at.open());
  assert.deepEqual(more, []);
  assert.deepEqual(await at.named(at.open()), [first]);
  const { notAfter, notBefore } = readCertificate((await at.open().roots(signal))[0]!);
  const now = Math.floor(at.host.clock.now() / 1000) * 1000;
  assert.deepEqual([notBefore, notAfter], [now - 120_000, now + 100 * DAY]);
});

test("managers that begin at the same moment agree on one root", async () => {
  await using at = await place();
  const roots = await Promise.all(Array.from({ length: 6 }, () => at.named(at.open())));
  assert.equal(new Set(roots.flat()).size, 1, roots.join(" | "));
});

for (const keyType of ["ec-p256", "ec-p384", "rsa-2048"] as const)
  test(`a generated root with a key of ${keyType} signs what any issuer is held to`, async () => {
    await using at = await place();
    const issuer = new GeneratedIssuer(at.host, at.store, { ...spec, keyType }, { rotateRoot: "", graceRatio: 0.1 });
    const signed = await new CheckedIssuer(at.host, issuer, "").sign(await order(), signal);
    assert.equal(signed.chain.length, 1);
    assert.equal(fingerprintOf(signed.root), (await at.named(issuer))[0]);
  });

test("another value asks for another root, once, also of managers that begin later; the former stays beside it", async () => {
  await using at = await place();
  const [old] = await at.named(at.open());
  const [next, beside, ...more] = await at.named(at.open({ rotateRoot: "2026-11" }));
  assert.notEqual(next, old);
  assert.deepEqual([beside, more], [old, []]);
  assert.deepEqual(await at.named(at.open({ rotateRoot: "2026-11" })), [next, old]);
  // An annotation that was removed asks for nothing.
  assert.deepEqual(await at.named(at.open()), [next, old]);
  const raced = await Promise.all([1, 2, 3].map(() => at.named(at.open({ rotateRoot: "x" }))));
  assert.equal(new Set(raced.map(String)).size, 1);
  assert.equal(raced[0]!.length, 3);
});

test("the value of a former root turns back to that one, and makes no other", async () => {
  await using at = await place();
  const [a] = await at.named(at.open({ rotateRoot: "a" }));
  const [b] = await at.named(at.open({ rotateRoot: "b" }));
  assert.deepEqual(await at.named(at.open({ rotateRoot: "a" })), [a, b]);
});

test("while a root changes, the former one signs for those who have it, and the order says under which", async () => {
  await using at = await place();
  const former = at.open();
  const [old] = await at.named(former);
  const issuer = at.open({ rotateRoot: "b" });
  const [next] = await at.named(issuer);
  const under = async (by: GeneratedIssuer, signingRoot?: string) =>
    fingerprintOf((await by.sign(await order({ signingRoot }), signal)).root);
  assert.deepEqual([await under(issuer), await under(issuer, old), await under(issuer, next)], [next, old, next]);
  // Whoever was opened before signs under what he said, and turns nothing back by that.
  assert.equal(await under(former), old);
  assert.deepEqual(await at.named(issuer), [next, old]);
  await assert.rejects(under(issuer, "0".repeat(64)), /holds root 00000000 no more; wait for the next order/);
});

test("a former root that nobody trusts any more is forgotten with its key, and the one that signs never is", async () => {
  await using at = await place();
  const [old] = await at.named(at.open());
  const issuer = at.open({ rotateRoot: "b" });
  const [next] = await at.named(issuer);
  await issuer.retire([old!, next!], signal);
  assert.deepEqual(await at.named(issuer), [next]);
  const kept = (await at.store.read("causeway-trust-root"))!.data;
  assert.deepEqual([...kept.keys()].sort(), ["root-cert.pem", "root-key.pem", "rotate-root"]);
  await assert.rejects(issuer.sign(await order({ signingRoot: old }), signal), /no more/);
});

test("a root in the last part of its life is followed by another one by itself, once; one that ended is not named", async () => {
  await using at = await place();
  const issuer = at.open();
  const [old] = await at.named(issuer);
  await at.host.clock.pass(89 * DAY);
  assert.deepEqual(await at.named(issuer), [old]);
  await at.host.clock.pass(2 * DAY);
  const [next, ...beside] = await at.named(issuer);
  assert.deepEqual(beside, [old]);
  assert.deepEqual(await at.named(at.open()), [next, old]);
  await at.host.clock.pass(10 * DAY);
  assert.deepEqual(await at.named(issuer), [next]);
});

test("roots that somebody deletes are put back by the manager that has them", async () => {
  await using at = await place();
  const issuer = at.open();
  const before = await at.named(issuer);
  await at.store.remove("causeway-trust-root");
  assert.equal(fingerprintOf((await issuer.sign(await order(), signal)).root), before[0]);
  assert.deepEqual(await at.named(issuer), before);
  assert.deepEqual(await at.named(at.open()), before);
});

test("who asks for root after root, and lets no change end, is told and gets no more of them", async () => {
  await using at = await place();
  for (let value = 1; value <= 8; value += 1) await at.named(at.open({ rotateRoot: `${value}` }));
  const issuer = at.open({ rotateRoot: "9" });
  assert.equal((await at.named(issuer)).length, 8);
  assert.match(issuer.notes.join(), /rotate-root asks for another root, and 8 are kept already/);
});

test("roots that cannot be read are not replaced, and the message says where, what and what to do", async () => {
  const broken: readonly (readonly [string, string, RegExp])[] = [
    ["root-key.pem", "x", /root-key\.pem: .*; restore it from a backup; if there is none, remove it/],
    ["root-cert.pem", "x", /root-cert\.pem: it must be one PEM block of CERTIFICATE and nothing else; restore it/],
  ];
  for (const [key, text, why] of broken) {
    await using at = await place();
    await at.named(at.open());
    const { data, version } = (await at.store.read("causeway-trust-root"))!;
    await at.store.write("causeway-trust-root", new Map([...data, [key, text]]), version);
    await assert.rejects(
      at.named(at.open({ rotateRoot: "other" })),
      (thrown) => thrown instanceof MeshError && thrown.code === "invalid" && why.test(thrown.message),
    );
    assert.equal((await at.store.read("causeway-trust-root"))?.data.get(key), text);
  }
});

test("a store that cannot be asked makes no root, and no private key is in what is logged", async () => {
  await using at = await place();
  const down: TrustStore = {
    titleOf: (name) => at.store.titleOf(name),
    names: () => Promise.resolve([]),
    remove: () => Promise.resolve(),
    read: () => Promise.reject(new MeshError("unavailable", "the API server is away")),
    write: () => assert.fail("nothing may be written"),
  };
  await assert.rejects(at.open({}, down).roots(signal), /the API server is away/);
  await at.named(at.open());
  const key = (await at.store.read("causeway-trust-root"))!.data.get("root-key.pem")!.split("\n")[1]!;
  assert.match(at.host.lines.join("\n"), /another generated root signs from now on/);
  assert.equal(at.host.lines.join("\n").includes(key.slice(0, 20)), false);
});
