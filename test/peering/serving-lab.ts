import type { Credentials } from "../../src/caller.ts";
import { TrustBundles } from "../../src/ca/trust-bundles.ts";
import { MeshError } from "../../src/errors.ts";
import {
  clusterId,
  networkId,
  objectKey,
  podUid,
  serviceName,
  type ClusterId,
  type ObjectKey,
  type WorkloadUid,
} from "../../src/names.ts";
import { PeerAdmission, type ServedPeers } from "../../src/peering/admission.ts";
import { ExportLogs } from "../../src/peering/export.ts";
import { Graph } from "../../src/registry/collection/graph.ts";
import { Source } from "../../src/registry/collection/source.ts";
import { type FederatedService, federatedKey } from "../../src/registry/model/federated-service.ts";
import type { ClusterFacts, PeerGateway } from "../../src/registry/model/peer.ts";
import type { PeerGrant } from "../../src/registry/model/peer-grant.ts";
import type { Workload } from "../../src/registry/model/workload.ts";
import { FSDS_TYPE, ADDRESS_TYPE, SGDS_TYPE, type TypeUrl } from "../../src/xds/resource.ts";
import { XdsServer } from "../../src/xds/server.ts";
import { derOf, TestAuthority } from "../kits/tls.ts";
import { TestHost } from "../kits/test-host.ts";
import { FakeChannel, type Message } from "../xds/fake-channel.ts";

const east = clusterId("east");

/** Types as transcripts and proxy-status name them. */
export const PEER_TYPES: Readonly<Record<string, TypeUrl>> = { FSDS: FSDS_TYPE, SGDS: SGDS_TYPE, WDS: ADDRESS_TYPE };

export const sharedService = (
  namespace: string,
  name: string,
  said: Partial<FederatedService> = {},
): FederatedService => ({
  ...{ cluster: east, namespace, name, scope: "global", segment: "", ready: 1, total: 1, localities: [] },
  ports: [{ number: 80, name: "http", protocol: "HTTP", targetPort: 8080 }],
  identities: [`spiffe://cluster.local/ns/${namespace}/sa/${name}`],
  ...{ waypoint: undefined, waypointPolicy: "once", takeover: false, distribution: undefined },
  ...{ labels: [], annotations: [], createdMs: 0 },
  ...said,
});

/** A pod of a flat network, which serves `services` of its namespace. */
export const flatPod = (namespace: string, name: string, ...services: readonly string[]): Workload => ({
  ...{ uid: podUid(east, namespace, name), name, namespace, cluster: east, network: networkId("east-net") },
  ...{ addresses: ["10.0.0.1"], hostname: "", tunnel: "hbone", nativeTunnel: false, trustDomain: "cluster.local" },
  ...{
    serviceAccount: name,
    node: "n1",
    canonicalName: name,
    canonicalRevision: "",
    workloadName: name,
    healthy: true,
  },
  ...{ hostNetwork: false, locality: undefined, waypoint: undefined, networkGateway: undefined, policies: [] },
  ...{ applicationTunnel: undefined, capacity: undefined },
  services: services.map((service) => ({
    service: serviceName(namespace, `${service}.${namespace}.mesh.internal`),
    ports: [{ servicePort: 80, targetPort: 8080 }],
  })),
});

export const ownFacts: ClusterFacts = {
  ...{
    cluster: east,
    network: networkId("east-net"),
    trustDomain: "cluster.local",
    segment: "",
    domain: "mesh.internal",
  },
  ...{ aliasesDigest: "", doors: [], version: "1.0.0", features: [], roots: [] },
};

export const gatewayTo = (cluster: string, said: Partial<PeerGateway> = {}): PeerGateway => ({
  ...{ gateway: objectKey(east, "istio-eastwest", cluster), namespace: "istio-eastwest", name: cluster, generation: 1 },
  ...{
    cluster: clusterId(cluster),
    network: networkId(cluster),
    trustDomain: "cluster.local",
    hosts: [],
    xdsPort: 15012,
  },
  ...{
    hbonePort: 15008,
    serviceAccount: "istio-eastwest",
    locality: undefined,
    preferred: undefined,
    refused: undefined,
  },
  ...said,
});

/** Authorities of several clusters, under one root or another; made once, as keys take time. */
export interface Authorities {
  readonly root: TestAuthority;
  readonly west: TestAuthority;
  readonly north: TestAuthority;
  /** Of trust domain other.example, under a root of its own. */
  readonly other: TestAuthority;
}

let made: Promise<Authorities> | undefined;
export const authorities = (): Promise<Authorities> =>
  (made ??= (async () => {
    const root = await TestAuthority.create("CN=root");
    const other = await TestAuthority.create("CN=other root");
    const [west, north] = await Promise.all(
      ["CN=west", "CN=north"].map((name) => TestAuthority.create({ name, pathLength: 0 }, root)),
    );
    return { root, west: west!, north: north!, other };
  })());

/** What a control plane shows: its certificate, and its authority's. */
export async function shownBy(authority: TestAuthority, uri = ISTIOD): Promise<Credentials> {
  const { certificate } = await authority.issue([uri]);
  return {
    authorization: undefined,
    clusterId: undefined,
    certificateChain: [derOf(certificate), derOf(authority.root)],
    remoteAddress: "192.0.2.1:40000",
  };
}
export const ISTIOD = "spiffe://cluster.local/ns/istio-system/sa/istiod";

/** Cluster east as its peers see it, without a socket. */
export class ServingLab {
  readonly host = new TestHost();
  readonly graph = new Graph();
  readonly services = new Source<ObjectKey, FederatedService>(this.graph, "services");
  readonly facts = new Source<ClusterId, ClusterFacts>(this.graph, "facts");
  readonly workloads = new Source<WorkloadUid, Workload>(this.graph, "workloads");
  readonly gateways = new Source<ObjectKey, PeerGateway>(this.graph, "gateways");
  readonly peerFacts = new Source<ClusterId, ClusterFacts>(this.graph, "peer-facts");
  readonly grants = new Source<ObjectKey, PeerGrant>(this.graph, "grants");
  readonly trust = new TrustBundles("cluster.local");
  readonly exports: ExportLogs;
  readonly admission: PeerAdmission;
  readonly server: XdsServer;
  whyNotJoined: string | undefined;
  /** Clusters whose control planes were let in. */
  readonly entered: string[] = [];

  private constructor(served: ServedPeers) {
    const { services, facts, workloads, gateways, grants, graph, host } = this;
    this.exports = new ExportLogs(graph, host.clock, { services, facts, workloads }, () => {
      this.admission.recount();
      this.server.changed();
    });
    this.admission = new PeerAdmission(host, {
      ...{ localCluster: east, served, gateways, grants, facts: this.peerFacts, exports: this.exports },
      accounts: new Set(["istio-system/istiod"]),
      // Certificates are of today, whatever the virtual clock says.
      trust: {
        verify: (chain, role) => this.trust.verify(chain, role, Date.now()),
        observe: (observer) => this.trust.observe(observer),
      },
      isGuarded: (trustDomain) => this.trust.isOnlyFrom("spire", trustDomain),
      whyNotJoined: () => this.whyNotJoined,
      onEntered: (cluster) => this.entered.push(cluster),
    });
    this.server = new XdsServer(host, {
      logs: new Map(),
      debug: { systemNamespace: "istio-system", page: () => Promise.resolve(Buffer.from("{}")) },
      controlPlane: "{}",
    });
    facts.set(east, ownFacts);
    graph.flush();
  }

  static async open({ served = "any" as ServedPeers } = {}): Promise<ServingLab> {
    const lab = new ServingLab(served);
    const { root, other } = await authorities();
    lab.trust.setOwn([derOf(root.root)]);
    lab.trust.offer("peer/other", [{ trustDomain: "other.example", roots: [derOf(other.root)] }]);
    return lab;
  }

  /** Settles what was written, and serves whom it concerns. */
  settle(): void {
    this.graph.flush();
    this.host.clock.advance(0);
  }

  share(...services: readonly FederatedService[]): void {
    for (const service of services) this.services.set(federatedKey(service), service);
    this.settle();
  }

  grant(name: string, said: Partial<PeerGrant>): void {
    const nothing = {
      ...{ bound: false, cluster: undefined, trustDomain: undefined },
      exports: undefined,
      imports: undefined,
    };
    this.grants.set(objectKey(east, "istio-system", name), { ...nothing, ...said });
    this.settle();
  }

  /** A stream on the TLS port. @throws what ends it before its first request. */
  async connect(credentials: Credentials, method = 0): Promise<PeerEnd> {
    const end = new PeerEnd(credentials);
    const refuse = () => Promise.reject(new MeshError("unauthenticated", "nobody else is known in this lab"));
    const admission = { authenticator: { authenticate: refuse }, whyNot: () => undefined, peers: this.admission };
    end.receiver = await this.server.methods(admission)[method]!.open(end);
    return end;
  }
}

/** The other control plane's end of a stream. */
export class PeerEnd extends FakeChannel {
  /** As the node of cluster `cluster`. */
  ask(
    type: string,
    cluster: string | undefined,
    said: Message = {},
    metadata: Readonly<Record<string, string>> = {},
  ): void {
    const fields = { CLUSTER_ID: cluster ?? "", NAMESPACE: "istio-system", ISTIO_VERSION: "1.30.3", ...metadata };
    const node = {
      id: `istiod~10.8.0.1~istiod-${cluster}.istio-system~istio-system.svc.cluster.local`,
      metadata: {
        fields: Object.fromEntries(Object.entries(fields).map(([key, stringValue]) => [key, { stringValue }])),
      },
    };
    this.write({ typeUrl: PEER_TYPES[type] ?? type, ...(cluster !== undefined && { node }), ...said });
  }

  /** What arrived since, each response answered: names, and those removed with a minus before them. */
  take(): string[] {
    const names: string[] = [];
    for (let responses = this.read(); responses.length > 0; responses = this.read())
      for (const response of responses) {
        for (const { name } of response.resources) names.push(name!.replace(/^(__synced__)\/.*/, "$1"));
        for (const name of response.removedResources) names.push(`-${name}`);
        this.ack(response);
      }
    return names;
  }

  /** Why it was ended, as `denied NotListed`; undefined while it lives. */
  get why(): string | undefined {
    if (this.ended === undefined || this.ended === "ok") return this.ended;
    return [this.ended.code, this.ended.detail["reason"]].filter((part) => part !== undefined).join(" ");
  }
}
