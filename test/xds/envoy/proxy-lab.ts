import type { Caller, Credentials } from "../../../src/caller.ts";
import { MeshError } from "../../../src/errors.ts";
import type { StreamMethod } from "../../../src/grpc/method.ts";
import type { Host } from "../../../src/host.ts";
import { clusterId, networkId, type ObjectKey, objectKey } from "../../../src/names.ts";
import { Graph } from "../../../src/registry/collection/graph.ts";
import { Source } from "../../../src/registry/collection/source.ts";
import type { ProxyGateway } from "../../../src/registry/model/proxy-gateway.ts";
import { proxyKey } from "../../../src/registry/model/proxy-service.ts";
import { GatewayAdmission } from "../../../src/xds/envoy/gateway-admission.ts";
import { type ProxyLogs, proxyLogs } from "../../../src/xds/envoy/proxy-logs.ts";
import {
  CLUSTER_TYPE,
  ENDPOINT_TYPE,
  LISTENER_TYPE,
  type Resource,
  ROUTE_TYPE,
  SECRET_TYPE,
  type TypeUrl,
} from "../../../src/xds/resource.ts";
import { XdsServer } from "../../../src/xds/server.ts";
import { toResource } from "../../../src/xds/wire.ts";
import { TestHost } from "../../kits/test-host.ts";
import { FakeChannel } from "../fake-channel.ts";

export const EAST = clusterId("east");
export const WAYPOINT = objectKey(EAST, "shop", "waypoint");

export const proxyGateway = (more: Partial<ProxyGateway> = {}): ProxyGateway => ({
  key: WAYPOINT,
  cluster: EAST,
  namespace: "shop",
  name: "waypoint",
  kind: "waypoint",
  serviceAccount: "waypoint",
  trustDomain: "cluster.local",
  network: networkId(""),
  locality: undefined,
  hbonePort: 15008,
  controlPlanePort: undefined,
  ...more,
});

export const callerOf = (namespace: string, serviceAccount: string, cluster = EAST): Caller => ({
  identity: { trustDomain: "cluster.local", namespace, serviceAccount },
  cluster,
  via: "token",
  pod: undefined,
  expiresAt: Infinity,
});

const credentials: Credentials = {
  authorization: "Bearer token",
  clusterId: "east",
  certificateChain: [],
  remoteAddress: "10.0.0.9:4000",
};

const WORDS: Readonly<Record<string, TypeUrl>> = {
  CDS: CLUSTER_TYPE,
  EDS: ENDPOINT_TYPE,
  SDS: SECRET_TYPE,
  LDS: LISTENER_TYPE,
  RDS: ROUTE_TYPE,
};
export type TypeWord = "CDS" | "EDS" | "SDS" | "LDS" | "RDS";
export const typeOf = (word: TypeWord): TypeUrl => WORDS[word]!;
export const wordOf = (typeUrl: string): TypeWord =>
  Object.keys(WORDS).find((word) => WORDS[word] === typeUrl) as TypeWord;

/** A server of proxies whose resources are made up. */
export class MadeUpGateways {
  readonly host: Host;
  readonly graph = new Graph();
  readonly gateways = new Source<ObjectKey, ProxyGateway>(this.graph, "gateways");
  readonly resources = {
    listeners: new Source<string, Resource>(this.graph, "listeners"),
    clusters: new Source<string, Resource>(this.graph, "clusters"),
    routes: new Source<string, Resource>(this.graph, "routes"),
    endpoints: new Source<string, Resource>(this.graph, "endpoints"),
    secrets: new Source<string, Resource>(this.graph, "secrets"),
  };
  readonly logs: ProxyLogs = proxyLogs(this.graph, this.gateways, this.resources, (changed) =>
    this.admission.changed(changed),
  );
  problemsNoted = 0;
  readonly admission: GatewayAdmission;
  readonly server: XdsServer;

  constructor(host: Host) {
    this.host = host;
    this.admission = new GatewayAdmission(host, EAST, this.logs, () => (this.problemsNoted += 1));
    this.server = new XdsServer(host, {
      logs: new Map(),
      debug: { systemNamespace: "istio-system", page: () => Promise.reject(new MeshError("absent", "none")) },
      controlPlane: "{}",
    });
    this.gateways.set(WAYPOINT, proxyGateway());
    this.graph.flush();
  }

  /** @param content undefined takes it away. */
  write(word: TypeWord, name: string, content: string | Uint8Array | undefined, gateway = WAYPOINT): void {
    const { clusters, endpoints, secrets, listeners, routes } = this.resources;
    const source = { CDS: clusters, EDS: endpoints, SDS: secrets, LDS: listeners, RDS: routes }[word];
    const key = proxyKey(gateway, name);
    if (content === undefined) source.delete(key);
    else source.set(key, toResource(typeOf(word), name, Buffer.from(content)));
  }

  /** The methods of a port whose callers are all this one. */
  methods(caller: Caller | undefined): readonly StreamMethod[] {
    return this.server.methods(
      caller && {
        authenticator: { authenticate: () => Promise.resolve(caller) },
        whyNot: ({ identity }) => (identity.serviceAccount === "ztunnel" ? undefined : "only ztunnel may"),
        gateways: this.admission,
      },
    );
  }
}

/** The same in a time that stands still. */
export class ProxyLab extends MadeUpGateways {
  declare readonly host: TestHost;

  constructor() {
    super(new TestHost());
  }

  /** Has what was written reach the clients. */
  settle(): void {
    this.graph.flush();
    this.host.clock.advance(0);
  }

  /** Opens a delta stream; without a caller as on the plaintext port. */
  async connect(caller?: Caller): Promise<FakeChannel> {
    const channel = new FakeChannel(credentials);
    channel.receiver = await this.methods(caller)[0]!.open(channel);
    return channel;
  }
}

/** The node of a proxy of that Gateway. */
export function proxyNode(gateway = "waypoint", namespace = "shop") {
  const fields = { GATEWAY: { stringValue: gateway }, NAMESPACE: { stringValue: namespace } };
  return { id: `waypoint~10.0.0.7~${gateway}-1.${namespace}~${namespace}.svc.cluster.local`, metadata: { fields } };
}
