import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Long from "long";
import { after, before, test } from "mocha";
import { istio } from "../../proto/gen/mesh.js";
import type { Caller, Credentials } from "../../src/caller.ts";
import { newCsr, verifySvid } from "../../src/ca/client.ts";
import { IssuanceLog } from "../../src/ca/issuance-log.ts";
import { LocalSigner } from "../../src/ca/local-signer.ts";
import { toPem } from "../../src/pem.ts";
import { selfMadeRoot } from "../../src/ca/self-made-root.ts";
import { certificateService } from "../../src/ca/service.ts";
import type { Signer, TrustBundle } from "../../src/ca/signer.ts";
import { MeshError } from "../../src/errors.ts";
import type { UnaryMethod } from "../../src/grpc/method.ts";
import { clusterId } from "../../src/names.ts";
import { seededRandom } from "../sim/world.ts";
import { TestHost } from "../kits/test-host.ts";
import { livePods } from "./live-pods.ts";

const { IstioCertificateRequest, IstioCertificateResponse } = istio.v1.auth;

let folder = "";
before(() => void (folder = mkdtempSync(join(tmpdir(), "causeway-ca-service-"))));
after(() => rmSync(folder, { recursive: true }));

const ztunnel: Caller = {
  identity: { trustDomain: "cluster.local", namespace: "istio-system", serviceAccount: "ztunnel" },
  cluster: clusterId("east"),
  via: "token",
  pod: { name: "zt-1", uid: "u1" },
  expiresAt: Infinity,
};
const credentials: Credentials = {
  authorization: "Bearer t",
  clusterId: "east",
  certificateChain: [],
  remoteAddress: "10.0.0.9:1",
};

async function lab(
  caller: () => Promise<Caller> = () => Promise.resolve(ztunnel),
  signerOf: (real: Signer) => Signer = (real) => real,
  trusted?: () => TrustBundle,
): Promise<{
  host: TestHost;
  method: UnaryMethod;
  issuances: IssuanceLog;
  ask: (request: istio.v1.auth.IIstioCertificateRequest | Uint8Array) => Promise<readonly string[]>;
}> {
  const host = new TestHost();
  // No chance, so that lives are as long as was asked for.
  host.random.next = () => 0;
  const signer = signerOf(new LocalSigner(host, await selfMadeRoot(host, folder, "cluster.local"), "cluster.local"));
  const pods = livePods({
    "east/istio-system/zt-1": { uid: "u1", node: "n1", serviceAccount: "ztunnel" },
    "east/shop/cart-0": { uid: "u2", node: "n1", serviceAccount: "cart" },
  });
  const rules = { trustDomain: "cluster.local", trustedNodeAccounts: new Set(["istio-system/ztunnel"]), pods };
  const issuances = new IssuanceLog(host);
  const method = certificateService(host, {
    authenticator: { authenticate: caller },
    rules,
    signer,
    issuances,
    ...(trusted !== undefined && { trusted }),
  });
  return {
    host,
    method,
    issuances,
    ask: async (request) => {
      const bytes = request instanceof Uint8Array ? request : IstioCertificateRequest.encode(request).finish();
      const answer = await method.call(bytes, credentials, new AbortController().signal);
      return IstioCertificateResponse.decode(answer).certChain;
    },
  };
}

const impersonating = (identity: string) => ({ fields: { ImpersonatedIdentity: { stringValue: identity } } });

test("a ztunnel gets the certificate of a pod on its node: leaf first, roots in the last element", async () => {
  const { ask, host } = await lab();
  const elements = await ask({ csr: newCsr().csr, metadata: impersonating("spiffe://cluster.local/ns/shop/sa/cart") });
  assert.equal(elements.length, 2);
  for (const element of elements)
    assert.match(element, /^-----BEGIN CERTIFICATE-----\n[^]*-----END CERTIFICATE-----\n$/);
  const { spiffeId, notAfter } = verifySvid(elements, host.clock.now());
  assert.equal(spiffeId, "spiffe://cluster.local/ns/shop/sa/cart");
  assert.equal(notAfter, host.clock.now() + 86_400_000);
  assert.equal(host.metric("citadel_server_success_cert_issuance_count"), 1);
});

test("each intermediate is an element of its own (pitfall 16)", async () => {
  const between = ["one", "two"].map((text) => Buffer.from(text));
  const { ask } = await lab(undefined, (real) => ({
    expiresAt: real.expiresAt,
    bundles: real.bundles,
    describe: () => real.describe(),
    issue: async (order, signal) => {
      const { chain, entries } = await real.issue(order, signal);
      return { chain: [chain[0], ...between], entries };
    },
  }));
  const elements = await ask({ csr: newCsr().csr });
  const contents = elements.map((element) => [...element.matchAll(/-----\n([^-]+)-----END/g)].map(([, text]) => text!));
  assert.equal(contents[0]!.length, 1);
  assert.deepEqual(
    contents.slice(1, -1),
    between.map((bytes) => [`${bytes.toString("base64")}\n`]),
  );
  assert.equal(elements.length, 4);
});

test("without a name to impersonate a caller gets its own", async () => {
  const { ask, host } = await lab();
  const { spiffeId } = verifySvid(await ask({ csr: newCsr().csr }), host.clock.now());
  assert.equal(spiffeId, "spiffe://cluster.local/ns/istio-system/sa/ztunnel");
});

test("a lifetime that makes no sense is made sensible", async () => {
  const { ask, host } = await lab();
  const now = host.clock.now();
  const cases: readonly (readonly [Long, number])[] = [
    [Long.fromNumber(0), 86_400],
    [Long.fromNumber(-1), 86_400],
    [Long.MAX_VALUE, 90 * 86_400],
    [Long.fromNumber(100 * 365 * 86_400), 90 * 86_400],
    [Long.fromNumber(1), 60],
    [Long.fromNumber(600), 600],
  ];
  for (const [validityDuration, seconds] of cases) {
    const { notAfter } = verifySvid(await ask({ csr: newCsr().csr, validityDuration }), now);
    assert.equal(notAfter, now + seconds * 1000, validityDuration.toString());
  }
});

test("lives end up to a tenth early by chance, so that those who asked at once do not renew at once", async () => {
  const { ask, host } = await lab();
  const chance = seededRandom(7);
  host.random.next = () => chance.next();
  const now = host.clock.now();
  const lives: number[] = [];
  for (let at = 0; at < 200; at += 1) {
    const { notAfter } = verifySvid(await ask({ csr: newCsr().csr, validityDuration: Long.fromNumber(86_400) }), now);
    lives.push((notAfter - now) / 86_400_000);
  }
  const [shortest, longest] = [Math.min(...lives), Math.max(...lives)];
  assert.ok(shortest >= 0.9 && shortest < 0.91, `${shortest}`);
  assert.ok(longest <= 1 && longest > 0.99, `${longest}`);
  const inFirstHalf = lives.filter((life) => life < 0.95).length;
  assert.ok(inFirstHalf > 70 && inFirstHalf < 130, `${inFirstHalf} of 200`);
  const short = await ask({ csr: newCsr().csr, validityDuration: Long.fromNumber(60) });
  assert.equal(verifySvid(short, now).notAfter, now + 60_000);
});

test("workloads get the roots that they are to trust, whoever signs", async () => {
  let roots = [Buffer.from("one"), Buffer.from("two")];
  const { ask } = await lab(undefined, undefined, () => ({ trustDomain: "cluster.local", roots }));
  const last = async (): Promise<string> => (await ask({ csr: newCsr().csr })).at(-1)!;
  const pem = (text: string): string => toPem("CERTIFICATE", Buffer.from(text));
  assert.equal(await last(), pem("one") + pem("two"));
  roots = [Buffer.from("two")];
  assert.equal(await last(), pem("two"));
});

test("who proves nothing is told no more than that", async () => {
  const { ask, host } = await lab(() => Promise.reject(new MeshError("unauthenticated", "the token expired")));
  await assert.rejects(ask({ csr: newCsr().csr }), {
    code: "unauthenticated",
    message: "request authenticate failure",
  });
  assert.equal(host.metric("citadel_server_authentication_failure_count"), 1);
  assert.ok(host.lines.some((line) => /warn ca: certificate refused .*why=the token expired/.test(line)));
});

test("an authority that cannot be asked is no reason to doubt the caller", async () => {
  const { ask, host } = await lab(() => Promise.reject(new MeshError("unavailable", "the API server does not answer")));
  await assert.rejects(ask({ csr: newCsr().csr }), { code: "unavailable", message: "request authenticate failure" });
  assert.equal(host.metric("cert_issued_denied_total{reason=authentication_unavailable}"), 1);
});

test("a refused identity is told no more than that, and the log says why", async () => {
  const { ask, host } = await lab();
  const metadata = impersonating("spiffe://cluster.local/ns/shop/sa/pay");
  await assert.rejects(ask({ csr: newCsr().csr, metadata }), {
    code: "unauthenticated",
    message: "request impersonation authentication failure",
  });
  assert.equal(host.metric("cert_issued_denied_total{reason=impersonation}"), 1);
  assert.match(
    host.lines.at(-1)!,
    /caller=spiffe:.*ztunnel pod=zt-1 cluster=east via=token address=\S+ asked=.*sa\/pay why=no live pod of .* node n1/,
  );
});

test("a caller that asks without end is refused for a while, and no other with it", async () => {
  let caller = ztunnel;
  const { ask, host } = await lab(() => Promise.resolve(caller));
  const { csr } = newCsr();
  for (let count = 0; count < 1_000; count += 1) await ask({ csr });
  await assert.rejects(ask({ csr }), { code: "exhausted", message: /too many certificate requests/ });
  caller = { ...ztunnel, pod: { name: "zt-2", uid: "u9" } };
  await ask({ csr });
  caller = ztunnel;
  await assert.rejects(ask({ csr }), { code: "exhausted" });
  host.clock.advance(100);
  await ask({ csr });
  await ask({ csr });
  await assert.rejects(ask({ csr }), { code: "exhausted" });
  assert.equal(host.metric("cert_issued_denied_total{reason=quota}"), 3);
});

test("whoever is refused over and over cannot fill the log, and is counted all the same", async () => {
  const { ask, host } = await lab(() => Promise.reject(new MeshError("unauthenticated", "no")));
  for (let count = 0; count < 500; count += 1) await assert.rejects(ask({ csr: "" }));
  const lines = () => host.lines.filter((line) => line.includes("certificate refused"));
  assert.equal(lines().length, 1);
  assert.equal(host.metric("cert_issued_denied_total{reason=authentication}"), 500);
  host.clock.advance(60_000);
  for (let count = 0; count < 500; count += 1) await assert.rejects(ask({ csr: "" }));
  assert.equal(lines().length, 2);
  assert.match(lines()[1]!, /repeated=499$/);
});

test("refusals that differ each have their line, and equal ones one a minute", async () => {
  const { ask, host } = await lab();
  const asking = (name: string) =>
    assert.rejects(ask({ csr: newCsr().csr, metadata: impersonating(`spiffe://cluster.local/ns/shop/sa/${name}`) }));
  for (const name of ["a", "b", "a", "c", "a", "b"]) await asking(name);
  const lines = host.lines.filter((line) => line.includes("certificate refused"));
  assert.deepEqual(
    lines.map((line) => /asked=\S+sa\/(.)/.exec(line)![1]),
    ["a", "b", "c"],
  );
});

test("each certificate that leaves has a line that says whose it is, who got it, and nothing secret", async () => {
  const { ask, host } = await lab();
  const { csr } = newCsr();
  const metadata = impersonating("spiffe://cluster.local/ns/shop/sa/cart");
  const [leaf] = await ask({ csr, metadata, validityDuration: Long.fromNumber(600) });
  const { serialNumber } = new X509Certificate(leaf!);
  const lines = host.lines.filter((line) => line.startsWith("info ca: certificate issued"));
  assert.deepEqual(lines, [
    "info ca: certificate issued identity=spiffe://cluster.local/ns/shop/sa/cart " +
      "caller=spiffe://cluster.local/ns/istio-system/sa/ztunnel pod=zt-1 cluster=east via=token " +
      `serial=${serialNumber.toLowerCase()} ttl=600 address=10.0.0.9:1`,
  ]);
  for (const line of host.lines) assert.doesNotMatch(line, /BEGIN|Bearer|MII/);
});

test("a request of another kind is logged with who asked for what, and counted", async () => {
  const { ask, host } = await lab();
  const metadata = impersonating("spiffe://cluster.local/ns/shop/sa/cart");
  await assert.rejects(ask({ csr: "junk", metadata }), { code: "invalid" });
  assert.match(
    host.lines.at(-1)!,
    /stage=request caller=.*ztunnel pod=zt-1 .*address=10.0.0.9:1 asked=.*sa\/cart why=/,
  );
  assert.equal(host.metric("cert_issued_denied_total{reason=request}"), 1);
});

test("who lacks a registration entry is told what the signer lets it hear; the log and the books have all", async () => {
  const refusing = (real: Signer): Signer => ({
    expiresAt: real.expiresAt,
    bundles: real.bundles,
    describe: () => real.describe(),
    issue: ({ bearer }) =>
      Promise.reject(new MeshError("denied", `no entry for ${bearer!.pods[0].name}`, { told: "there is no entry" })),
  });
  const { ask, host, issuances } = await lab(undefined, refusing);
  const metadata = impersonating("spiffe://cluster.local/ns/shop/sa/cart");
  await assert.rejects(ask({ csr: newCsr().csr, metadata }), {
    code: "denied",
    message: "CSR signing error (there is no entry)",
  });
  assert.match(
    host.lines.at(-1)!,
    /^warn ca: certificate refused stage=entry caller=.* asked=.*cart why=no entry for cart-0$/,
  );
  assert.equal(host.metric("cert_issued_denied_total{reason=entry}"), 1);
  const refused = { at: host.clock.now(), why: "no entry for cart-0", node: "n1" };
  assert.deepEqual(
    [...issuances.identities.entries()],
    [["spiffe://cluster.local/ns/shop/sa/cart", { issued: undefined, refused }]],
  );
});

test("the books say of each identity who signed for it last, by which entries, for which node and until when", async () => {
  let entries: readonly string[] = ["e1", "e2"];
  const vouched = (real: Signer): Signer => ({
    expiresAt: real.expiresAt,
    bundles: real.bundles,
    describe: () => ({ ...real.describe(), kind: "SPIRE" }),
    issue: async (order, signal) => {
      if (entries.length === 0) throw new MeshError("unavailable", "it is down");
      return { ...(await real.issue(order, signal)), entries };
    },
  });
  const { ask, host, issuances } = await lab(undefined, vouched);
  const cart = "spiffe://cluster.local/ns/shop/sa/cart";
  const request = { csr: newCsr().csr, metadata: impersonating(cart), validityDuration: Long.fromNumber(600) };
  await ask(request);
  const at = host.clock.now();
  const issued = { at, until: at + 600_000, signer: "SPIRE", entries: ["e1", "e2"], node: "n1" };
  assert.deepEqual([...issuances.identities.entries()], [[cart, { issued, refused: undefined }]]);
  assert.match(host.lines.at(-1)!, /info ca: certificate issued identity=.*cart .* entries=e1 e2$/);
  entries = [];
  host.clock.advance(1000);
  await assert.rejects(ask(request), { code: "unavailable" });
  const refused = { at: at + 1000, why: "it is down", node: "n1" };
  assert.deepEqual([...issuances.identities.entries()], [[cart, { issued, refused }]]);
  // What a caller may not have is in nobody's books.
  await assert.rejects(ask({ ...request, metadata: impersonating("spiffe://cluster.local/ns/shop/sa/pay") }));
  assert.equal([...issuances.identities.entries()].length, 1);
});

test("an authority that cannot sign is counted in upstream's words", async () => {
  const { ask, host } = await lab();
  host.clock.advance(11 * 365 * 86_400_000);
  await assert.rejects(ask({ csr: newCsr().csr }), {
    code: "unavailable",
    message: "CSR signing error (the authority cannot sign now; ask again)",
  });
  assert.match(host.lines.at(-1)!, /error ca: certificate not signed .*why=the signing certificate ended at/);
  assert.equal(host.metric("citadel_server_csr_sign_err_count{error=CA_NOT_READY}"), 1);
});

test("nobody gets through with a message that nests without end", async () => {
  const { ask } = await lab();
  // Value { struct_value { fields { key, value: Value … } } }, from the inside out.
  let value: Buffer = Buffer.from([0x20, 1]);
  const wrap = (tag: number, bytes: Buffer): Buffer => Buffer.concat([Buffer.of(tag), varint(bytes.length), bytes]);
  while (value.length < 60_000) value = wrap(0x2a, wrap(0x0a, wrap(0x12, value)));
  const metadata = wrap(0x0a, Buffer.concat([wrap(0x0a, Buffer.from("ImpersonatedIdentity")), wrap(0x12, value)]));
  await assert.rejects(ask(wrap(0x22, metadata)), { name: "MeshError" });
  const proto = { ["__proto__"]: { stringValue: "x" }, constructor: { stringValue: "x" } };
  assert.equal((await ask({ csr: newCsr().csr, metadata: { fields: proto } })).length, 2);
  assert.equal(({} as Record<string, unknown>)["stringValue"], undefined);
});

function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (let rest = value; ; rest >>>= 7) {
    if (rest < 0x80) return Buffer.of(...bytes, rest);
    bytes.push((rest & 0x7f) | 0x80);
  }
}

test("a name to impersonate that is no text is refused, not taken for none", async () => {
  const { ask } = await lab();
  for (const value of [{ numberValue: 1 }, { nullValue: 0 }, {}, { stringValue: "" }])
    await assert.rejects(ask({ csr: newCsr().csr, metadata: { fields: { ImpersonatedIdentity: value } } }), {
      message: "request impersonation authentication failure",
    });
});

test("a request that cannot be used is an argument error", async () => {
  const { ask, host } = await lab();
  await assert.rejects(ask({ csr: "" }), {
    code: "invalid",
    message: /^CSR signing error \(the certificate request cannot/,
  });
  await assert.rejects(ask(Buffer.from([0x0a, 0xff])), { code: "invalid" });
  await assert.rejects(
    ask({ csr: newCsr().csr, metadata: { fields: { CertSigner: { stringValue: "x" } } } }),
    /CertSigner x/,
  );
  assert.equal(host.metric("citadel_server_csr_parsing_err_count"), 3);
});
