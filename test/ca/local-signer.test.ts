import assert from "node:assert/strict";
import { createPublicKey, generateKeyPair, type KeyObject, X509Certificate } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { after, test } from "mocha";
import type { Authority } from "../../src/ca/authority.ts";
import { loadCacerts } from "../../src/ca/cacerts.ts";
import { newCsr } from "../../src/ca/client.ts";
import { LocalSigner } from "../../src/ca/local-signer.ts";
import { selfMadeRoot } from "../../src/ca/self-made-root.ts";
import { MeshError } from "../../src/errors.ts";
import type { Host } from "../../src/host.ts";
import { TestHost } from "../kits/test-host.ts";
import { signerKit } from "../kits/signer.ts";
import { type AuthorityShape, TestAuthority } from "../kits/tls.ts";

const folders: string[] = [];
const folder = (): string => {
  folders.push(mkdtempSync(join(tmpdir(), "causeway-ca-")));
  return folders.at(-1)!;
};
after(() => folders.forEach((path) => rmSync(path, { recursive: true })));

const trustDomain = "cluster.local";

/** A host whose time is the machine's as it is called, and stands still: for certificates that a library dated. */
function presentHost(): Host {
  const host = new TestHost();
  const nowMs = Date.now();
  const clock: Host["clock"] = {
    now: () => nowMs,
    elapsedMs: () => host.clock.elapsedMs(),
    after: (ms, task) => host.clock.after(ms, task),
  };
  return { clock, random: host.random, log: host.log, metrics: host.metrics };
}

signerKit("a self-made root", async () => {
  const host = new TestHost();
  const signer = new LocalSigner(host, await selfMadeRoot(host, folder(), trustDomain), trustDomain);
  return { signer, clock: host.clock, trustDomain };
});

for (const algorithm of ["P-256", "P-384", "RSA", "RSA-4096"] as const) {
  // Large keys take seconds to make.
  let made: Promise<Files> | undefined;
  signerKit(`an intermediate of ${algorithm}`, async () => {
    const authority = (await load(await (made ??= files({ algorithm }))))!;
    const host = presentHost();
    const signer = new LocalSigner(host, authority, trustDomain);
    return { signer, clock: host.clock, trustDomain };
  });
}

test("a self-made root is the same after a restart, and its key nobody else's to read", async () => {
  const path = folder();
  const first = await selfMadeRoot(new TestHost(), path, trustDomain);
  const second = await selfMadeRoot(new TestHost(), path, trustDomain);
  assert.deepEqual(second.roots, first.roots);
  assert.equal(statSync(join(path, "ca-key.pem")).mode & 0o777, 0o600);
});

test("a root that is there and cannot be used is never replaced", async () => {
  const path = folder();
  await selfMadeRoot(new TestHost(), path, trustDomain);
  writeFileSync(join(path, "ca-key.pem"), "damaged");
  await assert.rejects(
    selfMadeRoot(new TestHost(), path, trustDomain),
    /ca-key.pem: it holds no private key.*remove the folder to have a new/,
  );
  rmSync(join(path, "ca-key.pem"));
  await assert.rejects(selfMadeRoot(new TestHost(), path, trustDomain), /lacks ca-key.pem.*remove the folder/);
  assert.deepEqual(readdirSync(path).sort(), ["ca-cert.pem", "cert-chain.pem", "root-cert.pem"]);
});

test("a leaf of an authority that is about to end is not due for renewal at once", async () => {
  const host = new TestHost();
  const authority = await selfMadeRoot(host, folder(), trustDomain);
  const signer = new LocalSigner(host, authority, trustDomain);
  host.clock.advance(authority.notAfter - host.clock.now() - 60_000);
  const identity = { trustDomain, namespace: "shop", serviceAccount: "cart" };
  const request = { identity, publicKey: newCsr().publicKey, ttlSeconds: 86_400 };
  const leaf = new X509Certificate((await signer.sign(request, new AbortController().signal))[0]!);
  assert.ok((Date.parse(leaf.validFrom) + Date.parse(leaf.validTo)) / 2 > host.clock.now());
});

test("an authority that has ended signs nothing", async () => {
  const host = new TestHost();
  const signer = new LocalSigner(host, await selfMadeRoot(host, folder(), trustDomain), trustDomain);
  host.clock.advance(11 * 365 * 86_400_000);
  const identity = { trustDomain, namespace: "shop", serviceAccount: "cart" };
  const request = { identity, publicKey: newCsr().publicKey, ttlSeconds: 60 };
  await assert.rejects(signer.sign(request, new AbortController().signal), /the signing certificate ended at 2033/);
});

let slowKey: Promise<{ readonly privateKey: KeyObject }> | undefined;
/** An authority whose signatures take long, and a request for it. */
async function slowSigner() {
  const host = new TestHost();
  const { privateKey } = await (slowKey ??= promisify(generateKeyPair)("rsa", { modulusLength: 4096 }));
  const { roots, subject, notAfter } = await selfMadeRoot(host, folder(), trustDomain);
  const keyId = Buffer.alloc(20, 7);
  const authority: Authority = { chain: [], revocations: [], roots, subject, notAfter, keyId, privateKey };
  const signer = new LocalSigner(host, authority, trustDomain);
  const identity = { trustDomain, namespace: "shop", serviceAccount: "cart" };
  return { host, signer, authority, request: { identity, publicKey: newCsr().publicKey, ttlSeconds: 3600 } };
}

test("while a large key signs, the event loop goes round", async () => {
  const { signer, request } = await slowSigner();
  const { signal } = new AbortController();
  let turns = 0;
  let done = false;
  const round = (): void => {
    turns += 1;
    if (!done) setImmediate(round);
  };
  setImmediate(round);
  await Promise.all(Array.from({ length: 5 }, () => signer.sign(request, signal)));
  done = true;
  // Of signatures on its own thread it would see the end of each.
  assert.ok(turns > 20, `${turns}`);
});

test("of those that wait for a large key, there are not too many, and who has left is not signed for", async () => {
  const { signer, request } = await slowSigner();
  const leaving = new AbortController();
  const waiting = Array.from({ length: 2_002 }, () => signer.sign(request, leaving.signal));
  await assert.rejects(signer.sign(request, new AbortController().signal), {
    code: "unavailable",
    message: /too many wait already/,
  });
  leaving.abort(new MeshError("unavailable", "left"));
  const ends = await Promise.allSettled(waiting);
  // The two whose turn had come.
  assert.deepEqual([ends.filter(({ status }) => status === "fulfilled").length, ends.length], [2, 2_002]);
});

test("a key that signs wrongly is found at once, or within 64 certificates, and nothing leaves until it is right", async () => {
  const host = new TestHost();
  const made = await selfMadeRoot(host, folder(), trustDomain);
  const { privateKey: wrong } = await promisify(generateKeyPair)("ec", { namedCurve: "P-256" });
  let key = made.privateKey;
  const signer = new LocalSigner(
    host,
    {
      ...made,
      get privateKey() {
        return key;
      },
    },
    trustDomain,
  );
  const identity = { trustDomain, namespace: "shop", serviceAccount: "cart" };
  const request = { identity, publicKey: newCsr().publicKey, ttlSeconds: 3600 };
  const sign = () => signer.sign(request, new AbortController().signal);
  const refused = /4\.1\.1\.3: its signature does not verify/;
  key = wrong;
  for (let count = 0; count < 3; count += 1) await assert.rejects(sign(), refused);
  key = made.privateKey;
  await sign();
  key = wrong;
  let left = 0;
  while (left < 64 && (await sign().catch(() => undefined)) !== undefined) left += 1;
  assert.equal(left, 63);
  await assert.rejects(sign(), refused);
  key = made.privateKey;
  await sign();
});

test("an authority that changes while its key signs is not mixed with the next", async () => {
  const { host, signer, request, authority } = await slowSigner();
  const under = signer.sign(request, new AbortController().signal);
  signer.rotate(await selfMadeRoot(host, folder(), trustDomain));
  const [leaf] = await under;
  assert.ok(new X509Certificate(leaf).verify(createPublicKey(authority.privateKey)));
});

type Files = Readonly<Record<string, string>>;

const root = TestAuthority.create("CN=root");

/** An intermediate under `root`, in istiod's layout. */
async function files(shape: AuthorityShape = {}, over: Partial<Files> = {}): Promise<Files> {
  const above = await root;
  const own = await TestAuthority.create({ name: "CN=intermediate", ...shape }, above);
  const made = {
    "ca-cert.pem": own.root,
    "ca-key.pem": own.key,
    "cert-chain.pem": `${own.root}\n${above.root}`,
    "root-cert.pem": above.root,
  };
  return Object.fromEntries(Object.entries({ ...made, ...over }).filter(([, text]) => text !== undefined)) as Files;
}

function load(content: Files): Promise<Authority | undefined> {
  const path = folder();
  for (const [name, text] of Object.entries(content)) writeFileSync(join(path, name), text);
  return loadCacerts(path, trustDomain, Date.now());
}

test("an empty folder holds no authority, and a missing one neither", async () => {
  assert.equal(await load({}), undefined);
  assert.equal(await loadCacerts("/nowhere/at/all", trustDomain, Date.now()), undefined);
});

test("cert-manager's layout is read, and Windows line ends", async () => {
  const made = await files();
  const authority = await load({
    "tls.crt": made["ca-cert.pem"]!,
    "tls.key": made["ca-key.pem"]!,
    "ca.crt": made["root-cert.pem"]!,
  });
  assert.equal(authority!.chain.length, 1);
  const windows = Object.fromEntries(Object.entries(made).map(([name, text]) => [name, text.replace(/\n/g, "\r\n")]));
  assert.equal((await load(windows))!.chain.length, 1);
});

test("a root that has expired beside one that is valid is left out", async () => {
  const expired = await TestAuthority.create({ name: "CN=old", notAfterMs: Date.now() - 1000 });
  const both = `${(await root).root}\n${expired.root}`;
  assert.equal((await load(await files({}, { "root-cert.pem": both })))!.roots.length, 1);
});

const day = 86_400_000;
const unusable: readonly (readonly [string, () => Promise<Files>, RegExp])[] = [
  [
    "the key of another certificate",
    async () => files({}, { "ca-key.pem": (await root).key }),
    /ca-key.pem: it is not the key of ca-cert.pem/,
  ],
  [
    "a leaf instead of an authority",
    () => files({ ca: false }),
    /ca-cert.pem: "CN=intermediate" is no certificate authority/,
  ],
  [
    "an authority that may not sign",
    () => files({ usages: 2 }),
    /may not sign certificates; use one with the key usage keyCertSign/,
  ],
  [
    "an authority that has expired",
    () => files({ notAfterMs: Date.now() - day / 24 }),
    /expired at .*; put one that is valid there/,
  ],
  ["no root", () => files({}, { "root-cert.pem": "" }), /root-cert.pem: it holds no certificate in PEM/],
  ["no root file", () => files({}, { "root-cert.pem": undefined }), /lacks root-cert.pem; an authority needs/],
  [
    "another root",
    async () => files({}, { "root-cert.pem": (await TestAuthority.create("CN=x")).root }),
    /cert-chain.pem|no root in it issued/,
  ],
  [
    "an encrypted key",
    () =>
      files({}, { "ca-key.pem": "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAA==\n-----END ENCRYPTED PRIVATE KEY-----" }),
    /ca-key.pem: the key is encrypted/,
  ],
  [
    "no certificate but text",
    () => files({}, { "ca-cert.pem": "hello" }),
    /ca-cert.pem: it holds no certificate in PEM/,
  ],
  [
    "a certificate that is damaged",
    () => files({}, { "ca-cert.pem": "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----" }),
    /certificate 1 cannot be read/,
  ],
  ["a root that has expired alone", expiredRoot, /the root "CN=old root" has expired/],
  [
    "a chain in the wrong order",
    () => deep(undefined, true),
    /did not issue "CN=intermediate", .* put the certificates in order/,
  ],
  [
    "a leaf that says so at length",
    () => files({ constraints: Uint8Array.of(0x30, 3, 1, 1, 0) }),
    /ca-cert.pem: "CN=intermediate" is no certificate authority/,
  ],
  ["a key that is too short", () => files({ algorithm: "RSA-1024" }), /ca-key.pem: .* the authority's key is rsa 1024/],
  [
    "an authority for servers only",
    () => files({ purposes: ["1.3.6.1.5.5.7.3.1"] }),
    /ca-cert.pem: "CN=intermediate" is not for servers and clients both/,
  ],
  [
    "a name of another trust domain",
    () => files({ uris: ["spiffe://other/ns/istio-system/sa/citadel"] }),
    /ca-cert.pem: it is named spiffe:\/\/other.*, which is not of trust domain cluster.local/,
  ],
  [
    "a root that is no authority",
    async () => {
      const leaf = await TestAuthority.create({ name: "CN=leaf", ca: false });
      return files({}, { "root-cert.pem": `${(await root).root}\n${leaf.root}` });
    },
    /root-cert.pem: "CN=leaf" is no certificate authority/,
  ],
  [
    "more authorities than ztunnel takes",
    () => tower(7),
    /cert-chain.pem: 7 certificates lead to the root, .* takes 6/,
  ],
  ["an authority that allows none below it", () => deep(0), /allows 0 authorities below it, and 1 follow/],
  [
    "a root that allows none below it",
    () => rootedIn({ pathLength: 0 }),
    /root-cert.pem: "CN=odd root" allows 0 authorities below it, and 1 follow/,
  ],
  [
    "a root of tomorrow",
    () => rootedIn({ notBeforeMs: Date.now() + day, notAfterMs: Date.now() + 2 * day }),
    /root-cert.pem: "CN=odd root" is valid only from .*; check the clock/,
  ],
  [
    "a second root that is cut short",
    async () => files({}, { "root-cert.pem": `${(await root).root}\n${(await root).root.slice(0, 200)}` }),
    /root-cert.pem: it is cut short or damaged, as only 1 of 2 CERTIFICATE blocks can be read; put all of it there/,
  ],
  [
    "a second root that is damaged",
    async () => files({}, { "root-cert.pem": `${(await root).root}\n${(await root).root.replace("MII", "M?I")}` }),
    /root-cert.pem: it is cut short or damaged, as only 1 of 2/,
  ],
];

/** An intermediate of a root like this. */
async function rootedIn(shape: AuthorityShape): Promise<Files> {
  const odd = await TestAuthority.create({ ...shape, name: "CN=odd root" });
  const own = await TestAuthority.create({ name: "CN=intermediate" }, odd);
  return { "ca-cert.pem": own.root, "ca-key.pem": own.key, "cert-chain.pem": own.root, "root-cert.pem": odd.root };
}

async function expiredRoot(): Promise<Files> {
  const old = await TestAuthority.create({ name: "CN=old root", notAfterMs: Date.now() - 1000 });
  const own = await TestAuthority.create({ name: "CN=intermediate" }, old);
  return { "ca-cert.pem": own.root, "ca-key.pem": own.key, "cert-chain.pem": own.root, "root-cert.pem": old.root };
}

/** As many certificates between the key and the root. */
async function tower(height: number): Promise<Files> {
  let below = await root;
  const chain: string[] = [];
  for (let floor = 1; floor <= height; floor += 1) {
    below = await TestAuthority.create({ name: `CN=floor ${floor}` }, below);
    chain.unshift(below.root);
  }
  return {
    "ca-cert.pem": below.root,
    "ca-key.pem": below.key,
    "cert-chain.pem": chain.join("\n"),
    "root-cert.pem": (await root).root,
  };
}

/** Two intermediates between the key and the root. */
async function deep(pathLength?: number, swapped = false): Promise<Files> {
  const above = await root;
  const upper = await TestAuthority.create(
    { name: "CN=upper", ...(pathLength !== undefined && { pathLength }) },
    above,
  );
  const middle = await TestAuthority.create({ name: "CN=middle" }, upper);
  const own = await TestAuthority.create({ name: "CN=intermediate" }, swapped ? middle : upper);
  const chain = swapped ? [own, upper, middle] : [own, upper];
  return {
    "ca-cert.pem": own.root,
    "ca-key.pem": own.key,
    "cert-chain.pem": chain.map((authority) => authority.root).join("\n"),
    "root-cert.pem": above.root,
  };
}

for (const [what, made, message] of unusable)
  test(`cacerts with ${what} are refused, naming the file and what to do`, async () => {
    await assert.rejects(
      load(await made()),
      (error) => (error instanceof MeshError && message.test(error.message)) || assert.fail(String(error)),
    );
  });

test("two intermediates are sent in order, and six are taken", async () => {
  assert.equal((await load(await deep()))!.chain.length, 2);
  assert.equal((await load(await tower(6)))!.chain.length, 6);
});

test("one good certificate of a root is enough, whatever its others are like", async () => {
  const good = await TestAuthority.create({ name: "CN=odd root" });
  const own = await TestAuthority.create({ name: "CN=intermediate" }, good);
  const other = await TestAuthority.create({ name: "CN=odd root", pathLength: 0, keyOf: good });
  const authority = await load({
    "ca-cert.pem": own.root,
    "ca-key.pem": own.key,
    "cert-chain.pem": own.root,
    "root-cert.pem": `${other.root}\n${good.root}`,
  });
  assert.equal(authority!.roots.length, 2);
});

test("nothing lives longer than the root, though its intermediate does", async () => {
  const notAfterMs = Math.floor(Date.now() / 1000) * 1000 + 600_000;
  const short = await TestAuthority.create({ name: "CN=short root", notAfterMs });
  const own = await TestAuthority.create({ name: "CN=intermediate" }, short);
  const authority = await load({
    "ca-cert.pem": own.root,
    "ca-key.pem": own.key,
    "cert-chain.pem": own.root,
    "root-cert.pem": short.root,
  });
  assert.equal(authority!.notAfter, notAfterMs);
});

test("a file of cacerts that cannot be read is named", async () => {
  const path = folder();
  for (const [name, text] of Object.entries(await files())) writeFileSync(join(path, name), text);
  rmSync(join(path, "ca-key.pem"));
  mkdirSync(join(path, "ca-key.pem"));
  await assert.rejects(
    loadCacerts(path, trustDomain, Date.now()),
    (error) => error instanceof MeshError && /ca-key.pem: it cannot be read: .*; let the user/.test(error.message),
  );
});
