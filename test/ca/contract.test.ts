import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as grpc from "@grpc/grpc-js";
import Long from "long";
import { after, before, test } from "mocha";
import { istio } from "../../proto/gen/mesh.js";
import { Authenticators } from "../../src/ca/authenticators.ts";
import { newCsr, verifySvid } from "../../src/ca/client.ts";
import { IssuanceLog } from "../../src/ca/issuance-log.ts";
import { LocalSigner } from "../../src/ca/local-signer.ts";
import { selfMadeRoot } from "../../src/ca/self-made-root.ts";
import { certificateService, CREATE_CERTIFICATE } from "../../src/ca/service.ts";
import type { Signer } from "../../src/ca/signer.ts";
import { TrustBundles } from "../../src/ca/trust-bundles.ts";
import { TokenReviewAuthenticator } from "../../src/ca/token-review-authenticator.ts";
import { type ErrorCode, MeshError } from "../../src/errors.ts";
import { GrpcServer } from "../../src/grpc/server.ts";
import { clusterId } from "../../src/names.ts";
import { systemClock } from "../../src/system-host.ts";
import { TestHost } from "../kits/test-host.ts";
import { derOf, type Pair, TestAuthority } from "../kits/tls.ts";
import { livePods } from "./live-pods.ts";
import { jwt, statusOf } from "./reviewed-tokens.ts";

const { IstioCertificateRequest, IstioCertificateResponse } = istio.v1.auth;
const { UNAUTHENTICATED, INVALID_ARGUMENT, INTERNAL, UNAVAILABLE, RESOURCE_EXHAUSTED } = grpc.status;

const trustDomain = "cluster.local";
const nameOf = (namespace: string, account: string): string => `spiffe://${trustDomain}/ns/${namespace}/sa/${account}`;
const cart = nameOf("shop", "cart");

const pods = {
  "east/istio-system/zt-1": { uid: "z1", node: "n1", serviceAccount: "ztunnel" },
  "east/istio-system/masked": { uid: "z2", node: "n1", serviceAccount: "other" },
  "east/shop/cart-0": { uid: "u1", node: "n1", serviceAccount: "cart" },
  "east/shop/pay-0": { uid: "u2", node: "n2", serviceAccount: "pay" },
  "west/istio-system/zt-1": { uid: "w1", node: "n1", serviceAccount: "ztunnel" },
  "west/shop/far-0": { uid: "u3", node: "n1", serviceAccount: "far" },
};

/** A token, and what each cluster's API server says of it. */
interface Token {
  readonly text: string;
  readonly cluster: string;
  readonly status: object;
}
let made = 0;
function tokenOf(namespace: string, account: string, pod?: readonly [string, string], over: object = {}): Token {
  const sub = `system:serviceaccount:${namespace}:${account}`;
  const bound = pod === undefined ? {} : { pod: { name: pod[0], uid: pod[1] } };
  const extra = pod && {
    "authentication.kubernetes.io/pod-name": [pod[0]],
    "authentication.kubernetes.io/pod-uid": [pod[1]],
  };
  const user = { username: sub, groups: ["system:serviceaccounts"], extra };
  const text = jwt({ sub, jti: `t${(made += 1)}`, "kubernetes.io": bound });
  return { text, cluster: "east", status: statusOf({ user, ...over }) };
}
const own = tokenOf("shop", "cart", ["cart-0", "u1"]);
const ztunnel = tokenOf("istio-system", "ztunnel", ["zt-1", "z1"]);
const west = { ...tokenOf("istio-system", "ztunnel", ["zt-1", "w1"]), cluster: "west" };

let folder = "";
let tls: TestAuthority;
let pair: Pair;
before(async () => {
  folder = mkdtempSync(join(tmpdir(), "causeway-ca-contract-"));
  tls = await TestAuthority.create();
  pair = await tls.issue();
});
after(() => rmSync(folder, { recursive: true }));

interface Asking {
  readonly token?: Token;
  /** Instead of a token's. */
  readonly authorization?: string;
  /** `east` by default; undefined for no header. */
  readonly clusterId?: string | undefined;
  readonly clientCertificate?: Pair;
  readonly impersonate?: string;
  readonly csr?: string;
  readonly ttl?: Long;
  readonly fields?: Record<string, object>;
  readonly bytes?: Buffer;
}

interface Answer {
  readonly code: grpc.status;
  readonly text: string;
  readonly elements: readonly string[];
  readonly host: TestHost;
}

/** One request to a certificate service behind our own gRPC server, by a client that is not ours. */
async function ask(asking: Asking, signerOf: (real: Signer) => Signer = (real) => real): Promise<Answer> {
  const host = new TestHost();
  // No chance, so that lives are as long as was asked for.
  host.random.next = () => 0;
  const tokens = [own, ztunnel, west, ...(asking.token === undefined ? [] : [asking.token])];
  const verifierOf = (cluster: string) => {
    const review = (shown: string): Promise<unknown> => {
      const token = tokens.find(({ text }) => text === shown);
      if (token?.cluster === "dark") return Promise.reject(new Error("connect ECONNREFUSED 10.96.0.1:443"));
      const status = token?.cluster === cluster ? token.status : { authenticated: false };
      return Promise.resolve(status);
    };
    const options = { cluster: clusterId(cluster), trustDomain, reviewer: { review }, pods: livePods(pods) };
    return [clusterId(cluster), new TokenReviewAuthenticator(host, options)] as const;
  };
  const trust = new TrustBundles(trustDomain);
  trust.setOwn([derOf(tls.root)]);
  const authenticator = new Authenticators({
    trust,
    clock: systemClock,
    tokens: new Map([verifierOf("east"), verifierOf("west")]),
    localCluster: clusterId("east"),
    trustDomain,
  });
  const signer = signerOf(new LocalSigner(host, await selfMadeRoot(host, folder, trustDomain), trustDomain));
  const trustedNodeAccounts = new Set(["istio-system/ztunnel"]);
  const rules = { trustDomain, trustedNodeAccounts, pods: livePods(pods) };
  const issuances = new IssuanceLog(host);
  const method = certificateService(host, { authenticator, rules, signer, issuances });
  const certificate = { chain: pair.certificate, key: pair.key, clientRoots: tls.root };
  const server = new GrpcServer(host, { name: "test", methods: [method], certificate });
  const { port } = await server.listen({ address: "127.0.0.1", port: 0 });
  try {
    return { host, ...(await call(port, asking)) };
  } finally {
    await server.close(0);
  }
}

function call(port: number, asking: Asking): Promise<Omit<Answer, "host">> {
  const { authorization = asking.token && `Bearer ${asking.token.text}`, clientCertificate: shown } = asking;
  const credentials = grpc.credentials.createSsl(
    Buffer.from(tls.root),
    shown === undefined ? null : Buffer.from(shown.key),
    shown === undefined ? null : Buffer.from(shown.certificate),
  );
  const client = new grpc.Client(`localhost:${port}`, credentials, { "grpc.enable_retries": 0 });
  const metadata = new grpc.Metadata();
  if (authorization !== undefined) metadata.set("authorization", authorization);
  const cluster = "clusterId" in asking ? asking.clusterId : "east";
  if (cluster !== undefined) metadata.set("clusterid", cluster);
  const same = (bytes: Buffer): Buffer => bytes;
  return new Promise((resolve) => {
    client.makeUnaryRequest(CREATE_CERTIFICATE, same, same, requestOf(asking), metadata, (error, answer) => {
      client.close();
      const elements = error === null ? IstioCertificateResponse.decode(answer!).certChain : [];
      resolve({ code: error?.code ?? grpc.status.OK, text: error?.details ?? "", elements });
    });
  });
}

function requestOf({ impersonate, csr = newCsr().csr, ttl = Long.ZERO, fields = {}, bytes }: Asking): Buffer {
  if (bytes !== undefined) return bytes;
  const all = { ...fields, ...(impersonate !== undefined && { ImpersonatedIdentity: { stringValue: impersonate } }) };
  return Buffer.from(
    IstioCertificateRequest.encode({ csr, validityDuration: ttl, metadata: { fields: all } }).finish(),
  );
}

const granted: readonly (readonly [string, Asking, string])[] = [
  ["1: a token, with the cluster that verifies it named", { token: own }, cart],
  ["1: no cluster named, which is the local one", { token: own, clusterId: undefined }, cart],
  ["1: an empty cluster, which is the local one", { token: own, clusterId: "" }, cart],
  ["1: a remote cluster's token, with it named", { token: west, clusterId: "west" }, nameOf("istio-system", "ztunnel")],
  ["2: a token that is bound to no pod, for its own identity", { token: tokenOf("shop", "cart") }, cart],
  ["3: the caller's identity is of our trust domain", { token: ztunnel }, nameOf("istio-system", "ztunnel")],
  ["4: the identity of a live pod on the caller's node", { token: ztunnel, impersonate: cart }, cart],
  [
    "4: in a remote cluster, of its pods",
    { token: west, clusterId: "west", impersonate: nameOf("shop", "far") },
    nameOf("shop", "far"),
  ],
];
for (const [row, asking, identity] of granted)
  test(`contract 4.4, step ${row}: granted`, async () => {
    const { code, text, elements, host } = await ask(asking);
    assert.equal(code, grpc.status.OK, text);
    assert.equal(verifySvid(elements, host.clock.now()).spiffeId, identity);
    const lines = host.lines.filter((line) => line.startsWith("info ca: certificate issued"));
    assert.equal(lines.length, 1);
    assert.match(
      lines[0]!,
      new RegExp(`identity=${identity} caller=.* cluster=(east|west) via=token serial=.* ttl=86400`),
    );
    assert.equal(host.metric("citadel_server_success_cert_issuance_count"), 1);
  });

const none = { authenticated: false };
const AUTHENTICATION = "request authenticate failure";
const unproven: readonly (readonly [string, Asking, RegExp])[] = [
  ["1: nothing is shown", {}, /why=\S/],
  ["1: the header is not a Bearer's", { authorization: `Basic ${own.text}` }, /why=.*bearer/],
  ["1: the token is empty", { authorization: "Bearer " }, /why=/],
  ["1: the token is no JWT", { authorization: "Bearer junk" }, /why=/],
  ["1: an unknown cluster is named", { token: own, clusterId: "mars" }, /why=no cluster "mars" is known/],
  ["1: the cluster named has 10 kB", { token: own, clusterId: "m".repeat(10_000) }, /why=/],
  ["1: another cluster's token is shown for ours", { token: west }, /why=/],
  ["1: our token is shown for another cluster's", { token: own, clusterId: "west" }, /why=/],
  ["2: the review says no", { token: tokenOf("shop", "cart", undefined, none) }, /why=/],
  [
    "2: the review was for another audience",
    { token: tokenOf("shop", "cart", undefined, { audiences: ["vault"] }) },
    /why=.*audience/,
  ],
  [
    "2: the review names no audience",
    { token: tokenOf("shop", "cart", undefined, { audiences: [] }) },
    /why=.*audience/,
  ],
  [
    "2: the user is in no group of service accounts",
    {
      token: tokenOf("shop", "cart", undefined, { user: { username: "system:serviceaccount:shop:cart", groups: [] } }),
    },
    /why=/,
  ],
  [
    "2: the user is a person",
    { token: tokenOf("shop", "cart", undefined, { user: { username: "eve", groups: ["system:serviceaccounts"] } }) },
    /why=/,
  ],
  ["2: the pod of the token has ended", { token: tokenOf("shop", "cart", ["cart-9", "u9"]) }, /why=.*cart-9/],
];
for (const [row, asking, reason] of unproven)
  test(`contract 4.4, step ${row}: UNAUTHENTICATED, and the log says why`, async () => {
    const { code, text, host } = await ask(asking);
    assert.deepEqual([code, text], [UNAUTHENTICATED, AUTHENTICATION]);
    refusedOnce(host, "authentication", reason);
    assert.equal(host.metric("citadel_server_authentication_failure_count"), 1);
  });

const west1 = { token: west, clusterId: "west" };
const impersonations: readonly (readonly [string, Asking, RegExp])[] = [
  ["the caller is no trusted node account", { token: own, impersonate: cart }, /shop\/cart is not a trusted node/],
  [
    "the caller's token is bound to no pod",
    { token: tokenOf("istio-system", "ztunnel"), impersonate: cart },
    /not bound to a pod/,
  ],
  [
    "the caller's pod runs as another account",
    { token: tokenOf("istio-system", "ztunnel", ["masked", "z2"]), impersonate: cart },
    /why=.*(masked|live)/,
  ],
  [
    "no pod of that identity is on its node",
    { token: ztunnel, impersonate: nameOf("shop", "pay") },
    /no live pod of .*pay is on its node n1/,
  ],
  ["no pod of that identity is anywhere", { token: ztunnel, impersonate: nameOf("shop", "ghost") }, /no live pod of/],
  ["only another cluster has such a pod", { token: ztunnel, impersonate: nameOf("shop", "far") }, /no live pod of/],
  ["a remote node asks for a pod of ours", { ...west1, impersonate: cart }, /no live pod of/],
  [
    "another trust domain is asked for",
    { token: ztunnel, impersonate: "spiffe://td2/ns/shop/sa/cart" },
    /trust domain td2/,
  ],
  [
    "the trust domain is in capitals",
    { token: ztunnel, impersonate: cart.replace("cluster", "Cluster") },
    /trust domain may only/,
  ],
  [
    "the trust domain has a comma",
    { token: ztunnel, impersonate: "spiffe://cluster.local,x/ns/shop/sa/cart" },
    /trust domain may only/,
  ],
  ["the path goes up", { token: ztunnel, impersonate: `${nameOf("shop", "b")}/../cart` }, /path is not/],
  ["the path ends with a slash", { token: ztunnel, impersonate: `${cart}/` }, /path is not/],
  ["the path has an empty part", { token: ztunnel, impersonate: cart.replace("/sa", "//sa") }, /path is not/],
  ["the path is escaped", { token: ztunnel, impersonate: cart.replace("cart", "c%61rt") }, /not a valid path segment/],
  ["the text is empty", { token: ztunnel, impersonate: "" }, /does not begin with spiffe/],
  ["the name is a number", { token: ztunnel, fields: { ImpersonatedIdentity: { numberValue: 1 } } }, /does not begin/],
  ["the name is of another kind", { token: ztunnel, impersonate: "https://cluster.local/ns/shop/sa/cart" }, /spiffe/],
];
for (const [row, asking, reason] of impersonations)
  test(`contract 4.4, step 4, ${row}: UNAUTHENTICATED, and the log says why`, async () => {
    const { code, text, host } = await ask(asking);
    const early = host.metric("cert_issued_denied_total{reason=authentication}") === 1;
    assert.deepEqual(
      [code, text],
      [UNAUTHENTICATED, early ? AUTHENTICATION : "request impersonation authentication failure"],
    );
    refusedOnce(host, early ? "authentication" : "impersonation", reason);
    assert.equal(host.metric("citadel_server_id_extraction_err_count"), early ? 0 : 1);
  });

test("contract 4.4: a client certificate earns no other, and its owner is not told why", async () => {
  const { code, text, host } = await ask({ clientCertificate: await tls.issue([cart]) });
  assert.deepEqual([code, text], [UNAUTHENTICATED, "request impersonation authentication failure"]);
  refusedOnce(host, "impersonation", /via=certificate .*ask with a token/);
});

const csr = newCsr().csr;
const requests: readonly (readonly [string, Asking, grpc.status, RegExp, string])[] = [
  ["an empty request", { csr: "" }, INVALID_ARGUMENT, /^CSR signing error \(.*one PEM block/, "request"],
  ["a request that is not PEM", { csr: "junk" }, INVALID_ARGUMENT, /^CSR signing error \(.*\)$/, "request"],
  ["two requests", { csr: csr + csr }, INVALID_ARGUMENT, /^CSR signing error \(.*\)$/, "request"],
  ["junk after the request", { csr: `${csr}junk` }, INVALID_ARGUMENT, /^CSR signing error \(.*\)$/, "request"],
  [
    "a certificate for a request",
    { csr: csr.replaceAll("CERTIFICATE REQUEST", "CERTIFICATE") },
    INVALID_ARGUMENT,
    /^CSR signing error \(.*\)$/,
    "request",
  ],
  ["a request of 40 kB", { csr: "x".repeat(40_000) }, INVALID_ARGUMENT, /^CSR signing error \(.*16384/, "request"],
  [
    "a message that is none",
    { bytes: Buffer.of(0x0a, 0xff) },
    INVALID_ARGUMENT,
    /is not a certificate request/,
    "decoding",
  ],
  [
    "a signer by name",
    { fields: { CertSigner: { stringValue: "clusterissuers.x/y" } } },
    INVALID_ARGUMENT,
    /CertSigner/,
    "decoding",
  ],
];
for (const [row, asking, status, text, reason] of requests)
  test(`contract 4.4, step 5, ${row}: INVALID_ARGUMENT, with what is wrong with it`, async () => {
    const answer = await ask({ token: own, ...asking });
    assert.equal(answer.code, status, answer.text);
    assert.match(answer.text, text);
    refusedOnce(answer.host, reason, /why=/);
    assert.equal(answer.host.metric("citadel_server_csr_parsing_err_count"), 1);
    assert.equal(
      answer.host.metric("citadel_server_csr_sign_err_count{error=CSR_ERROR}"),
      reason === "request" ? 1 : 0,
    );
  });

const lifetimes: readonly (readonly [string, Long, number])[] = [
  ["0 is the default of a day", Long.ZERO, 86_400],
  ["a negative one is the default", Long.fromNumber(-1), 86_400],
  ["the least number is the default", Long.MIN_VALUE, 86_400],
  ["two hours are two hours", Long.fromNumber(7200), 7200],
  ["90 days are the most", Long.fromNumber(90 * 86_400), 90 * 86_400],
  ["100 years are clamped to 90 days, where istiod refuses", Long.fromNumber(100 * 365 * 86_400), 90 * 86_400],
  ["2^63 - 1 is clamped to 90 days", Long.MAX_VALUE, 90 * 86_400],
];
for (const [row, ttl, seconds] of lifetimes)
  test(`contract 4.4, step 6: a lifetime of ${row}`, async () => {
    const { elements, host, text } = await ask({ token: own, ttl });
    assert.equal(text, "");
    assert.equal(verifySvid(elements, host.clock.now()).notAfter, host.clock.now() + seconds * 1000);
  });

const notNow = "CSR signing error (the authority cannot sign now; ask again)";
const signings: readonly (readonly [ErrorCode, grpc.status, string, string])[] = [
  ["unavailable", UNAVAILABLE, notNow, "CA_NOT_READY"],
  ["timeout", UNAVAILABLE, notNow, "CA_NOT_READY"],
  ["exhausted", UNAVAILABLE, notNow, "CA_NOT_READY"],
  ["internal", INTERNAL, "CSR signing error (certificate generation failed)", "CERT_GEN_ERROR"],
  ["denied", INTERNAL, "CSR signing error (certificate generation failed)", "UNKNOWN"],
  ["invalid", INVALID_ARGUMENT, "CSR signing error (the key cannot be certified)", "CSR_ERROR"],
];
for (const [thrown, status, told, error] of signings)
  test(`contract 4.4: a signer that ends with "${thrown}" is ${grpc.status[status]}, and the log says why`, async () => {
    const failing = (real: Signer): Signer => ({
      bundles: real.bundles,
      expiresAt: real.expiresAt,
      describe: () => real.describe(),
      issue: () => Promise.reject(new MeshError(thrown, "the vault is sealed")),
    });
    const { code, text, host } = await ask({ token: own }, failing);
    assert.deepEqual([code, text], [status, told]);
    refusedOnce(host, "signing", /why=the vault is sealed/);
    assert.equal(host.metric(`citadel_server_csr_sign_err_count{error=${error}}`), 1);
  });

test("contract 4.4: an API server that cannot be asked is UNAVAILABLE, and no doubt of the caller", async () => {
  const { code, text, host } = await ask({ token: { ...tokenOf("shop", "cart"), cluster: "dark" } });
  assert.deepEqual([code, text], [UNAVAILABLE, AUTHENTICATION]);
  refusedOnce(host, "authentication_unavailable", /why=cluster east cannot review tokens now/);
});

test("a message over its limit is RESOURCE_EXHAUSTED, before anything of it is read, and the log says why", async () => {
  const { code, host } = await ask({ token: own, bytes: Buffer.alloc(70_000) });
  assert.equal(code, RESOURCE_EXHAUSTED);
  const lines = host.lines.filter((line) => line.startsWith("warn grpc: call refused unread"));
  assert.equal(lines.length, 1, host.lines.join("\n"));
  assert.match(lines[0]!, /path=\S*CreateCertificate address=\S+ why=.*65536/);
  assert.equal(host.metric("citadel_server_csr_count"), 0);
});

/** One line, one count, nothing issued, and nothing secret said. */
function refusedOnce(host: TestHost, reason: string, why: RegExp): void {
  const lines = host.lines.filter((line) => /certificate (refused|not signed)/.test(line));
  assert.equal(lines.length, 1, host.lines.join("\n"));
  assert.match(lines[0]!, new RegExp(`stage=${reason} .*address=\\S+`));
  assert.match(lines[0]!, why);
  const denied = host.series.filter((name) => name.startsWith("cert_issued_denied_total"));
  assert.equal(denied.length, 8, "each reason is there from the beginning, so that the first refusal is growth");
  const series = denied.filter((name) => host.metric(name) > 0);
  assert.deepEqual(series, [`cert_issued_denied_total{reason=${reason}}`]);
  assert.equal(host.metric(series[0]!), 1);
  assert.equal(host.metric("citadel_server_csr_count"), 1);
  assert.equal(host.metric("citadel_server_success_cert_issuance_count"), 0);
  for (const line of host.lines) assert.ok(!/BEGIN|Bearer ey|\.c2ln/.test(line), line);
}
