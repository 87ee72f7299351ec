import { envoyBinary } from "../test/conformance/envoy-binary.ts";
import { agentCluster } from "../test/conformance/paths-lab.ts";
import { RealEnvoy } from "../test/conformance/real-envoy.ts";
import { folderOf } from "../test/kits/folder.ts";
import { TestAuthority } from "../test/kits/tls.ts";
import { proxyNode } from "../test/xds/envoy/proxy-lab.ts";
import { SecretService } from "../src/gateway/secret-service.ts";
import { serveSecrets } from "../src/gateway/secret-socket.ts";
import { workloadSecret } from "../src/gateway/secrets.ts";
import { ClientStream } from "../src/xds/client-stream.ts";
import { envoy } from "../src/xds/envoy/message.ts";
import { encodeDeltaResponse, resourceBody } from "../src/xds/wire.ts";
import {
  CLUSTER_TYPE,
  ENDPOINT_TYPE,
  LISTENER_TYPE,
  ONLY_BY_NAME,
  PROXY_TYPES,
  ROUTE_TYPE,
  type TypeUrl,
} from "../src/xds/resource.ts";
import { type Bench, cost, median, middle, type Report, timed } from "./bench.ts";
import { LargeGateway, ROUTES } from "./gateway/large-gateway.ts";
import { quietHost } from "./quiet-host.ts";

const CHANGES = 30;

/** A waypoint of 1,000 services with 5,000 routes: from objects to what Envoy takes. */
async function run(report: Report): Promise<void> {
  const authority = await TestAuthority.create();
  const gateway = new LargeGateway(quietHost(), authority.root);
  const buildMs = timed(() => gateway.build());
  const { bytes } = push(gateway);
  const pushMs = median(5, () => push(gateway).ms);
  const copyMs = median(5, () => copied(gateway));
  const encodeMs = median(5, () => encodedAgain(gateway));
  report(cost("gateway.build-1000-services-5000-routes", buildMs, "ms", encodeMs));
  report(cost("gateway.push-to-one-more-proxy", pushMs, "ms", copyMs));
  report(cost("gateway.bytes-of-a-push", bytes, "B", bytesOf(gateway)));
  gateway.changeRoute(0, 1);
  report(cost("gateway.encoded-for-one-route-change", gateway.encoded, "resources", 1));
  await throughEnvoy(report, gateway, authority);
}

const bytesOf = ({ logs }: LargeGateway): number => [...logs.values()].reduce((sum, log) => sum + log.bytes, 0);

function copied({ logs }: LargeGateway): number {
  const records = [...logs.values()].flatMap((log) => Array.from(log.names(), (name) => log.get(name)!.record));
  return timed(() => Buffer.concat(records));
}

/** The messages encoded once more, as they come from the codec: the least that they cost. */
function encodedAgain({ logs }: LargeGateway): number {
  const messages = [...CODECS].flatMap(([typeUrl, codec]) => {
    const log = logs.get(typeUrl)!;
    return Array.from(log.names(), (name) => {
      const message = codec.decode(resourceBody(log.get(name)!));
      return () => codec.encode(message as never).finish();
    });
  });
  return timed(() => messages.forEach((encode) => encode()));
}

interface Codec {
  decode(bytes: Uint8Array): unknown;
  encode(message: never): { finish(): Uint8Array };
}

const CODECS: ReadonlyMap<TypeUrl, Codec> = new Map<TypeUrl, Codec>([
  [CLUSTER_TYPE, envoy.config.cluster.v3.Cluster],
  [ENDPOINT_TYPE, envoy.config.endpoint.v3.ClusterLoadAssignment],
  [LISTENER_TYPE, envoy.config.listener.v3.Listener],
  [ROUTE_TYPE, envoy.config.route.v3.RouteConfiguration],
]);

/** All types to a proxy that asks for all and answers at once, without sockets. */
function push({ logs }: LargeGateway): { readonly ms: number; readonly bytes: number } {
  const clock = { now: () => 0, elapsedMs: () => 0, after: () => ({ [Symbol.dispose]: () => {} }) };
  const stream = new ClientStream(logs, clock, { id: "c", onWake: () => {}, onExpired: () => {} });
  let bytes = 0;
  const none = { unsubscribe: [], initialVersions: new Map(), nonce: "", rejection: undefined };
  const node = { id: proxyNode().id, metadata: new Map<string, string>() };
  const namesOf = (typeUrl: TypeUrl) => (ONLY_BY_NAME.has(typeUrl) ? [...logs.get(typeUrl)!.names()] : []);
  const ms = timed(() => {
    stream.serveProxy(logs);
    for (const typeUrl of PROXY_TYPES) stream.receive({ ...none, typeUrl, node, subscribe: namesOf(typeUrl) });
    for (let sent = stream.poll(); sent !== undefined; sent = stream.poll()) {
      for (const part of encodeDeltaResponse(sent, "{}")) bytes += part.length;
      stream.receive({ ...none, typeUrl: sent.typeUrl, node: undefined, subscribe: [], nonce: sent.nonce });
    }
  });
  stream.close();
  return { ms, bytes };
}

async function throughEnvoy(report: Report, gateway: LargeGateway, authority: TestAuthority): Promise<void> {
  const binary = await envoyBinary();
  if (typeof binary === "object") return console.error(`gateway: not measured to Envoy's answer; no ${binary.missing}`);
  const empty = new LargeGateway(quietHost(), authority.root);
  empty.build(1, 1);
  const agent = await Agent.start(authority);
  try {
    const first = await fresh(empty, binary, agent);
    await first.stop();
    const { wholeMs, stop } = await fresh(gateway, binary, agent);
    report(cost("gateway.whole-to-a-fresh-envoy", wholeMs, "ms", first.wholeMs));
    const ours: number[] = [];
    const bare: number[] = [];
    for (let at = 1; at <= CHANGES; at++) {
      ours.push(await changed(gateway, () => gateway.changeRoute((at * 7) % ROUTES, at + 1)));
      bare.push(await changed(gateway, () => again(gateway, at)));
    }
    report(cost("gateway.route-change-to-envoys-ack", middle(ours), "ms", middle(bare)));
    await stop();
  } finally {
    await agent.stop();
  }
}

/** What is beside each Envoy: it has the certificate. */
class Agent {
  private constructor(
    readonly cluster: unknown,
    readonly stop: () => Promise<void>,
  ) {}

  static async start(authority: TestAuthority): Promise<Agent> {
    const folder = await folderOf({});
    const secrets = new SecretService(quietHost());
    const { certificate: chain, key } = await authority.issue(["spiffe://cluster.local/ns/shop/sa/w"]);
    const times = { notBefore: 0, notAfter: Infinity };
    secrets.set(workloadSecret({ spiffeId: "", trustDomain: "cluster.local", chain, key, ...times }));
    const server = await serveSecrets(quietHost(), secrets, folder.at("sds"));
    return new Agent(agentCluster(folder.at("sds")), async () => {
      await server.close(0);
      await folder[Symbol.asyncDispose]();
    });
  }
}

/** From the start of an Envoy until it has answered all that its gateway is. */
async function fresh(gateway: LargeGateway, binary: string, agent: Agent) {
  const { server, port } = await gateway.listen();
  const start = performance.now();
  const running = await RealEnvoy.start({ binary, port, clusters: [agent.cluster], gateway: "w" });
  await settled(gateway, () => gateway.xds.clients()[0]?.subscriptions.length === PROXY_TYPES.length);
  const wholeMs = performance.now() - start;
  const stop = async (): Promise<void> => {
    await running.stop();
    await server.close(0);
  };
  return { wholeMs, stop };
}

/** The same routes in other bytes, straight to the log: what Envoy and the socket take for themselves. */
function again({ logs, admission, key }: LargeGateway, at: number): void {
  const log = logs.get(ROUTE_TYPE)!;
  const name = [...log.names()][at]!;
  const { version, record } = log.get(name)!;
  log.append([{ name, after: { name, version: `${version.slice(0, 12)}${at}`.slice(0, 16), record } }]);
  admission.changed(new Set([key]));
}

async function changed(gateway: LargeGateway, change: () => void): Promise<number> {
  const pushed = (): string =>
    gateway.xds
      .clients()[0]!
      .subscriptions.map(({ sentNonce }) => sentNonce)
      .join();
  const before = pushed();
  const start = performance.now();
  change();
  await settled(gateway, () => pushed() !== before);
  return performance.now() - start;
}

async function settled(gateway: LargeGateway, begun: () => boolean): Promise<void> {
  const end = performance.now() + 60_000;
  while (!begun() || !gateway.answered) {
    if (performance.now() > end) throw new Error("Envoy has not taken all within a minute");
    await new Promise((resolve) => setImmediate(resolve));
  }
}

export const bench: Bench = { name: "gateway", run };
