import assert from "node:assert/strict";
import fc from "fast-check";
import { before, test } from "mocha";
import { causeway } from "../../proto/gen/mesh.js";
import { clusterId } from "../../src/names.ts";
import { pemBlocks } from "../../src/pem.ts";
import { RELAY_LIMITS } from "../../src/relay/message-rules.ts";
import type { ClusterMessage, ClusterReport, ManagerMessage, Order } from "../../src/relay/messages.ts";
import * as wire from "../../src/relay/wire.ts";
import { makeCsr, type MadeCsr } from "../kits/csr.ts";
import { FUZZ_MS, fuzzing } from "../kits/fuzz.ts";
import { relayMessages } from "../kits/relay-messages.ts";
import { derOf, TestAuthority } from "../kits/tls.ts";

const { relay } = causeway;
let authority: TestAuthority;
let root: Uint8Array;
let csr: MadeCsr;
let messages: ReturnType<typeof relayMessages>;
before(async () => {
  authority = await TestAuthority.create();
  root = Uint8Array.from(derOf(authority.root));
  const other = await TestAuthority.create({ algorithm: "P-384" });
  csr = await makeCsr({ uris: ["spiffe://cluster.local"] });
  messages = relayMessages([root, Uint8Array.from(derOf(other.root))], [csr.pem]);
});

/** Bytes of either kind, Node's or not, compare alike. */
const plain = (value: unknown): unknown =>
  value instanceof Uint8Array
    ? Buffer.from(value).toString("hex")
    : Array.isArray(value)
      ? value.map(plain)
      : typeof value === "object" && value !== null
        ? Object.fromEntries(Object.entries(value).map(([key, one]) => [key, plain(one)]))
        : value;

const report = (more: Partial<ClusterReport> = {}): ClusterMessage => ({
  kind: "report",
  report: {
    generation: "g1",
    roots: [root],
    chain: [],
    signingRoot: undefined,
    rootWaitMs: 0,
    waits: [],
    problems: [],
    restarts: [],
    clock: 1,
    version: "1",
    ...more,
  },
});
const order = (more: Partial<Order> = {}): ManagerMessage => ({
  kind: "order",
  order: {
    generation: "g1",
    trustDomain: "cluster.local",
    intermediate: {
      organization: "cluster.local",
      commonName: "Intermediate CA east",
      pathLength: 0,
      lifetimeMs: 86_400_000,
      keyType: "ec-p256",
      graceRatio: 0.1,
    },
    roots: [root],
    signingRoot: undefined,
    autoRestartPods: false,
    bounds: undefined,
    ...more,
  },
});
const withShape = (more: Partial<Order["intermediate"]>): ManagerMessage => {
  const made = order();
  assert.equal(made.kind, "order");
  return order({ intermediate: { ...(made as { order: Order }).order.intermediate, ...more } });
};

test("every message comes back as it was sent", () => {
  fc.assert(
    fc.property(messages.ofCluster, (message) => {
      assert.deepEqual(plain(wire.decodeClusterMessage(wire.encodeClusterMessage(message))), plain(message));
    }),
    fuzzing(300) as fc.Parameters<[ClusterMessage]>,
  );
  fc.assert(
    fc.property(messages.ofManager, (message) => {
      assert.deepEqual(plain(wire.decodeManagerMessage(wire.encodeManagerMessage(message))), plain(message));
    }),
    fuzzing(300) as fc.Parameters<[ManagerMessage]>,
  );
}).timeout(FUZZ_MS);

test("what proves a cluster comes back as it was sent", () => {
  for (const clock of [undefined, 1_700_000_000_000]) {
    const asked = { token: "t", cluster: clusterId("east"), csr: csr.pem, clock };
    assert.deepEqual(wire.decodeEnrollRequest(wire.encodeEnrollRequest(asked)), asked);
  }
  assert.deepEqual(wire.decodeRenewRequest(wire.encodeRenewRequest({ csr: csr.pem })), { csr: csr.pem });
  const answer = { chain: [authority.root], relayRoots: [authority.root, authority.root] };
  assert.deepEqual(wire.decodeClientCredentials(wire.encodeClientCredentials(answer)), answer);
});

test("whatever arrives is a message within its rules or refused as invalid, and nothing else happens", () => {
  const decoders = [
    wire.decodeClusterMessage,
    wire.decodeManagerMessage,
    wire.decodeEnrollRequest,
    wire.decodeRenewRequest,
    wire.decodeClientCredentials,
  ];
  const sound = fc.oneof(
    messages.ofCluster.map((message) => wire.encodeClusterMessage(message)),
    messages.ofManager.map((message) => wire.encodeManagerMessage(message)),
  );
  const damaged = fc
    .tuple(sound, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }), fc.nat())
    .map(([bytes, changes, cut]) => {
      const changed = Uint8Array.from(cut % 3 === 0 ? bytes.subarray(0, cut % (bytes.length + 1)) : bytes);
      for (const [at, byte] of changes) if (changed.length > 0) changed[at % changed.length] = byte;
      return changed;
    });
  let taken = 0;
  let refused = 0;
  fc.assert(
    fc.property(fc.oneof(damaged, fc.uint8Array({ maxLength: 200 })), (bytes) => {
      for (const decode of decoders) {
        try {
          const value = decode(bytes);
          taken += 1;
          if ("kind" in value && decode === wire.decodeClusterMessage)
            assert.deepEqual(
              plain(wire.decodeClusterMessage(wire.encodeClusterMessage(value as ClusterMessage))),
              plain(value),
            );
        } catch (thrown) {
          assert.equal((thrown as { code?: string }).code, "invalid", String(thrown));
          refused += 1;
        }
      }
    }),
    fuzzing(400) as fc.Parameters<[Uint8Array]>,
  );
  assert.ok(taken > 50 && refused > 500, `${taken} taken, ${refused} refused`);
}).timeout(FUZZ_MS);

test("a message of a kind that is not known, or of none, is refused", () => {
  const unknown = Buffer.of((15 << 3) | 2, 1, 0);
  assert.throws(() => wire.decodeClusterMessage(unknown), /no kind that is known/);
  assert.throws(() => wire.decodeManagerMessage(unknown), /no kind that is known/);
  assert.throws(() => wire.decodeManagerMessage(new Uint8Array()), /no kind that is known/);
});

test("each field that breaks its rule is refused by name, on the way out and on the way in", () => {
  const wrong: readonly (readonly [RegExp, ClusterMessage | ManagerMessage])[] = [
    [/cluster: ".\/." is no name/, { kind: "hello", hello: { cluster: clusterId("a/b"), version: "", clock: 0 } }],
    [/clock_ms/, { kind: "hello", hello: { cluster: clusterId("a"), version: "", clock: -1 } }],
    [
      /^.*csr: it must be one PEM block/,
      { kind: "request", request: { id: "1", csr: authority.key, generation: "g" } },
    ],
    [/id: "" is not one word/, { kind: "request", request: { id: "", csr: csr.pem, generation: "g" } }],
    [/generation/, report({ generation: "two words" })],
    [/roots: /, report({ roots: [Buffer.from("no certificate")] })],
    [/chain: there are 9; 8/, report({ chain: Array<Uint8Array>(9).fill(root) })],
    [/roots: there are 65; 64/, report({ roots: Array<Uint8Array>(65).fill(root) })],
    [/signing_root/, report({ signingRoot: "AB".repeat(32) })],
    [/root_wait_ms/, report({ rootWaitMs: 1.5 })],
    [/roots: there is none/, order({ roots: [] })],
    [/trust_domain/, order({ trustDomain: "Not/One" })],
    [/path_length: 128/, withShape({ pathLength: 128 })],
    [/lifetime_ms: 0/, withShape({ lifetimeMs: 0 })],
    [/grace_ratio: 1 /, withShape({ graceRatio: 1 })],
    [/grace_ratio: NaN/, withShape({ graceRatio: NaN })],
    [/common_name/, withShape({ commonName: "x".repeat(65) })],
    [/organization/, withShape({ organization: "a\nb" })],
    [/key_type: "ed25519"/, withShape({ keyType: "ed25519" as "ec-p256" })],
    [
      /namespaces/,
      order({ bounds: [{ cluster: undefined, exports: [{ namespaces: [""], services: [] }], imports: [] }] }),
    ],
    [/bounds: 100001 names/, order({ bounds: [many(100_000)] })],
    [/retry_after_ms/, { kind: "refusal", id: "", code: "denied", reason: "", retryAfterMs: Infinity }],
    [/chain: it is empty/, { kind: "certificate", id: "1", signed: { chain: [], root } }],
  ];
  for (const [why, message] of wrong) {
    const encode = (): Uint8Array =>
      isOfCluster(message) ? wire.encodeClusterMessage(message) : wire.encodeManagerMessage(message);
    assert.throws(encode, why);
  }
});
const many = (count: number) => ({
  cluster: undefined,
  exports: [{ namespaces: Array<string>(count).fill("n"), services: undefined }],
  imports: [],
});
const isOfCluster = (message: ClusterMessage | ManagerMessage): message is ClusterMessage =>
  ["hello", "request", "report"].includes(message.kind);

test("whoever does not use our encoder is held to the same rules", () => {
  const refusedBy = (message: causeway.relay.IClusterMessage, why: RegExp): void =>
    assert.throws(() => wire.decodeClusterMessage(relay.ClusterMessage.encode(message).finish()), why);
  refusedBy({ hello: { cluster: "../../etc" } }, /cluster: /);
  refusedBy({ report: { roots: [Buffer.alloc(20_000)] } }, /roots: one has 20000 bytes/);
  refusedBy({ report: { generation: "g", chain: [Buffer.from(csr.der)] } }, /chain: /);
  const scope = { namespaces: ["a"], services: ["b"], allServices: true };
  const bytes = relay.ManagerMessage.encode({
    order: { intermediate: { keyType: "ec-p256" }, bounds: { bounds: [{ exports: [scope] }] } },
  }).finish();
  assert.throws(() => wire.decodeManagerMessage(bytes), /services: they are listed, and all of them/);
  const over = new Uint8Array(RELAY_LIMITS.clusterMessageBytes + 1);
  assert.throws(() => wire.decodeClusterMessage(over), /1048577 bytes; 1048576 is the most/);
});

test("no bounds, and bounds of nothing, are not the same", () => {
  const boundsOf = (bounds: Order["bounds"]): unknown => {
    const message = wire.decodeManagerMessage(wire.encodeManagerMessage(order({ bounds })));
    return message.kind === "order" && message.order.bounds;
  };
  assert.equal(boundsOf(undefined), undefined);
  assert.deepEqual(boundsOf([]), []);
  const none = [{ cluster: undefined, exports: [{ namespaces: ["a"], services: [] }], imports: [] }];
  assert.deepEqual(boundsOf(none), none);
});

test("no private key passes the encoder, in PEM or in DER, in whatever field", () => {
  const [der] = pemBlocks(authority.key, "PRIVATE KEY");
  assert.ok(der !== undefined);
  const tries: readonly (() => unknown)[] = [
    () => wire.encodeClusterMessage(report({ problems: [`cannot use ${authority.key}`] })),
    () => wire.encodeClusterMessage(report({ restarts: ["-----BEGIN EC PRIVATE KEY-----"] })),
    () => wire.encodeClusterMessage(report({ version: authority.key })),
    () => wire.encodeClusterMessage(report({ roots: [der] })),
    () => wire.encodeClusterMessage(report({ chain: [root, Buffer.from(authority.key)] })),
    () => wire.encodeClusterMessage({ kind: "request", request: { id: "1", csr: csr.pem + csr.key, generation: "g" } }),
    () => wire.encodeManagerMessage({ kind: "certificate", id: "1", signed: { chain: [root], root: der } }),
    () => wire.encodeManagerMessage({ kind: "refusal", id: "", code: "denied", reason: csr.key, retryAfterMs: 0 }),
    () => wire.encodeRenewRequest({ csr: csr.key }),
    () => wire.encodeEnrollRequest({ token: csr.key, cluster: clusterId("a"), csr: csr.pem, clock: 0 }),
    () => wire.encodeClientCredentials({ chain: [authority.root + authority.key], relayRoots: [authority.root] }),
    () => wire.encodeClientCredentials({ chain: [authority.root], relayRoots: [authority.key] }),
  ];
  for (const attempt of tries) assert.throws(attempt, { code: "invalid" });
  // A sentence may speak of one.
  wire.encodeClusterMessage(report({ problems: ["ca-key.pem must be one PEM block of PRIVATE KEY"] }));
});

test("sentences are cut and made fit for a terminal, and what is left out is counted", () => {
  const message = report({ problems: [`\u001b[31m${"x".repeat(5_000)}`], waits: Array<string>(150).fill("waits") });
  const decoded = wire.decodeClusterMessage(wire.encodeClusterMessage(message));
  assert.ok(decoded.kind === "report");
  assert.match(decoded.report.problems[0]!, /^\\u\{1b\}\[31mx+…$/);
  assert.equal(decoded.report.problems[0]!.length, RELAY_LIMITS.textCharacters);
  assert.equal(decoded.report.waits.length, 100);
  assert.equal(decoded.report.waits.at(-1), "and 51 more");
});
