import assert from "node:assert/strict";
import { setMaxListeners } from "node:events";
import { createServer } from "node:net";
import { status } from "@grpc/grpc-js";
import { test } from "mocha";
import { spire } from "../../proto/gen/mesh.js";
import type { Host } from "../../src/host.ts";
import { GrpcSpireServer } from "../../src/spire/server-api.ts";
import type { AgentSvids, SpireEntry } from "../../src/spire/spire.ts";
import { folderOf } from "../kits/folder.ts";
import { realHost } from "../kits/real-host.ts";
import { PATH } from "../kits/spire-methods.ts";
import { TestHost } from "../kits/test-host.ts";
import { derOf, TestAuthority } from "../kits/tls.ts";
import { nextTurn, until } from "../kits/until.ts";
import { type Answer, Refusal, SmallSpire, svidOf, unlinkSocket } from "./small-spire.ts";

const { mint: MINT, downstream: DOWNSTREAM, bundle: BUNDLE, federated: FEDERATED, agents: AGENTS } = PATH;
const { list: ENTRIES, create: CREATE, update: UPDATE, delete: DELETE } = PATH;

const never = new AbortController().signal;
setMaxListeners(0, never);
const CSR = Buffer.from("a request");
const MINTED = {
  certChain: [Buffer.from("leaf"), Buffer.from("issuer")],
  id: { trustDomain: "example.org", path: "/ns/shop/sa/cart" },
};
const minted = spire.MintX509SvidResponse.encode({ svid: MINTED }).finish();
const emptyBundle = spire.Bundle.encode({ trustDomain: "example.org" }).finish();

const CART: SpireEntry = {
  id: "cart",
  spiffeId: "spiffe://example.org/ns/shop/sa/cart",
  parentId: "spiffe://example.org/spire/agent/k8s_psat/east/1",
  selectors: ["k8s:ns:shop", "k8s:pod-label:app:cart"],
  x509SvidTtlSeconds: 600,
  federatesWith: ["example.com"],
  admin: true,
  downstream: true,
  expiresAt: 1_800_000_000_000,
  dnsNames: ["cart"],
  hint: "h",
};
const idOf = (trustDomain: string, path: string) => ({ trustDomain, path });
const CART_MESSAGE: spire.IEntry = {
  id: "cart",
  spiffeId: idOf("example.org", "/ns/shop/sa/cart"),
  parentId: idOf("example.org", "/spire/agent/k8s_psat/east/1"),
  selectors: [
    { type: "k8s", value: "ns:shop" },
    { type: "k8s", value: "pod-label:app:cart" },
  ],
  x509SvidTtl: 600,
  federatesWith: ["example.com"],
  admin: true,
  downstream: true,
  expiresAt: 1_800_000_000 as never,
  dnsNames: ["cart"],
  hint: "h",
};

async function onSocket(
  answers: Readonly<Record<string, Answer>>,
  host: Host & Pick<TestHost, "lines" | "metric"> = realHost(),
) {
  const folder = await folderOf({});
  const path = folder.at("api.sock");
  const small = await SmallSpire.onSocket(path, { answers });
  const server = new GrpcSpireServer(host, { address: { kind: "socket", path }, trustDomain: "example.org" });
  const end = async (): Promise<void> => {
    server.close();
    await small[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  };
  return { host, path, small, server, [Symbol.asyncDispose]: end };
}

async function overTcp(
  answers: Readonly<Record<string, Answer>>,
  {
    serverId = "spiffe://example.org/spire/server",
    serverAuthority,
    name = "127.0.0.1",
    host = realHost(),
  }: {
    readonly serverId?: string;
    readonly serverAuthority?: TestAuthority;
    readonly name?: string;
    readonly host?: Host & Pick<TestHost, "lines" | "metric">;
  } = {},
) {
  const authority = await TestAuthority.create();
  const own = await (serverAuthority ?? authority).issue([serverId]);
  const small = await SmallSpire.onTcp(own, authority.root, { answers });
  const said: { svids: AgentSvids | undefined } = { svids: undefined };
  const give = async (spiffeId: string, lifetimeMs?: number): Promise<void> => {
    const svids = [await svidOf(authority, spiffeId, lifetimeMs)];
    said.svids = { svids, bundles: new Map([["example.org", [derOf(authority.root)]]]) };
  };
  await give("spiffe://example.org/ns/istio-system/sa/istiod");
  const server = new GrpcSpireServer(host, {
    address: { kind: "tcp", host: name, port: small.port },
    trustDomain: "example.org",
    ownSvid: () => said.svids,
  });
  const end = async (): Promise<void> => {
    server.close();
    await small[Symbol.asyncDispose]();
  };
  return { host, authority, small, server, said, give, [Symbol.asyncDispose]: end };
}

test("SPIRE's server is sent the request as it is, and what it signed comes back", async () => {
  const answer = spire.MintX509SvidResponse.encode({ svid: { ...MINTED, expiresAt: 1_800_000_000 as never } }).finish();
  await using lab = await onSocket({ [MINT]: () => answer });
  const svid = await lab.server.mint(CSR, 3600, never);
  assert.deepEqual(svid.chain.map(String), ["leaf", "issuer"]);
  assert.equal(svid.spiffeId, "spiffe://example.org/ns/shop/sa/cart");
  assert.equal(svid.expiresAt, 1_800_000_000_000);
  const { csr, ttl } = spire.MintX509SvidRequest.decode(lab.small.calls[0]!.request);
  assert.deepEqual([String(csr), ttl], ["a request", 3600]);
  assert.equal(lab.host.metric("spire_server_calls_total{method=MintX509SVID,result=ok}"), 1);
  assert.equal(lab.host.metric("spire_server_call_duration_seconds_count{method=MintX509SVID}"), 1);
  assert.equal(lab.server.status.connected, true);
});

for (const name of ["127.0.0.1", "localhost"])
  test(`over TCP to ${name} we show the SVID that the agent gave us`, async () => {
    await using lab = await overTcp({ [MINT]: () => minted }, { name });
    await lab.server.mint(CSR, 3600, never);
    assert.deepEqual(
      lab.small.calls.map(({ caller }) => caller),
      ["spiffe://example.org/ns/istio-system/sa/istiod"],
    );
    assert.equal(lab.server.status.spiffeId, "spiffe://example.org/ns/istio-system/sa/istiod");
  });

test("a bundle that holds the authority below an upstream root vouches for the server, as SPIRE means it", async () => {
  const upstream = await TestAuthority.create("CN=upstream");
  const between = await TestAuthority.create({ name: "CN=between" }, upstream);
  await using lab = await overTcp({ [BUNDLE]: () => emptyBundle }, { serverAuthority: between });
  const { svids } = lab.said.svids!;
  lab.said.svids = { svids, bundles: new Map([["example.org", [derOf(between.root)]]]) };
  assert.equal((await lab.server.bundle()).trustDomain, "example.org");
});

test("of several SVIDs the one whose entry has the hint causeway is shown", async () => {
  await using lab = await overTcp({ [BUNDLE]: () => emptyBundle });
  const admin = await svidOf(lab.authority, "spiffe://example.org/admin");
  const { svids, bundles } = lab.said.svids!;
  lab.said.svids = { svids: [...svids, { ...admin, hint: "causeway" }], bundles };
  await lab.server.bundle();
  assert.equal(lab.small.calls[0]!.caller, "spiffe://example.org/admin");
});

test("a server with another identity of the trust domain is told nothing, and the error names both", async () => {
  await using lab = await overTcp({ [MINT]: () => minted }, { serverId: "spiffe://example.org/ns/shop/sa/cart" });
  await assert.rejects(
    lab.server.mint(CSR, 3600, never),
    /it proves to be spiffe:\/\/example\.org\/ns\/shop\/sa\/cart, and must be spiffe:\/\/example\.org\/spire\/server/,
  );
  assert.deepEqual(lab.small.calls, []);
});

test("roots of other trust domains do not vouch for the server", async () => {
  const foreign = await TestAuthority.create("CN=foreign root");
  await using lab = await overTcp({ [MINT]: () => minted }, { serverAuthority: foreign });
  const { svids, bundles } = lab.said.svids!;
  lab.said.svids = { svids, bundles: new Map([...bundles, ["example.com", [derOf(foreign.root)]]]) };
  await assert.rejects(lab.server.mint(CSR, 3600, never), {
    code: "unavailable",
    message: /its certificate is not under the bundle that SPIRE's agent gave us/,
  });
  assert.deepEqual(lab.small.calls, []);
});

for (const [what, svids, why] of [
  ["no SVID", () => undefined, /has given us no SVID yet/],
  [
    "no bundle of the server's trust domain",
    ({ svids }: AgentSvids) => ({ svids, bundles: new Map() }),
    /calls us spiffe:\/\/example\.org\/ns\/istio-system\/sa\/istiod and has no bundle of trust domain example\.org/,
  ],
] as const)
  test(`with ${what} the server is not asked, and the error says so`, async () => {
    await using lab = await overTcp({ [MINT]: () => minted });
    lab.said.svids = svids(lab.said.svids!);
    await assert.rejects(lab.server.mint(CSR, 3600, never), { code: "unavailable", message: why });
    assert.deepEqual(lab.small.calls, []);
    assert.equal(lab.host.metric("spire_server_call_duration_seconds_count{method=MintX509SVID}"), 0);
  });

test("an SVID of ours that has ended is not shown, and the error says since when", async () => {
  await using lab = await overTcp({ [MINT]: () => minted });
  await lab.give("spiffe://example.org/ns/istio-system/sa/istiod", -60_000);
  await assert.rejects(lab.server.mint(CSR, 3600, never), {
    code: "unavailable",
    message: /our SVID spiffe:\/\/example\.org\/ns\/istio-system\/sa\/istiod ended at 2/,
  });
});

test("a refusal says what our entry lacks", async () => {
  const refuse = (): never => {
    throw new Refusal(status.PERMISSION_DENIED, "authorization denied for method");
  };
  await using tcp = await overTcp({ [MINT]: refuse, [DOWNSTREAM]: refuse });
  await assert.rejects(tcp.server.mint(CSR, 3600, never), {
    code: "denied",
    message:
      /our identity spiffe:\/\/example\.org\/ns\/istio-system\/sa\/istiod is no admin at SPIRE's server: give its entry admin: true/,
  });
  await assert.rejects(tcp.server.newDownstreamCa(CSR, 3600), { code: "denied", message: /downstream: true/ });
  assert.equal(tcp.host.metric("spire_server_calls_total{method=MintX509SVID,result=denied}"), 1);
  assert.equal(tcp.server.status.connected, true);
  assert.match(tcp.server.status.error ?? "", /downstream: true/);
  await using socket = await onSocket({ [DOWNSTREAM]: refuse });
  await assert.rejects(socket.server.newDownstreamCa(CSR, 3600), /name its TCP port in --spire-server/);
});

for (const [code, ours] of [
  [status.INVALID_ARGUMENT, "invalid"],
  [status.RESOURCE_EXHAUSTED, "exhausted"],
  [status.INTERNAL, "unavailable"],
  [status.UNKNOWN, "unavailable"],
  [status.UNIMPLEMENTED, "unavailable"],
] as const)
  test(`what the server ends with ${status[code]} is ${ours}, in its words, and an answer`, async () => {
    const refuse = (): never => {
      throw new Refusal(code, "what\x1b[31m it says");
    };
    await using lab = await onSocket({ [MINT]: refuse });
    await assert.rejects(lab.server.mint(CSR, 3600, never), { code: ours, message: /what\\u\{1b\}\[31m it says/ });
    assert.equal(lab.server.status.connected, true);
  });

test("1,500 calls at once are sent 16 at a time, all answered, none cancelled", async () => {
  await using lab = await onSocket({ [MINT]: () => new Promise((resolve) => setImmediate(() => resolve(minted))) });
  const all = Array.from({ length: 1500 }, () => lab.server.mint(CSR, 3600, never));
  assert.deepEqual([lab.server.status.inFlight, lab.server.status.waiting], [16, 1484]);
  assert.equal((await Promise.all(all)).length, 1500);
  assert.equal(lab.small.inFlightMax, 16);
  assert.equal(lab.small.calls.length, 1500);
  assert.ok(lab.small.calls.every(({ cancelled }) => !cancelled));
  assert.equal(lab.host.metric("spire_server_calls_in_flight"), 0);
});

test("a caller that gives up leaves the line, and one whose call was sent is answered", async () => {
  const opened: (() => void)[] = [];
  await using lab = await onSocket({ [MINT]: () => new Promise((resolve) => opened.push(() => resolve(minted))) });
  const gone = new AbortController();
  const sent = Array.from({ length: 16 }, () => lab.server.mint(CSR, 3600, gone.signal));
  const waiting = lab.server.mint(CSR, 3600, gone.signal);
  await until(() => opened.length === 16);
  gone.abort();
  await assert.rejects(waiting, { code: "unavailable", message: /given up/ });
  for (const open of opened) open();
  assert.equal((await Promise.all(sent)).length, 16);
  assert.equal(lab.small.calls.length, 16);
  assert.ok(lab.small.calls.every(({ cancelled }) => !cancelled));
});

test("a server that is slow has a line of so many and so long, and whoever is not served is told before it is asked", async () => {
  const host = new TestHost();
  await using lab = await onSocket({ [MINT]: () => new Promise(() => {}) }, host);
  const sent = Array.from({ length: 16 }, () => lab.server.mint(CSR, 3600, never).catch(() => {}));
  const waiting = Array.from({ length: 4000 }, () =>
    lab.server.mint(CSR, 3600, never).then(
      () => assert.fail("nobody answers"),
      (error: Error) => error.message,
    ),
  );
  await assert.rejects(lab.server.mint(CSR, 3600, never), { code: "unavailable", message: /too many wait already/ });
  await host.clock.pass(10_000);
  assert.match((await Promise.all(waiting)).at(-1)!, /no turn came within 10000 ms; 16 calls are under way/);
  assert.equal(host.metric("spire_server_calls_total{method=MintX509SVID,result=not_sent}"), 4001);
  await until(() => lab.small.calls.length === 16);
  await host.clock.pass(30_000);
  await Promise.all(sent);
});

test("a call that nobody answers ends after 30 s or a little more, not all in one moment, and the next one is served", async () => {
  const host = new TestHost();
  let hangs = true;
  const answer = (): Promise<Uint8Array> => (hangs ? new Promise(() => {}) : Promise.resolve(minted));
  await using lab = await onSocket({ [MINT]: answer }, host);
  const endedMs: number[] = [];
  const sent = Array.from({ length: 16 }, () =>
    assert
      .rejects(lab.server.mint(CSR, 3600, never), {
        code: "timeout",
        message: /has not answered MintX509SVID for 30 s/,
      })
      .then(() => endedMs.push(host.clock.elapsedMs())),
  );
  await until(() => lab.small.calls.length === 16);
  await host.clock.pass(29_999);
  assert.deepEqual(endedMs, []);
  await host.clock.pass(6_001);
  await Promise.all(sent);
  assert.ok(new Set(endedMs).size > 10, endedMs.join());
  assert.equal(lab.server.status.connected, false);
  hangs = false;
  assert.equal((await lab.server.mint(CSR, 3600, never)).chain.length, 2);
  assert.equal(lab.server.status.connected, true);
});

test("while the server is down calls fail at once and say so, and once it is back they succeed without a restart", async () => {
  await using lab = await onSocket({ [MINT]: () => minted });
  await lab.server.mint(CSR, 3600, never);
  await lab.small[Symbol.asyncDispose]();
  await assert.rejects(lab.server.mint(CSR, 3600, never), { code: "unavailable", message: /SPIRE's server at unix:/ });
  await assert.rejects(async () => {
    for (;;) await lab.server.mint(CSR, 3600, never);
  }, /there is no socket: is it running on this node/);
  assert.equal(lab.server.status.connected, false);
  await using again = await SmallSpire.onSocket(lab.path, { answers: { [MINT]: () => minted } });
  await eventually(() => lab.server.mint(CSR, 3600, never));
  assert.ok(again.calls.length > 0);
  const lines = lab.host.lines.filter((line) => /cannot be asked|answers/.test(line)).map((line) => line.split(" ")[0]);
  assert.deepEqual(lines, ["info", "warn", "info"]);
});

test("what takes connections and ends them fails each call in the same words, so that no log has a line for each", async () => {
  await using folder = await folderOf({});
  const path = folder.at("api.sock");
  const listening = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => listening.listen(path, resolve));
  const server = new GrpcSpireServer(realHost(), { address: { kind: "socket", path }, trustDomain: "example.org" });
  try {
    await assert.rejects(server.bundle(), {
      code: "unavailable",
      message: `SPIRE's server at unix:${path}: whatever listens there ends the connection at once: is SPIRE behind it, and up? (UNAVAILABLE: Failed to connect)`,
    });
  } finally {
    server.close();
    listening.close();
  }
});

test("a server that listens on a new socket is asked, though the old one is still connected, and calls to that end there", async () => {
  let release = (): void => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  await using lab = await onSocket({ [MINT]: () => held.then(() => minted), [BUNDLE]: () => emptyBundle });
  await lab.server.bundle();
  const old = lab.server.mint(CSR, 3600, never);
  await until(() => lab.small.calls.length === 2);
  unlinkSocket(lab.path);
  await using fresh = await SmallSpire.onSocket(lab.path, { answers: { [BUNDLE]: () => emptyBundle } });
  await lab.server.bundle();
  assert.deepEqual(
    fresh.calls.map(({ method }) => method),
    [BUNDLE],
  );
  release();
  assert.equal((await old).chain.length, 2);
  assert.equal(lab.small.calls.length, 2);
});

test("a new SVID of ours is shown by the next call, and no call under way is lost", async () => {
  const opened: (() => void)[] = [];
  await using lab = await overTcp({
    [BUNDLE]: () => emptyBundle,
    [MINT]: () => new Promise((resolve) => opened.push(() => resolve(minted))),
  });
  const before = Array.from({ length: 8 }, () => lab.server.mint(CSR, 3600, never));
  await lab.give("spiffe://example.org/second");
  await lab.server.bundle();
  await until(() => opened.length === 8);
  for (const open of opened) open();
  await Promise.all(before);
  const callers = new Map(lab.small.calls.map(({ method, caller }) => [method, caller]));
  assert.equal(callers.get(MINT), "spiffe://example.org/ns/istio-system/sa/istiod");
  assert.equal(callers.get(BUNDLE), "spiffe://example.org/second");
  assert.ok(lab.small.calls.every(({ cancelled }) => !cancelled));
});

test("a call that is still connecting when our SVID is renewed is not lost", async () => {
  await using lab = await overTcp({ [BUNDLE]: () => emptyBundle, [MINT]: () => minted });
  const { svids, bundles } = lab.said.svids!;
  const second = await svidOf(lab.authority, "spiffe://example.org/second");
  const connecting = lab.server.mint(CSR, 3600, never);
  while (lab.server.status.spiffeId === undefined) await null;
  assert.equal(lab.small.calls.length, 0);
  lab.said.svids = { svids: [second, ...svids], bundles };
  await Promise.all([connecting, lab.server.bundle()]);
  const callers = new Map(lab.small.calls.map(({ method, caller }) => [method, caller]));
  assert.equal(callers.get(MINT), svids[0]!.spiffeId);
  assert.equal(callers.get(BUNDLE), second.spiffeId);
});

test("a connection on which nothing is answered any more is left for another one", async () => {
  const host = new TestHost();
  await using lab = await overTcp({ [BUNDLE]: () => emptyBundle, [MINT]: () => new Promise(() => {}) }, { host });
  const hung = assert.rejects(lab.server.mint(CSR, 3600, never), { code: "timeout" });
  await lab.server.bundle();
  await until(() => lab.small.calls.length === 2);
  await host.clock.pass(36_000);
  await hung;
  await lab.server.bundle();
  const peers = new Set(lab.small.calls.map(({ peer }) => peer));
  assert.equal(peers.size, 2, [...peers].join());
});

test("entries come page by page, with all that is known of each", async () => {
  const pages: Readonly<Record<string, spire.IListEntriesResponse>> = {
    "": { entries: [CART_MESSAGE], nextPageToken: "more" },
    more: { entries: [{ id: "bare" }, { id: "stored", storeSvid: true }] },
  };
  const asked: spire.ListEntriesRequest[] = [];
  await using lab = await onSocket({
    [ENTRIES]: (request) => {
      asked.push(spire.ListEntriesRequest.decode(request));
      return spire.ListEntriesResponse.encode(pages[asked.at(-1)!.pageToken]!).finish();
    },
  });
  const filter = { spiffeId: CART.spiffeId, parentId: CART.parentId, selectors: ["k8s:ns:shop"] };
  const found: (readonly SpireEntry[])[] = [];
  for await (const page of lab.server.entries(filter)) found.push(page);
  assert.deepEqual(found[0], [CART]);
  assert.equal(found[1]![0]!.id, "bare");
  assert.equal(found[1]![0]!.expiresAt, undefined);
  assert.deepEqual(
    found[1]!.map(({ storeSvid }) => storeSvid),
    [undefined, true],
  );
  const { filter: sent } = asked[1]!;
  assert.deepEqual({ ...sent?.bySpiffeId }, idOf("example.org", "/ns/shop/sa/cart"));
  assert.deepEqual({ ...sent?.byParentId }, idOf("example.org", "/spire/agent/k8s_psat/east/1"));
  assert.equal(sent?.bySelectors?.match, spire.SelectorMatch.Behavior.MATCH_SUPERSET);
});

test("a list whose second page fails is no list", async () => {
  await using lab = await onSocket({
    [AGENTS]: (request) => {
      if (spire.ListAgentsRequest.decode(request).pageToken !== "") throw new Refusal(status.INTERNAL, "no more");
      return spire.ListAgentsResponse.encode({ agents: [{}], nextPageToken: "more" }).finish();
    },
  });
  await assert.rejects(lab.server.agents(), { code: "unavailable", message: /no more/ });
});

test("a list that begins anew for ever ends with an error", async () => {
  const page = spire.ListFederatedBundlesResponse.encode({ bundles: [{}], nextPageToken: "again" }).finish();
  await using lab = await onSocket({ [FEDERATED]: () => page });
  await assert.rejects(lab.server.federatedBundles(), { code: "unavailable", message: /does not end/ });
  assert.equal(lab.small.calls.length, 2);
});

test("a list that goes on and on ends with an error after a minute, and with it what waits for the next look", async () => {
  const host = new TestHost();
  let pages = 0;
  const page = (): Uint8Array => {
    host.clock.advance(1_000);
    return spire.ListFederatedBundlesResponse.encode({ bundles: [{}], nextPageToken: String(++pages) }).finish();
  };
  await using lab = await onSocket({ [FEDERATED]: page }, host);
  await assert.rejects(lab.server.federatedBundles(), { code: "unavailable", message: /not ended within 60 s/ });
  assert.equal(pages, 60);
});

test("agents and bundles are read with what counts of them", async () => {
  const agent = {
    id: idOf("example.org", "/spire/agent/k8s_psat/east/1"),
    attestationType: "k8s_psat",
    selectors: [{ type: "k8s_psat", value: "agent_node_name:worker-1" }],
    banned: true,
    x509svidExpiresAt: 1_800_000_000 as never,
  };
  const bundle = {
    trustDomain: "example.org",
    x509Authorities: [{ asn1: Buffer.from("a") }, { asn1: Buffer.from("b"), tainted: true }],
    sequenceNumber: 7 as never,
    refreshHint: 300 as never,
  };
  await using lab = await onSocket({
    [AGENTS]: () => spire.ListAgentsResponse.encode({ agents: [agent] }).finish(),
    [BUNDLE]: () => spire.Bundle.encode(bundle).finish(),
    [FEDERATED]: () => spire.ListFederatedBundlesResponse.encode({ bundles: [{ trustDomain: "far" }] }).finish(),
  });
  assert.deepEqual(await lab.server.agents(), [
    {
      id: "spiffe://example.org/spire/agent/k8s_psat/east/1",
      attestationType: "k8s_psat",
      selectors: ["k8s_psat:agent_node_name:worker-1"],
      banned: true,
      expiresAt: 1_800_000_000_000,
    },
  ]);
  const own = await lab.server.bundle();
  assert.deepEqual([own.authorities.map(String), own.tainted.map(String)], [["a", "b"], ["b"]]);
  assert.deepEqual([own.trustDomain, own.sequence, own.refreshHintSeconds], ["example.org", 7n, 300]);
  assert.deepEqual(
    (await lab.server.federatedBundles()).map(({ trustDomain }) => trustDomain),
    ["far"],
  );
});

test("each entry of a batch has its own end, in the order of the batch", async () => {
  const results = [
    { status: { code: 0 }, entry: CART_MESSAGE },
    { status: { code: 6, message: "similar entry" }, entry: { id: "there" } },
    { status: { code: 3, message: "no selectors" } },
  ];
  const deleted = [{ status: { code: 0 } }, { status: { code: 5, message: "entry not found" } }];
  await using lab = await onSocket({
    [CREATE]: () => spire.BatchCreateEntryResponse.encode({ results }).finish(),
    [UPDATE]: () => spire.BatchUpdateEntryResponse.encode({ results: [results[0]!] }).finish(),
    [DELETE]: () => spire.BatchDeleteEntryResponse.encode({ results: deleted }).finish(),
  });
  const created = await lab.server.createEntries([CART, CART, CART]);
  assert.deepEqual(
    created.map(({ why, message, entry }) => [why, message, entry?.id]),
    [
      ["created", "", "cart"],
      ["conflict", "similar entry", "there"],
      ["refused", "no selectors", undefined],
    ],
  );
  assert.deepEqual(
    (await lab.server.updateEntries([CART])).map(({ why }) => why),
    ["updated"],
  );
  assert.deepEqual(
    (await lab.server.deleteEntries(["a", "b"])).map(({ why }) => why),
    ["deleted", "absent"],
  );
  const sent = spire.BatchCreateEntryRequest.decode(lab.small.calls[0]!.request).entries[0]!;
  assert.deepEqual(spire.Entry.encode(sent).finish(), spire.Entry.encode(CART_MESSAGE).finish());
  const { inputMask } = spire.BatchUpdateEntryRequest.decode(lab.small.calls[1]!.request);
  assert.deepEqual([inputMask?.selectors, inputMask?.storeSvid], [true, false]);
  await assert.rejects(lab.server.updateEntries([CART, CART]), /1 results for 2 entries/);
  await assert.rejects(lab.server.createEntries(Array.from({ length: 501 }, () => CART)), RangeError);
  await assert.rejects(lab.server.createEntries([{ ...CART, selectors: ["k8s"] }]), { code: "invalid" });
});

test("an answer that cannot be read is an error, and takes no turn for ever", async () => {
  await using lab = await onSocket({ [MINT]: () => Buffer.from([0xff]) });
  for (let at = 0; at < 20; at += 1) await assert.rejects(lab.server.mint(CSR, 3600, never), { code: "unavailable" });
  assert.equal(lab.server.status.inFlight, 0);
});

test("once it is closed nothing more is sent, and what was sent is answered", async () => {
  let release = (): void => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  await using lab = await onSocket({ [MINT]: () => held.then(() => minted) });
  const sent = lab.server.mint(CSR, 3600, never);
  await until(() => lab.small.calls.length === 1);
  lab.server.close();
  await assert.rejects(lab.server.mint(CSR, 3600, never), { code: "unavailable", message: /we are ending/ });
  release();
  assert.equal((await sent).chain.length, 2);
});

/** Tries until it succeeds; a test in which it never does ends by its timeout. */
async function eventually<T>(attempt: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await attempt();
    } catch {
      await nextTurn();
    }
  }
}
