import assert from "node:assert/strict";
import { afterEach, before, test } from "mocha";
import { readCertificate } from "../../src/ca/certificate-fields.ts";
import { TrustBundles } from "../../src/ca/trust-bundles.ts";
import { MeshError } from "../../src/errors.ts";
import type { MessageChannel, StreamMethod } from "../../src/grpc/method.ts";
import { GrpcServer } from "../../src/grpc/server.ts";
import type { Clock } from "../../src/host.ts";
import { clusterId, networkId } from "../../src/names.ts";
import { type ClientMaterial, GrpcLinks, type GrpcLinksOptions } from "../../src/peering/dial.ts";
import type { PeerTarget } from "../../src/peering/peer.ts";
import type { LinkFailure, LinkStream } from "../../src/peering/transport.ts";
import type { DeltaUpdate } from "../../src/xds/delta-client.ts";
import { type DeltaRequest, FSDS_TYPE, SGDS_TYPE } from "../../src/xds/resource.ts";
import { decodeDeltaRequest, encodeDeltaResponse } from "../../src/xds/wire.ts";
import { snapshotEnd } from "../../src/xds/types/snapshot-end.ts";
import { TcpProxy } from "../conformance/tcp-proxy.ts";
import { realHost } from "../kits/real-host.ts";
import { derOf, type Pair, TestAuthority } from "../kits/tls.ts";
import { until } from "../kits/until.ts";

const PATH = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
const ID = (trustDomain: string, account = "istiod") => `spiffe://${trustDomain}/ns/istio-system/sa/${account}`;

let root: TestAuthority;
let stranger: TestAuthority;
let own: Pair;
before(async () => {
  [root, stranger] = await Promise.all([TestAuthority.create("CN=root"), TestAuthority.create("CN=stranger")]);
  own = await root.issue([ID("east.local")]);
});

const NO_LIST = { der: Buffer.alloc(0), issuerName: "", thisUpdate: 0, nextUpdate: undefined, number: undefined };

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** A peer that shows `pair`, and what it was asked. */
async function peer(pair: Pair, open?: (channel: MessageChannel) => void) {
  const requests: DeltaRequest[] = [];
  const channels: MessageChannel[] = [];
  const told = { requests, channels, closed: 0 };
  const method: StreamMethod = {
    kind: "stream",
    path: PATH,
    requestBytesMax: 1 << 20,
    open: (channel) => {
      open?.(channel);
      channels.push(channel);
      channel.sendHeaders();
      return Promise.resolve({
        message: (bytes) => void requests.push(decodeDeltaRequest(bytes)),
        writable: () => {},
        closed: () => void (told.closed += 1),
      });
    },
  };
  const certificate = { chain: pair.certificate, key: pair.key, clientRoots: root.root };
  const server = new GrpcServer(realHost(), { name: "peer", methods: [method], certificate });
  const { port } = await server.listen({ address: "127.0.0.1", port: 0 });
  cleanups.push(() => server.close(0));
  return Object.assign(told, { port, server });
}

const targetAt = (xdsPort: number, more: Partial<PeerTarget> = {}): PeerTarget => ({
  ...{ cluster: clusterId("west"), gateway: "istio-eastwest/west", network: networkId("west-net"), hosts: [] },
  ...{ trustDomain: "west.local", xdsPort, hbonePort: undefined, preferred: undefined },
  ...more,
});

/** Our end. West's trust domain is believed under our root. */
class Dialler {
  readonly trust = new TrustBundles("east.local");
  readonly updates: DeltaUpdate[] = [];
  readonly links: GrpcLinks;
  material: ClientMaterial | undefined = { chain: own.certificate, key: own.key };
  connected = false;
  failure: LinkFailure | undefined;

  constructor(more: Partial<GrpcLinksOptions> = {}) {
    this.trust.setOwn([derOf(root.root)]);
    this.trust.offer("peer/west", [{ trustDomain: "west.local", roots: "own" }]);
    this.links = new GrpcLinks(realHost(), {
      ...{ trust: this.trust, cluster: clusterId("east"), systemNamespace: "istio-system", dnsNameSuffices: false },
      ...{ material: () => this.material, accounts: new Set(["istio-system/istiod"]) },
      ...more,
    });
  }

  dial(target: PeerTarget): LinkStream {
    const stream = this.links.open(target, "127.0.0.1", {
      connected: () => (this.connected = true),
      received: (update) => void this.updates.push(update),
      ended: (failure) => (this.failure = failure),
    });
    cleanups.push(() => stream.close());
    return stream;
  }

  async failed(target: PeerTarget): Promise<LinkFailure> {
    this.dial(target);
    await until(() => this.failure !== undefined);
    assert.equal(this.connected, false);
    return this.failure!;
  }
}

const request: DeltaRequest = {
  ...{ typeUrl: FSDS_TYPE, node: { id: "istiod~1.1.1.1~a.b~c", metadata: new Map() }, subscribe: [], unsubscribe: [] },
  ...{ initialVersions: new Map([["west/bank/payments", "v1"]]), nonce: "", rejection: undefined },
};

test("a peer that proves what its Gateway says is asked, and heard", async () => {
  const west = await peer(await root.issue([ID("west.local")]));
  const east = new Dialler();
  const stream = east.dial(targetAt(west.port));
  stream.send(request);
  await until(() => west.requests.length === 1 && east.connected);
  assert.deepEqual(west.requests[0]!.initialVersions, request.initialVersions);
  assert.equal(west.channels[0]!.credentials.certificateChain.length > 0, true, "we show who we are");
  const end = snapshotEnd("7", 0);
  const response = {
    typeUrl: SGDS_TYPE,
    nonce: "n",
    records: [end.record],
    recordsBytes: 0,
    resources: 1,
    removed: [],
  };
  west.channels[0]!.send([Buffer.concat(encodeDeltaResponse(response, "west"))]);
  await until(() => east.updates.length === 1);
  assert.equal(east.updates[0]!.resources[0]!.name, "__synced__/7");
  stream.close();
  await until(() => west.closed === 1);
  assert.equal(east.failure, undefined, "who hangs up is told nothing");
});

test("a message that no peer would send, by its size or by what it is made of, ends the stream before it is read", async () => {
  const bombs: readonly (readonly [Buffer, RegExp])[] = [
    [Buffer.alloc(9 * 1024 * 1024, "\x0a\x00"), /sent more at once than our peers do/],
    // Resources and removed names of two bytes each.
    [Buffer.alloc(4 * 1024 * 1024, "\x12\x00\x32\x00"), /it has 2097152 entries; 500000 is the most/],
  ];
  for (const [bytes, why] of bombs) {
    const west = await peer(await root.issue([ID("west.local")]));
    const east = new Dialler();
    east.dial(targetAt(west.port)).send(request);
    await until(() => west.requests.length === 1);
    west.channels[0]!.send([bytes]);
    await until(() => east.failure !== undefined);
    assert.equal(east.failure!.reason, "VersionSkew");
    assert.match(east.failure!.message, why);
    assert.deepEqual(east.updates, []);
  }
});

test("a peer under another root is an unknown certificate authority, in words that operators look for", async () => {
  const west = await peer(await stranger.issue([ID("west.local")]));
  const { reason, message } = await new Dialler().failed(targetAt(west.port));
  assert.equal(reason, "TLSUnknownAuthority");
  assert.match(
    message,
    /^127\.0\.0\.1 port \d+: unknown certificate authority \(.*have the authorities of both .*under one root/,
  );
});

test("a root that is believed for another trust domain does not vouch for the peer's", async () => {
  const west = await peer(await stranger.issue([ID("west.local")]));
  const east = new Dialler();
  east.trust.offer("mesh-config", [{ trustDomain: "other.local", roots: [derOf(stranger.root)] }]);
  const { reason, message } = await east.failed(targetAt(west.port));
  assert.equal(reason, "TrustDomainUnknown");
  assert.match(
    message,
    /its root vouches for trust domain other\.local only; annotation .* to west, or our own, is west\.local/,
  );
});

test("who is not the control plane of the peer's trust domain is not asked, with both names", async () => {
  for (const identity of [ID("west.local", "ztunnel"), ID("east.local")]) {
    const west = await peer(await root.issue([identity]));
    const { reason, message } = await new Dialler().failed(targetAt(west.port));
    assert.equal(reason, "IdentityMismatch");
    assert.ok(message.includes(`is ${identity}, and west must be ${ID("west.local")}`), message);
    assert.deepEqual(west.requests, []);
  }
});

test("a certificate that names no identity counts only where that is allowed, and only for the name of istiod", async () => {
  const istiod = await peer(await root.issue([], 3_600_000, "02", "istiod.istio-system.svc"));
  const { reason, message } = await new Dialler().failed(targetAt(istiod.port));
  assert.deepEqual([reason, /has not exactly one URI name/.test(message)], ["TLSBadCertificate", true]);
  const lenient = new Dialler({ dnsNameSuffices: true });
  lenient.dial(targetAt(istiod.port)).send(request);
  await until(() => lenient.connected);
  const other = await peer(await root.issue());
  assert.equal((await new Dialler({ dnsNameSuffices: true }).failed(targetAt(other.port))).reason, "TLSBadCertificate");
  const wrong = await peer(await root.issue([ID("west.local", "ztunnel")]));
  assert.equal((await new Dialler({ dnsNameSuffices: true }).failed(targetAt(wrong.port))).reason, "IdentityMismatch");
});

test("a trust domain that nobody vouches for is said before anybody is called", async () => {
  const { reason, message } = await new Dialler().failed(targetAt(1, { trustDomain: "north.local" }));
  assert.equal(reason, "TrustDomainUnknown");
  assert.match(message, /no root is trusted for trust domain north\.local of west; name one in caCertificates/);
});

test("a port where nothing listens, and one that does not speak TLS, are told apart", async () => {
  const gone = await peer(own);
  await gone.server.close(0);
  const refused = await new Dialler().failed(targetAt(gone.port));
  assert.equal(refused.reason, "ConnectionRefused");
  assert.match(refused.message, /check spec\.addresses and the TLS listener's port of the Gateway/);
  const plain = new GrpcServer(realHost(), { name: "plain", methods: [], certificate: undefined });
  const { port } = await plain.listen({ address: "127.0.0.1", port: 0 });
  cleanups.push(() => plain.close(0));
  assert.equal((await new Dialler().failed(targetAt(port))).reason, "TLSBadCertificate");
});

test("a peer that refuses us is quoted, and what it says in one word counts", async () => {
  for (const [detail, reason] of [
    [{}, "PermissionDenied"],
    [{ reason: "NotListed" }, "PermissionDenied"],
    [{ reason: "OwnCluster" }, "IdentityMismatch"],
    [{ reason: "TrustDomainMismatch" }, "TrustDomainUnknown"],
  ] as const) {
    const west = await peer(await root.issue([ID("west.local")]), () => {
      throw new MeshError("denied", "no PeerGrant names east", detail);
    });
    const failure = await new Dialler().failed(targetAt(west.port));
    assert.equal(failure.reason, reason);
    assert.match(failure.message, /port \d+ refuses us: no PeerGrant names east/);
  }
});

test("a stream ends once the roots that let its peer in are gone", async () => {
  const west = await peer(await root.issue([ID("west.local")]));
  const east = new Dialler();
  east.dial(targetAt(west.port)).send(request);
  await until(() => east.connected);
  east.trust.offer("peer/west", []);
  east.links.recheck();
  assert.equal(east.failure?.reason, "TrustDomainUnknown");
});

test("a stream ends once the certificate of its peer is revoked, and no other does", async () => {
  const [west, north] = [
    await peer(await root.issue([ID("west.local")], 3_600_000, "0b")),
    await peer(await root.issue([ID("west.local")], 3_600_000, "0c")),
  ];
  const [east, other] = [new Dialler(), new Dialler()];
  east.dial(targetAt(west.port)).send(request);
  other.dial(targetAt(north.port)).send(request);
  await until(() => east.connected && other.connected);
  const issuer = readCertificate(derOf(root.root)).subject;
  for (const dialler of [east, other]) {
    dialler.trust.setOwn([derOf(root.root)], [{ ...NO_LIST, issuer, revoked: new Set(["0b"]) }]);
    dialler.links.recheck();
  }
  assert.match(east.failure?.message ?? "", /with serial number 0b is revoked/);
  assert.equal(other.failure, undefined);
});

test("a peer that falls silent, as frozen or behind a black hole, is found out by pings (fault 11)", async () => {
  const west = await peer(await root.issue([ID("west.local")]));
  const wire = await TcpProxy.start(west.port);
  cleanups.push(() => wire.close());
  const east = new Dialler({ keepalive: { pingMs: 100, pongMs: 100 } });
  east.dial(targetAt(wire.port)).send(request);
  await until(() => east.connected && west.requests.length === 1);
  wire.swallow();
  await until(() => east.failure?.reason === "Disconnected");
});

test("each stream shows the certificate of its day", async () => {
  const west = await peer(await root.issue([ID("west.local")]));
  const east = new Dialler();
  east.dial(targetAt(west.port)).send(request);
  await until(() => west.requests.length === 1);
  const renewed = await root.issue([ID("east.local")]);
  east.material = { chain: renewed.certificate, key: renewed.key };
  east.dial(targetAt(west.port)).send(request);
  await until(() => west.requests.length === 2);
  const shown = west.channels.map(({ credentials }) => Buffer.from(credentials.certificateChain[0]!));
  assert.deepEqual(shown, [derOf(own.certificate), derOf(renewed.certificate)]);
});

test("a stream that is given up during its handshake leaves nothing behind", async () => {
  const west = await peer(await root.issue([ID("west.local")]));
  const wire = await TcpProxy.start(west.port);
  cleanups.push(() => wire.close());
  const host = realHost();
  let waiting = 0;
  const after: Clock["after"] = (delayMs, task) => {
    waiting += 1;
    const timer = host.clock.after(delayMs, task);
    return { [Symbol.dispose]: () => ((waiting -= 1), timer[Symbol.dispose]()) };
  };
  const clock: Clock = { now: () => host.clock.now(), elapsedMs: () => host.clock.elapsedMs(), after };
  const { trust } = new Dialler();
  let checks = 0;
  const links = new GrpcLinks(
    { ...host, clock },
    {
      ...{ cluster: clusterId("east"), systemNamespace: "istio-system", dnsNameSuffices: false },
      ...{ material: () => ({ chain: own.certificate, key: own.key }), accounts: new Set(["istio-system/istiod"]) },
      trust: {
        rootsOf: (domain) => trust.rootsOf(domain),
        pooledRoots: trust.pooledRoots,
        verify: (...asked) => ((checks += 1), trust.verify(...asked)),
      },
    },
  );
  const nobody = { connected: () => {}, received: () => {}, ended: () => {} };
  const opened = links.open(targetAt(wire.port), "127.0.0.1", nobody);
  opened.send(request);
  await until(() => wire.accepted > 0);
  opened.close();
  await until(() => wire.open === 0);
  assert.deepEqual([waiting, checks], [0, 0]);
});

test("without a certificate of our own nobody is called", async () => {
  const east = new Dialler();
  east.material = undefined;
  assert.match((await east.failed(targetAt(1))).message, /we have no certificate to show yet/);
});
