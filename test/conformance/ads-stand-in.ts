import { envoy as own } from "../../proto/gen/envoy.js";
import type { MessageChannel, MessageReceiver } from "../../src/grpc/method.ts";
import { GrpcServer } from "../../src/grpc/server.ts";
import { DeltaSession } from "../../src/xds/delta-session.ts";
import { anyOf } from "../../src/xds/envoy/message.ts";
import { CLUSTER_TYPE, LISTENER_TYPE, type TypeUrl } from "../../src/xds/resource.ts";
import { ResourceLog } from "../../src/xds/resource-log.ts";
import { decodeDeltaRequest, encodeDeltaResponse, toResource } from "../../src/xds/wire.ts";
import { realHost } from "../kits/real-host.ts";
import type { TestAuthority } from "../kits/tls.ts";

const tls = own.extensions.transport_sockets.tls.v3;
const { HttpConnectionManager } = own.extensions.filters.network.http_connection_manager.v3;
const { TcpProxy } = own.extensions.filters.network.tcp_proxy.v3;
const { Router } = own.extensions.filters.http.router.v3;
const { ApiType } = own.config.core.v3.ApiConfigSource;
const LIMITS = { responseBytesMax: 1024 * 1024, subscribedNamesMax: 100 };

type Listener = own.config.listener.v3.IListener;

export interface StandInPorts {
  /** Of listener connect_terminate, which answers each request with `hello`. */
  readonly hbone: number;
  /** Of a listener that passes bytes to `echo`. */
  readonly tcp: number;
  readonly echo: number;
}

/** The discovery half of a control plane: two listeners for whoever shows a certificate. */
export class AdsStandIn {
  readonly #host = realHost();
  readonly #logs = new Map<TypeUrl, ResourceLog>([
    [LISTENER_TYPE, new ResourceLog()],
    [CLUSTER_TYPE, new ResourceLog()],
  ]);
  readonly #serving = new Set<() => void>();
  readonly #server: GrpcServer;
  /** Ids of the nodes that have asked, and how many certificates of each stream's chain led to our root. */
  readonly seen: { readonly node: string; readonly chain: number }[] = [];
  port = 0;

  private constructor(certificate: { readonly chain: string; readonly key: string; readonly clientRoots: string }) {
    const path = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
    const open = (channel: MessageChannel) => Promise.resolve(this.#open(channel));
    const method = { kind: "stream", path, requestBytesMax: 1024 * 1024, open } as const;
    this.#server = new GrpcServer(this.#host, { name: "ads", methods: [method], certificate });
  }

  /** @param clientRoots in PEM. */
  static async start(authority: TestAuthority, clientRoots: string): Promise<AdsStandIn> {
    const { certificate, key } = await authority.issue();
    const standIn = new AdsStandIn({ chain: certificate, key, clientRoots });
    standIn.port = (await standIn.#server.listen({ address: "127.0.0.1", port: 0 })).port;
    return standIn;
  }

  /** From now on Envoys have these listeners; none before. */
  give({ hbone, tcp, echo }: StandInPorts, callerRoots: string): void {
    // Envoy reads its certificate in either form of SDS.
    const hello = listener("connect_terminate", hbone, helloFilter(), callerRoots, ApiType.DELTA_GRPC);
    const bytes = listener("tcp", tcp, echoFilter(), callerRoots, ApiType.GRPC);
    const put = (type: TypeUrl, name: string, body: Uint8Array): void =>
      this.#logs.get(type)!.append([{ name, after: toResource(type, name, body) }]);
    put(CLUSTER_TYPE, "echo", own.config.cluster.v3.Cluster.encode(echoCluster(echo)).finish());
    for (const one of [hello, bytes])
      put(LISTENER_TYPE, one.name!, own.config.listener.v3.Listener.encode(one).finish());
    for (const serve of this.#serving) serve();
  }

  async stop(): Promise<void> {
    await this.#server.close(0);
  }

  #open(channel: MessageChannel): MessageReceiver {
    channel.sendHeaders();
    const sessions = new Map<TypeUrl, DeltaSession>();
    let nonce = 0;
    const nextNonce = (): string => `${(nonce += 1)}`;
    const serve = (): void => {
      for (const session of sessions.values()) {
        const response = session.poll();
        if (response !== undefined) channel.send(encodeDeltaResponse(response, "stand-in"));
      }
    };
    this.#serving.add(serve);
    return {
      message: (bytes) => {
        const request = decodeDeltaRequest(bytes);
        const { typeUrl, node } = request;
        if (node !== undefined) this.seen.push({ node: node.id, chain: channel.credentials.certificateChain.length });
        let session = sessions.get(typeUrl);
        if (session === undefined) {
          const log = this.#logs.get(typeUrl) ?? new ResourceLog();
          session = new DeltaSession(log, this.#host.clock, { typeUrl, nodeName: "", limits: LIMITS, nextNonce });
          sessions.set(typeUrl, session);
        }
        session.receive(request);
        serve();
      },
      writable: () => {},
      closed: () => {
        this.#serving.delete(serve);
        for (const session of sessions.values()) session.close();
      },
    };
  }
}

const at = (port: number) => ({ socketAddress: { address: "127.0.0.1", portValue: port } });

function listener(
  name: string,
  port: number,
  filter: own.config.listener.v3.IFilter,
  callerRoots: string,
  apiType: own.config.core.v3.ApiConfigSource.ApiType,
): Listener {
  const sdsConfig = {
    apiConfigSource: {
      apiType,
      transportApiVersion: own.config.core.v3.ApiVersion.V3,
      grpcServices: [{ envoyGrpc: { clusterName: "agent" } }],
    },
    resourceApiVersion: own.config.core.v3.ApiVersion.V3,
  };
  const context = {
    requireClientCertificate: { value: true },
    commonTlsContext: {
      alpnProtocols: ["h2"],
      tlsCertificateSdsSecretConfigs: [{ name: "workload", sdsConfig }],
      validationContext: { trustedCa: { inlineBytes: Buffer.from(callerRoots) } },
    },
  };
  const transportSocket = { name: "tls", typedConfig: anyOf(tls.DownstreamTlsContext, context) };
  return { name, address: at(port), filterChains: [{ transportSocket, filters: [filter] }] };
}

const helloFilter = (): own.config.listener.v3.IFilter => ({
  name: "http",
  typedConfig: anyOf(HttpConnectionManager, {
    statPrefix: "connect_terminate",
    routeConfig: {
      virtualHosts: [
        {
          name: "all",
          domains: ["*"],
          routes: [{ match: { prefix: "/" }, directResponse: { status: 200, body: { inlineString: "hello" } } }],
        },
      ],
    },
    httpFilters: [{ name: "router", typedConfig: anyOf(Router, {}) }],
  }),
});

const echoFilter = (): own.config.listener.v3.IFilter => ({
  name: "tcp",
  typedConfig: anyOf(TcpProxy, { statPrefix: "tcp", cluster: "echo" }),
});

const echoCluster = (port: number): own.config.cluster.v3.ICluster => ({
  name: "echo",
  type: own.config.cluster.v3.Cluster.DiscoveryType.STATIC,
  connectTimeout: { seconds: 1 },
  loadAssignment: { clusterName: "echo", endpoints: [{ lbEndpoints: [{ endpoint: { address: at(port) } }] }] },
});
