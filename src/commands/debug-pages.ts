import type { Config } from "../config.ts";
import type { DebugPage } from "../debug-page.ts";
import type { Clock } from "../host.ts";
import type { LogScopes } from "../log.ts";
import type { EmbeddedObjects } from "../plane/clusters.ts";
import type { PeerClients } from "../plane/peer-serving.ts";
import type { PeerView } from "../peering/opened-peer.ts";
import type { Collection } from "../registry/collection/collection.ts";
import type { Graph } from "../registry/collection/graph.ts";
import { kindsOf, type Objects } from "../registry/kube/objects.ts";
import type { RemoteClusterStatus } from "../registry/kube/remote-cluster.ts";
import type { MeshConfig, MeshSettings } from "../registry/model/mesh.ts";
import type { Policy } from "../registry/model/policy.ts";
import type { Problem } from "../registry/model/problem.ts";
import type { Service } from "../registry/model/service.ts";
import type { Workload } from "../registry/model/workload.ts";
import type { NetworkGateway } from "../registry/network-gateways.ts";
import type { Registry } from "../registry/registry.ts";
import type { RelayView } from "../relay/relay-view.ts";
import type { TypeUrl } from "../xds/resource.ts";
import type { ResourceLog } from "../xds/resource-log.ts";
import { type CertificatesViewed, certificateView } from "./certificate-view.ts";
import { adsz, type ClientsViewed, configDump, connections } from "./client-view.ts";
import { clusterView } from "./cluster-view.ts";
import { peerClientsView, peerClusterView, peerView } from "./peer-view.ts";
import { policyView, serviceView, workloadView } from "./mesh-view.ts";
import { gatewayView, type GatewaysViewed } from "./gateway-view.ts";
import { drillView } from "./drill-view.ts";
import { explainView } from "./explain-view.ts";
import { endpointShards } from "./shard-view.ts";
import { spireFacts, type SpireViewed } from "./spire-facts.ts";
import { spireView } from "./spire-view.ts";
import { objectView } from "./object-view.ts";
import { syncView } from "./sync-view.ts";
import { topologyView } from "./topology-view.ts";

/** The part of a registry that ztunnels are told of. */
export interface MeshViewed {
  readonly workloads: Collection<string, Workload>;
  readonly services: Collection<string, Service>;
  readonly policies: Collection<string, Policy>;
  readonly workloadsByService: { get(service: string): readonly Workload[] };
}

/** The rest of a registry that pages show. */
export interface RegistryViewed extends MeshViewed {
  readonly objects: Objects;
  readonly networkGateways: Collection<string, NetworkGateway>;
  readonly mesh: MeshSettings;
  readonly meshConfig: Collection<"mesh", MeshConfig>;
}

/** Where the pages look. Everything is read when a page is asked for, and nothing is changed. */
export interface Viewed extends ClientsViewed, CertificatesViewed, GatewaysViewed, SpireViewed {
  readonly clock: Clock;
  readonly registry: Registry;
  readonly graph: Graph;
  readonly logs: ReadonlyMap<TypeUrl, ResourceLog>;
  readonly config: Config;
  readonly scopes: LogScopes;
  /** As `istiod-7d4b`: tells replicas apart. */
  readonly controlPlane: string;
  /** Our own first; its source is empty. */
  clusters(): readonly RemoteClusterStatus[];
  /** Undefined where an API server has the objects. */
  embedded(): EmbeddedObjects | undefined;
  /** The control planes that we read. */
  peers(): readonly PeerView[];
  /** Who reads what we share. */
  peerClients(): PeerClients;
  problems(): readonly Problem[];
  relay(): RelayView;
}

/** The pages of contract operations.md 1.2 that there is something to say on. */
export function debugPages(viewed: Viewed): readonly DebugPage[] {
  const page = (name: string, help: string, render: DebugPage["render"]): DebugPage => ({ name, help, render });
  return [...meshPages(viewed, page), ...clientPages(viewed, page), ...ownPages(viewed, page)];
}

type Page = (name: string, help: string, render: DebugPage["render"]) => DebugPage;

function meshPages(viewed: Viewed, page: Page): readonly DebugPage[] {
  const { registry } = viewed;
  return [
    page("ambientz", "Every workload, service and policy that ztunnels get", () => ambientz(registry)),
    page("registryz", "Services, with their endpoints", () => ambientz(registry).services),
    page("endpointShardz", "The endpoints of each service, by the cluster that has them", () =>
      endpointShards(registry),
    ),
    page(
      "explain",
      "Why a name has the endpoints that it has: ?host=cart.shop.mesh.internal&from=namespace/pod",
      (query) => explainView(viewed, query),
    ),
    page("networkz", "Where other networks can be entered", () => networkz(registry.networkGateways)),
    page("authorizationz", "Authorization policies by namespace", () => authorizationz(registry)),
    page("mesh", "The mesh config that is in force", () => meshz(registry)),
    page("mcsz", "Exports and imports of the multicluster services API, which is not served", () => []),
    page("push_status", "Nothing: what proxies refuse is in syncz", () => ({})),
  ];
}

function clientPages(viewed: Viewed, page: Page): readonly DebugPage[] {
  const { clock, logs, controlPlane } = viewed;
  const options = () => ({ now: clock.now(), controlPlane });
  return [
    page("syncz", "What each client was sent and acknowledged", () => syncView(viewed.clients(), options())),
    page("connections", "Who is connected, since when and from where", () => connections(viewed.clients())),
    page("adsz", "Who is connected, and asked for what", () => adsz(viewed.clients())),
    page("config_dump", "What one client holds: ?proxyID=pod.namespace", (query) =>
      configDump(viewed, query, options()),
    ),
    page("gatewayz", "What the proxies of Gateways are to have; all of one: ?gateway=namespace/name", (query) =>
      gatewayView(viewed, query),
    ),
    page("digestz", "A digest of each type, equal on replicas that hold the same", () => digestz(logs)),
    page("cachez", "How much of each type is kept encoded", () => cachez(logs)),
  ];
}

function ownPages(viewed: Viewed, page: Page): readonly DebugPage[] {
  const { graph, registry, config, scopes, controlPlane } = viewed;
  const { standings } = registry.globalCandidates.inputs.paths;
  return [
    page("clusterz", "The clusters that are read, peers among them, and whether all of each is known", () => [
      ...viewed.clusters().map((status) => clusterView(status, controlPlane)),
      ...viewed.peers().map((peer) => peerClusterView(peer, controlPlane)),
    ]),
    page("peerz", "Each peer: its link, how old what it said is, what of it is refused and why", () =>
      viewed
        .peers()
        .map((peer) =>
          peerView(peer, viewed.bundleAgreement(peer.cluster), standings.get(peer.cluster)?.drainedUntilMs),
        ),
    ),
    page("drainz", "What is drained until when, and who takes the calls: ?peer=west or ?service=shop/cart", (query) =>
      drillView(registry, query),
    ),
    page("peerclientz", "Peers that read what is shared here, and those that may not, with the reason", () =>
      peerClientsView(viewed.peerClients()),
    ),
    page("topologyz", "Clusters, links, what is shared and denied, certificates: what /topology shows", (query) =>
      topologyView(viewed, query),
    ),
    page(
      "certz",
      "Who signs, the roots, what was revoked, issued and refused; of one: ?identity=shop/sa/cart",
      (query) => certificateView(viewed, viewed.clock.now(), query),
    ),
    page("spirez", "How SPIRE and this control plane get on, with checks: what causeway spire status prints", () =>
      spireView(spireFacts(viewed, viewed.clock.now()), controlPlane),
    ),
    page("relayz", "The trust manager, what it orders, and what of that is in use", () => viewed.relay()),
    page("resourcesz", "The kinds of objects that are read, and how many there are", () => resourcesz(registry)),
    page(
      "objectz",
      "What a cluster that is folders holds, as its controllers would have it; nothing of one with an API server",
      () => objectView(viewed),
    ),
    page("configz", "The settings of this control plane", () => configz(config, scopes)),
    page("problemz", "Objects without effect, or with less than was asked, and why", () => viewed.problems()),
    page("krtz", "The collections, in the order in which they settle, and how much each holds", () => graph.describe()),
  ];
}

/** Views are made one by one as they are taken, of the mesh as it is when the page is asked for. */
export function ambientz({ workloads, services, policies, workloadsByService }: MeshViewed) {
  return {
    workloads: viewsOf(workloads, workloadView),
    services: viewsOf(services, (service) => serviceView(service, workloadsByService.get(service.key))),
    policies: viewsOf(policies, policyView),
  };
}

function viewsOf<V, W>(collection: Collection<string, V>, view: (value: V) => W): Iterable<W> {
  const values = Array.from(collection.entries(), ([, value]) => value);
  return (function* () {
    for (const value of values) yield view(value);
  })();
}

/** Keys and tokens are never part of a Config; it only says where they lie. */
export function configz(config: Config, scopes: LogScopes): unknown {
  const levels = Object.fromEntries(scopes.list().map(({ name, level }) => [name, level]));
  return {
    ...config,
    trustedNodeAccounts: [...config.trustedNodeAccounts],
    insecureKubeconfigOptions: [...config.insecureKubeconfigOptions],
    log: { asJson: config.log.asJson, levels },
  };
}

export function digestz(logs: ReadonlyMap<TypeUrl, ResourceLog>): unknown {
  const entries = [...logs].map(([typeUrl, { digest, size, bytes, head, tombstones }]) => {
    return [typeUrl, { digest, resources: size, bytes, head, tombstones }];
  });
  return Object.fromEntries(entries) as unknown;
}

function cachez(logs: ReadonlyMap<TypeUrl, ResourceLog>): unknown {
  return Array.from(logs, ([typeUrl, { size, bytes }]) => ({ typeUrl, resources: size, bytes }));
}

/** The names of the fields are istiod's. */
function networkz(gateways: RegistryViewed["networkGateways"]): unknown {
  return Array.from(gateways.entries(), ([, { network, cluster, host, hbonePort, namespace, serviceAccount }]) => ({
    Network: network,
    Cluster: cluster,
    Addr: host.kind === "ip" ? host.ip : host.hostname,
    HBONEPort: hbonePort,
    ServiceAccount: { Namespace: namespace, Name: serviceAccount },
  }));
}

/** As ztunnels get them, what they cannot enforce left out; of a workload's L7 rules its waypoint knows. */
function authorizationz({ policies, mesh }: RegistryViewed): unknown {
  const namespaces = new Map<string, Policy[]>();
  for (const [, policy] of policies.entries()) {
    const members = namespaces.get(policy.namespace);
    if (members === undefined) namespaces.set(policy.namespace, [policy]);
    else members.push(policy);
  }
  const views = Array.from(namespaces, ([namespace, members]) => [namespace, members.map(policyView)]);
  const byNamespace = Object.fromEntries(views) as unknown;
  return { authorization_policies: { namespace_to_policies: byNamespace, root_namespace: mesh.rootNamespace } };
}

/** What of istiod's mesh config has a meaning here, under its names. */
function meshz({ mesh, meshConfig }: RegistryViewed): unknown {
  const { trustDomain, rootNamespace } = mesh;
  return { trustDomain, rootNamespace, ...meshConfig.get("mesh") };
}

function resourcesz({ objects }: RegistryViewed): unknown {
  return kindsOf(objects).map(({ group, versions, kind, source }) => ({
    group,
    version: versions[0],
    kind,
    objects: source.size,
  }));
}
