import { createServer as createHttpServer, type Server } from "node:http";
import type { Http2SecureServer } from "node:http2";
import { type AddressInfo, connect } from "node:net";
import type { Duplex } from "node:stream";
import { MeshError } from "../../src/errors.ts";
import { SecretService } from "../../src/gateway/secret-service.ts";
import { serveSecrets } from "../../src/gateway/secret-socket.ts";
import { workloadSecret } from "../../src/gateway/secrets.ts";
import { GrpcServer } from "../../src/grpc/server.ts";
import { derive } from "../../src/registry/collection/derive.ts";
import type { ProxyGateway } from "../../src/registry/model/proxy-gateway.ts";
import { proxyKey } from "../../src/registry/model/proxy-service.ts";
import type { ControlPlanePlace } from "../../src/xds/envoy/control-plane-passthrough.ts";
import { GatewayAdmission } from "../../src/xds/envoy/gateway-admission.ts";
import { envoy } from "../../src/xds/envoy/message.ts";
import { type GatewayLogs, type ProxyLogs, proxyLogs } from "../../src/xds/envoy/proxy-logs.ts";
import { LISTENER_TYPE, type Resource } from "../../src/xds/resource.ts";
import { XdsServer } from "../../src/xds/server.ts";
import { decodeDeltaResponse, toResource } from "../../src/xds/wire.ts";
import { folderOf } from "../kits/folder.ts";
import {
  echoServer,
  exchange,
  type IncomingTunnel,
  openTunnel,
  serveTunnels,
  type Svid,
  type Tunnel,
} from "../kits/hbone.ts";
import { realHost } from "../kits/real-host.ts";
import { derOf, TestAuthority } from "../kits/tls.ts";
import { callerOf, EAST } from "../xds/envoy/proxy-lab.ts";
import { proxyWorld } from "../xds/envoy/proxy-world.ts";
import { GATEWAY, gateway, spiffe } from "../xds/envoy/samples.ts";
import { eventually } from "./causeway-process.ts";
import { RealEnvoy } from "./real-envoy.ts";

/** A pod with its ztunnel, on this machine. */
export interface Pod {
  readonly ip: string;
  readonly port: number;
  /** What came, in order. */
  readonly tunnels: IncomingTunnel[];
  /** TLS connections so far. */
  connections: number;
}

export interface Answer {
  readonly status: number;
  /** What the pod saw. */
  readonly saw: { readonly pod: string; readonly headers: Readonly<Record<string, string>> } | undefined;
}

/** One gateway on stock Envoy that a control plane of the tests programs; two trust domains, and a third that is unknown. */
export class PathsLab {
  readonly world: ReturnType<typeof proxyWorld>;
  readonly #servers: Http2SecureServer[] = [];
  readonly #open: AsyncDisposable[] = [];
  readonly #authorities: Readonly<Record<string, TestAuthority>>;
  #envoy: RealEnvoy | undefined;
  #admission: GatewayAdmission | undefined;
  #xds: XdsServer | undefined;
  #logs: ProxyLogs | undefined;

  private constructor(authorities: Readonly<Record<string, TestAuthority>>, controlPlane?: ControlPlanePlace) {
    this.#authorities = authorities;
    this.world = proxyWorld(controlPlane);
  }

  static async open(
    binary: string,
    changes: Partial<ProxyGateway> = {},
    controlPlane?: ControlPlanePlace,
  ): Promise<PathsLab> {
    const domains = ["cluster.local", "west.example", "stranger.example"];
    const made = await Promise.all(
      domains.map(async (name) => [name, await TestAuthority.create(`CN=${name}`)] as const),
    );
    const lab = new PathsLab(Object.fromEntries(made), controlPlane);
    await lab.#start(binary, gateway(changes));
    return lab;
  }

  get envoy(): RealEnvoy {
    return this.#envoy!;
  }

  /** What Envoy is to have. */
  get meant(): GatewayLogs {
    return this.#logs!.of(GATEWAY)!;
  }

  /** True once Envoy has answered all that it is to have. */
  get answered(): boolean {
    const subscriptions = this.#xds!.clients().flatMap((client) => client.subscriptions);
    return subscriptions.every(({ backlog, sentNonce, ackedNonce }) => backlog === 0 && sentNonce === ackedNonce);
  }

  /** What proxies have refused. */
  get rejections(): readonly string[] {
    return this.#admission!.problems().map(({ message }) => message);
  }

  /** @param by whose authority has signed it. */
  async svid(names: readonly string[], by = "cluster.local"): Promise<Svid> {
    const { certificate, key } = await this.#authorities[by]!.issue(names);
    const roots = Object.values(this.#authorities).map(({ root }) => root);
    return { chain: certificate, key, roots: roots.join("\n") };
  }

  /** @param far takes the bytes of a tunnel elsewhere; an application that says what it saw by default. */
  async pod(name: string, ip: string, svid: Svid, far?: (bytes: Duplex) => void): Promise<Pod> {
    const application = far === undefined ? echoServer(name) : bytesServer(far);
    const pod: Pod = { ip, port: 0, tunnels: [], connections: 0 };
    const server = await serveTunnels({ ip, port: 0 }, svid, (tunnel) => {
      pod.tunnels.push(tunnel);
      return application;
    });
    this.#servers.push(server);
    server.on("session", () => (pod.connections += 1));
    server.on("tlsClientError", () => undefined);
    return Object.assign(pod, { port: (server.address() as AddressInfo).port });
  }

  /** Has Envoy take what was written. @param names of listeners, or of clusters, that must be there then. */
  async settle(...names: readonly string[]): Promise<void> {
    this.world.graph.flush();
    await eventually(`Envoy has ${names.join(" and ")}`, 20_000, async () => {
      const [ready, ...lists] = await Promise.all(
        ["/ready", "/listeners", "/clusters"].map((path) => this.envoy.get(path)),
      );
      const state = lists.join("");
      return ready!.startsWith("LIVE") && names.every((name) => state.includes(`${name}::`));
    });
  }

  /** Opens a tunnel as a ztunnel does, with the headers of a CONNECT that are given. */
  async tunnel(as: Svid, authority: string, headers: Readonly<Record<string, string>> = {}): Promise<Tunnel> {
    const at = { ip: "127.0.0.1", port: await this.envoy.portOf("connect_terminate") };
    return openTunnel({ at, expected: [spiffe("waypoint")] }, as, authority, headers);
  }

  /** Calls through such a tunnel. */
  async call(...[as, authority, headers]: Parameters<PathsLab["tunnel"]>): Promise<Answer> {
    const tunnel = await this.tunnel(as, authority, headers);
    try {
      const words = { method: "GET", path: "/", headers: { host: "cart", connection: "keep-alive" } };
      const { status, body } = await exchange(tunnel.stream, words);
      return { status, saw: status === 200 ? (JSON.parse(body) as Answer["saw"]) : undefined };
    } finally {
      tunnel.close();
    }
  }

  async close(): Promise<void> {
    await this.#envoy?.stop();
    for (const opened of this.#open.reverse()) await opened[Symbol.asyncDispose]();
    for (const server of this.#servers) server.close();
  }

  async #start(binary: string, programmed: ProxyGateway): Promise<void> {
    const host = realHost();
    const { world } = this;
    const listeners = derive(world.graph, {
      name: "on-loopback",
      from: world.resources.listeners,
      reads: {},
      to: (resource, _reads, key) => [[key, onLoopback(resource)] as const],
    });
    const logs = (this.#logs = proxyLogs(world.graph, world.gateways, { ...world.resources, listeners }, (changed) =>
      this.#admission!.changed(changed),
    ));
    this.#admission = new GatewayAdmission(host, EAST, logs, () => undefined);
    for (const trustDomain of ["cluster.local", "west.example"])
      world.trust.set(trustDomain, { trustDomain, roots: [derOf(this.#authorities[trustDomain]!.root)] });
    world.gateways.set(GATEWAY, programmed);
    world.graph.flush();
    const port = await this.#serveXds(host);
    const clusters = [await this.#serveSecrets(host)];
    // Else each look at what Envoy works with would wait for what it drains.
    this.#envoy = await RealEnvoy.start({ binary, port, clusters, drainS: 0 });
  }

  async #serveXds(host: ReturnType<typeof realHost>): Promise<number> {
    const page = () => Promise.reject(new MeshError("absent", "none"));
    const debug = { systemNamespace: "istio-system", page };
    const xds = (this.#xds = new XdsServer(host, { logs: new Map(), debug, controlPlane: "{}" }));
    const caller = callerOf("shop", "waypoint");
    const gateways = this.#admission!;
    const admission = { authenticator: { authenticate: () => Promise.resolve(caller) }, whyNot: () => "no", gateways };
    const methods = xds.methods(admission);
    const server = new GrpcServer(host, { name: "xds", methods, certificate: undefined });
    this.#open.push({ [Symbol.asyncDispose]: () => server.close(0) });
    return (await server.listen({ address: "127.0.0.1", port: 0 })).port;
  }

  /** The agent's part. @returns the cluster of the bootstrap that leads there. */
  async #serveSecrets(host: ReturnType<typeof realHost>): Promise<unknown> {
    const folder = await folderOf({});
    const secrets = new SecretService(host);
    const { chain, key } = await this.svid([spiffe("waypoint")]);
    const times = { notBefore: 0, notAfter: Infinity };
    secrets.set(workloadSecret({ spiffeId: "", trustDomain: "cluster.local", chain, key, ...times }));
    const server = await serveSecrets(host, secrets, folder.at("sds"));
    this.#open.push(folder, { [Symbol.asyncDispose]: () => server.close(0) });
    return agentCluster(folder.at("sds"));
  }
}

/** As the listener would be in a pod, but reachable from this machine alone, on a free port. */
export function onLoopback(resource: Resource): Resource {
  const [{ body } = {}] = decodeDeltaResponse(resource.record).resources;
  const listener = envoy.config.listener.v3.Listener.decode(body!);
  if (listener.internalListener != null) return resource;
  const address = { socketAddress: { address: "127.0.0.1", portValue: 0 } };
  const bytes = envoy.config.listener.v3.Listener.encode({ ...listener, address }).finish();
  return toResource(LISTENER_TYPE, resource.name, bytes);
}

/** An HTTP server in name only: what comes to it are bytes. */
function bytesServer(far: (bytes: Duplex) => void): Server {
  const server = createHttpServer().removeAllListeners("connection");
  return server.on("connection", far);
}

/** Takes bytes to a port of this machine, and back. */
export const pipedTo = (pod: Pod) => (bytes: Duplex) => {
  const socket = connect(pod.port, pod.ip);
  socket.on("error", () => bytes.destroy());
  bytes.on("error", () => socket.destroy());
  bytes.pipe(socket).pipe(bytes);
};

export const at = (name: string): string => proxyKey(GATEWAY, name);

export const agentCluster = (path: string): unknown => ({
  name: "agent",
  type: "STATIC",
  connect_timeout: "5s",
  typed_extension_protocol_options: {
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
      "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
      explicit_http_config: { http2_protocol_options: {} },
    },
  },
  load_assignment: {
    cluster_name: "agent",
    endpoints: [{ lb_endpoints: [{ endpoint: { address: { pipe: { path } } } }] }],
  },
});
