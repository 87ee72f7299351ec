import "reflect-metadata";
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import * as x509 from "@peculiar/x509";
import { test } from "mocha";
import { newAuthorityRequest, readAuthorityRequest } from "../../../src/ca/authority-request.ts";
import { MeshError } from "../../../src/errors.ts";
import type { IntermediateOrder, Issuer } from "../../../src/manager/issuer.ts";
import { checkedIntermediate, CheckedIssuer, checkedRoots } from "../../../src/manager/issuers/checked.ts";
import { clusterId } from "../../../src/names.ts";
import { toPem } from "../../../src/pem.ts";
import type { SignedIntermediate } from "../../../src/relay/messages.ts";
import { folderOf } from "../../kits/folder.ts";
import { issuing, type Issuing, type Made, madeCertificate, SIGNS } from "../../kits/made-certificate.ts";
import { TestHost } from "../../kits/test-host.ts";

const now = Date.parse("2026-11-21T22:00:00Z");
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const uri = { type: "url" as const, value: "spiffe://mesh.example" };

/** A root, an authority below it, and what that one signs: what is not as it should be is named. */
interface Scene {
  readonly order: IntermediateOrder;
  readonly keys: { readonly root: Issuing; readonly middle: Issuing };
  readonly root: Uint8Array;
  readonly middle: Uint8Array;
  own(change?: Partial<Made>): Promise<Uint8Array>;
}

async function scene(
  { root: rootChange = {}, middle: middleChange = {} }: { root?: Partial<Made>; middle?: Partial<Made> } = {},
  ordered: Partial<IntermediateOrder> = {},
): Promise<Scene> {
  const shape = {
    organization: "Example",
    commonName: "Intermediate CA east",
    trustDomain: "mesh.example",
    pathLength: 0,
    keyType: "ec-p256" as const,
  };
  const request = await readAuthorityRequest((await newAuthorityRequest(shape)).csr, shape);
  const order = { ...shape, ...request, cluster: clusterId("east"), lifetimeMs: 30 * DAY, ...ordered };
  const keys = { root: await issuing("CN=the root"), middle: await issuing("CN=the middle") };
  const common = { ca: true, usages: SIGNS, notBefore: now - DAY };
  const root = await madeCertificate({
    ...common,
    issuer: keys.root,
    subject: keys.root.name,
    notAfter: now + 3650 * DAY,
    ...rootChange,
  });
  const middleKey = new Uint8Array(await crypto.subtle.exportKey("spki", keys.middle.keys.publicKey));
  const middle = await madeCertificate({
    ...common,
    issuer: keys.root,
    subject: keys.middle.name,
    publicKey: middleKey,
    notAfter: now + 365 * DAY,
    pathLength: 1,
    ...middleChange,
  });
  const own = (change: Partial<Made> = {}): Promise<Uint8Array> =>
    madeCertificate({
      ...common,
      issuer: keys.middle,
      subject: "O=Example, CN=Intermediate CA east",
      publicKey: order.publicKey,
      notBefore: now - 60_000,
      notAfter: now + 30 * DAY,
      pathLength: 0,
      names: [uri],
      ...change,
    });
  return { order, keys, root, middle, own };
}

const context = (roots: readonly Uint8Array[]) => ({ title: "Vault at test", leafFix: "FIX THE LEAF", roots, now });

test("what an issuer signed to the letter of the order is taken, and OpenSSL takes it too", async () => {
  const { order, root, middle, own } = await scene();
  const chain = [await own(), middle];
  checkedIntermediate(order, { chain, root }, context([root]));
  const pem = (der: Uint8Array): string => toPem("CERTIFICATE", der);
  await using folder = await folderOf({ root: pem(root), chain: pem(middle), own: pem(chain[0]!) });
  const files = ["-CAfile", folder.at("root"), "-untrusted", folder.at("chain"), folder.at("own")];
  const said = execFileSync("openssl", ["verify", "-x509_strict", "-attime", `${now / 1000}`, ...files]);
  assert.match(said.toString(), /: OK/);
});

test("an intermediate right under the root is taken, and so are extensions that only inform", async () => {
  const { order, keys, root, own } = await scene();
  const informs = new x509.Extension("1.3.6.1.5.5.7.1.1", false, Uint8Array.of(0x30, 0));
  const chain = [await own({ issuer: keys.root, more: [informs] })];
  checkedIntermediate(order, { chain, root }, context([root]));
});

test("one that names no path length is taken where those above it leave no more room than was ordered", async () => {
  const { order, root, middle, own } = await scene();
  const chain = [await own({ pathLength: undefined }), middle];
  checkedIntermediate(order, { chain, root }, context([root]));
});

/** One wrong thing each, in what is signed for the cluster. */
const wrong: readonly (readonly [string, Partial<Made>, RegExp])[] = [
  ["a leaf", { ca: false, usages: x509.KeyUsageFlags.digitalSignature }, /it is a leaf \(CA:FALSE\).*FIX THE LEAF$/],
  ["no URI", { names: [] }, /its alternative names are none, where URI:spiffe:\/\/mesh\.example alone was ordered/],
  ["another trust domain", { names: [{ ...uri, value: "spiffe://other.example" }] }, /names are URI:spiffe:\/\/other/],
  ["a path in its URI", { names: [{ ...uri, value: `${uri.value}/ns/a/sa/b` }] }, /names are URI:.*\/ns\/a\/sa\/b/],
  ["a slash at the end", { names: [{ ...uri, value: `${uri.value}/` }] }, /alone was ordered/],
  ["its URI twice", { names: [uri, uri] }, /alone was ordered/],
  ["two trust domains", { names: [uri, { ...uri, value: "spiffe://other.example" }] }, /alone was ordered/],
  ["a DNS name", { names: [uri, { type: "dns", value: "Intermediate CA east" }] }, /DNS:Intermediate CA east/],
  ["an address", { names: [uri, { type: "ip", value: "127.0.0.1" }] }, /of the kind 7/],
  ["another common name", { subject: "O=Example, CN=Intermediate CA west" }, /its common name is Intermediate CA west/],
  ["no common name", { subject: "O=Example" }, /its common name is none, not Intermediate CA east/],
  ["two common names", { subject: "CN=Intermediate CA east, CN=x" }, /its common name is/],
  ["its issuer's name", { subject: "CN=the middle" }, /its subject is its issuer's/],
  ["no key usage", { usages: undefined }, /it may not sign certificates/],
  ["no keyCertSign", { usages: x509.KeyUsageFlags.cRLSign }, /it may not sign certificates.*keyCertSign/],
  ["a purpose that is not for clients", { purposes: [x509.ExtendedKeyUsage.serverAuth] }, /is not for clients/],
  [
    "a critical extension that nobody knows",
    { more: [new x509.Extension("1.2.3.4", true, Uint8Array.of(5, 0))] },
    /has the extension 1\.2\.3\.4, which is not understood here/,
  ],
  [
    "name constraints",
    { more: [new x509.Extension("2.5.29.30", false, Uint8Array.of(0x30, 0))] },
    /has the extension 2\.5\.29\.30/,
  ],
  ["a serial number of 21 bytes", { serial: "0a".repeat(21) }, /serial number is not positive, or has over 20/],
  ["an end before it came", { notAfter: now - 1000 }, /it ended at 2026-11-21T21:59:59.000Z, before it came/],
  ["a life of no end", { notAfter: now + 31 * DAY }, /it lives until 2026-12-22.*where 30d were ordered/],
  ["a life that is mostly over", { notBefore: now - 40 * DAY }, /over half of its life, from 2026-10-12/],
  [
    "a beginning a day from now",
    { notBefore: now + DAY },
    /begins only at 2026-11-22T22:00:00.000Z, in 24h: one clock is wrong; compare the clock of Vault at test with the trust manager's, which shows 2026-11-21T22:00:00.000Z/,
  ],
];
for (const [what, change, why] of wrong)
  test(`an intermediate with ${what} is refused, with what is wrong and what to do`, async () => {
    const { order, root, middle, own } = await scene();
    const chain = [await own(change), middle];
    assert.throws(
      () => checkedIntermediate(order, { chain, root }, context([root])),
      (thrown) =>
        thrown instanceof MeshError &&
        thrown.code === "invalid" &&
        thrown.message.startsWith("Vault at test did not sign what was ordered for cluster east: ") &&
        (why.test(thrown.message) || assert.fail(thrown.message)),
    );
  });

/** One wrong thing each, in how it is given or what is above it. */
const wrongAbove: readonly (readonly [string, (on: Scene) => Promise<SignedIntermediate>, RegExp])[] = [
  ["nothing", ({ root }) => Promise.resolve({ chain: [], root }), /no certificate came back/],
  [
    "another's key",
    async ({ root, middle, own, keys }) => {
      const publicKey = new Uint8Array(await crypto.subtle.exportKey("spki", keys.root.keys.publicKey));
      return { chain: [await own({ publicKey }), middle], root };
    },
    /its key is another than that of the request/,
  ],
  ["no authority between", async ({ root, own }) => ({ chain: [await own()], root }), /"CN=the root" did not issue/],
  [
    "the wrong order",
    async ({ root, middle, own, keys }) => {
      const { order: _, ...lower } = await scene();
      return { chain: [await own({ issuer: keys.middle }), lower.middle, middle], root };
    },
    /did not issue/,
  ],
  ["the root in its chain", async ({ root, middle, own }) => ({ chain: [await own(), middle, root], root }), /twice/],
  [
    "itself twice",
    async ({ root, middle, own }) => {
      const one = await own();
      return { chain: [one, one, middle], root };
    },
    /is in its chain twice/,
  ],
  [
    "another root of that name",
    async ({ middle, own }) => ({ chain: [await own(), middle], root: (await scene()).root }),
    /"CN=the root" did not issue "CN=the middle"/,
  ],
  ["no root", async ({ middle, own }) => ({ chain: [await own()], root: middle }), /"CN=the middle" is no root/],
  [
    "what is no certificate",
    async ({ root, middle, own }) => ({ chain: [await own(), middle.subarray(0, 99)], root }),
    /certificate 2 cannot be read/,
  ],
  [
    "a signature by another key",
    async ({ root, middle, own }) => ({
      chain: [await own({ issuer: await issuing("CN=the middle") }), middle],
      root,
    }),
    /did not issue/,
  ],
];
for (const [what, give, why] of wrongAbove)
  test(`an answer with ${what} is refused`, async () => {
    const on = await scene();
    const signed = await give(on);
    assert.throws(() => checkedIntermediate(on.order, signed, context([on.root, signed.root])), why);
  });

const unfitAbove: readonly (readonly [string, Parameters<typeof scene>, RegExp])[] = [
  ["ends before it", [{ middle: { notAfter: now + DAY } }], /outlasts "CN=the middle", which ends at 2026-11-22/],
  ["has a root that ends before it", [{ root: { notAfter: now + DAY } }], /outlasts "CN=the root"/],
  ["leaves it no room", [{ middle: { pathLength: 0 } }], /"CN=the middle" leaves no room/],
  ["has a root that leaves it no room", [{ root: { pathLength: 1 } }], /"CN=the root" leaves no room/],
  ["leaves less room than ordered", [{}, { pathLength: 1 }], /it leaves no room for the 1 authorities.*path length 0/],
  ["is no authority", [{ middle: { ca: false, pathLength: undefined } }], /did not issue|is no authority/],
  ["may not sign certificates", [{ middle: { usages: x509.KeyUsageFlags.cRLSign } }], /did not issue/],
  [
    "is of another trust domain",
    [{ middle: { names: [{ ...uri, value: "spiffe://other.example" }] } }],
    /"CN=the middle" is named spiffe:\/\/other\.example, which is not of trust domain mesh\.example/,
  ],
  ["is for servers alone", [{ middle: { purposes: [x509.ExtendedKeyUsage.serverAuth] } }], /is not for clients/],
  ["begins tomorrow", [{ middle: { notBefore: now + DAY } }], /"CN=the middle" begins at 2026-11-22/],
];
for (const [what, shape, why] of unfitAbove)
  test(`an intermediate is refused whose issuer ${what}`, async () => {
    const { order, root, middle, own } = await scene(...shape);
    const signed = { chain: [await own(), middle], root };
    assert.throws(() => checkedIntermediate(order, signed, context([root])), why);
  });

test("one that may be followed by more authorities than were ordered is refused", async () => {
  const { order, root, middle, own } = await scene({ middle: { pathLength: undefined } });
  for (const [pathLength, many] of [
    [undefined, "any number of"],
    [3, "3"],
  ] as const) {
    const signed = { chain: [await own({ pathLength }), middle], root };
    const why = new RegExp(`${many} authorities may follow it, where 0 may by the order`);
    assert.throws(() => checkedIntermediate(order, signed, context([root])), why);
    checkedIntermediate(order, signed, { ...context([root]), setsNoPathLength: true });
  }
});

test("one that leaves less room than was ordered is refused, even of an issuer that sets no path length", async () => {
  const { order, root, middle, own } = await scene();
  const signed = { chain: [await own(), middle], root };
  const judged = { ...context([root]), setsNoPathLength: true };
  assert.throws(() => checkedIntermediate({ ...order, pathLength: 1 }, signed, judged), /leaves no room for the 1/);
});

test("a signature with SHA-1 is refused", async () => {
  const { order, root } = await scene();
  const weak = await issuing("CN=weak", "P-384 with SHA-1");
  const common = { ca: true, usages: SIGNS, notBefore: now - HOUR, notAfter: now + DAY };
  const own = { ...common, subject: `CN=${order.commonName}`, publicKey: order.publicKey, pathLength: 0, names: [uri] };
  const weakRoot = await madeCertificate({ ...common, issuer: weak, subject: weak.name });
  const signed = { chain: [await madeCertificate({ ...own, issuer: weak })], root: weakRoot };
  assert.throws(() => checkedIntermediate(order, signed, context([root, weakRoot])), /not SHA-2/);
});

test("one whose root is none of the issuer's roots is refused", async () => {
  const { order, root, middle, own } = await scene();
  const signed = { chain: [await own(), middle], root };
  const other = (await scene()).root;
  assert.throws(() => checkedIntermediate(order, signed, context([other])), /which is none of the issuer's roots/);
});

test("no byte of an intermediate can be changed without its being refused", async () => {
  const { order, root, middle, own } = await scene();
  const good = await own();
  for (let at = 0; at < good.length; at += 1) {
    const changed = Uint8Array.from(good);
    changed[at]! ^= 1 << (at % 8);
    const signed = { chain: [changed, middle], root };
    assert.throws(() => checkedIntermediate(order, signed, context([root])), MeshError, `byte ${at}`);
  }
});

/** An issuer that answers as it is told. */
function fakeIssuer(roots: () => readonly Uint8Array[], signed: () => Promise<SignedIntermediate>): Issuer {
  return { title: "fake", roots: () => Promise.resolve(roots()), sign: signed, close: () => Promise.resolve() };
}

test("what begins a few seconds from now is waited for, and what begins later is refused at once", async () => {
  const host = new TestHost();
  await host.clock.pass(now - host.clock.now());
  const { order, root, middle, own } = await scene();
  const signal = new AbortController().signal;
  const checked = (notBefore: number) =>
    new CheckedIssuer(
      host,
      fakeIssuer(
        () => [root],
        async () => ({ chain: [await own({ notBefore }), middle], root }),
      ),
      "",
    );
  const answer = checked(now + 4000).sign(order, signal);
  let came = false;
  void answer.then(() => (came = true));
  while (host.clock.now() < now + 3999) await host.clock.pass(1333);
  assert.equal(came, false);
  await host.clock.pass(10);
  assert.equal((await answer).root, root);
  await assert.rejects(checked(host.clock.now() + 1.5 * HOUR).sign(order, signal), /in 1h: one clock is wrong/);
});

test("an issuer that got another root just now is asked for its roots again before its answer is refused", async () => {
  const host = new TestHost();
  await host.clock.pass(now - host.clock.now());
  const [before, after] = [await scene(), await scene()];
  let roots = [before.root];
  const signed = async () => ({ chain: [await after.own(), after.middle], root: after.root });
  const checked = new CheckedIssuer(
    host,
    fakeIssuer(() => roots, signed),
    "",
  );
  const signal = new AbortController().signal;
  assert.deepEqual(await checked.roots(signal), [before.root]);
  await assert.rejects(checked.sign(after.order, signal), /none of the issuer's roots/);
  roots = [after.root, before.root];
  assert.equal((await checked.sign(after.order, signal)).root, after.root);
});

test("roots that cannot be any are refused, and those beside the first that have ended are left out", async () => {
  const { root, middle, keys } = await scene();
  const made = (change: Partial<Made>) =>
    madeCertificate({
      issuer: keys.root,
      subject: keys.root.name,
      ca: true,
      usages: SIGNS,
      notBefore: now - DAY,
      notAfter: now + DAY,
      ...change,
    });
  const ended = await made({ notAfter: now - 1000 });
  assert.deepEqual(checkedRoots("fake", [root, ended, root], now), [root]);
  const refused: readonly (readonly [readonly Uint8Array[], RegExp])[] = [
    [[], /fake names no root/],
    [[middle], /"CN=the middle" is no root, as it did not sign itself/],
    [[root, middle], /is no root/],
    [[await made({ ca: false })], /is no certificate authority \(CA:FALSE\)/],
    [[ended], /its root ended at 2026-11-21T21:59:59.000Z, and the clock here shows 2026-11-21T22:00:00.000Z/],
    [[await made({ notBefore: now + DAY, notAfter: now + 2 * DAY })], /its root begins only at 2026-11-22T22/],
    [[await made({ pathLength: 0 })], /allows no authority below it/],
    [[Uint8Array.of(1, 2, 3)], /a root of it cannot be read/],
  ];
  for (const [roots, why] of refused) assert.throws(() => checkedRoots("fake", roots, now), why);
});
