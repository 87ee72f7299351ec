import type { ClusterId, NetworkId, ObjectKey, PolicyName, ServiceName, WorkloadUid } from "../names.ts";
import { allOffers } from "./all-offers.ts";
import { allWorkloads } from "./all-workloads.ts";
import { attachments } from "./attachments.ts";
import { authorizationPolicies, compiledPolicies } from "./authorization-policies.ts";
import type { Collection } from "./collection/collection.ts";
import type { Graph } from "./collection/graph.ts";
import { Index } from "./collection/index-by.ts";
import { Source } from "./collection/source.ts";
import { drains, type Drains } from "./drains.ts";
import { endpointProblems, placementOfEntry, placementsOfServiceEntry } from "./entry-workloads.ts";
import type { OwnRoots } from "./export-facts.ts";
import { peering, type Exports, type Peering } from "./exports.ts";
import type { GatewayInputs } from "./gateways/gateway-inputs.ts";
import { httpRules, type HttpRoutes } from "./gateways/http-rules.ts";
import { GlobalCandidates } from "./global-candidates.ts";
import { gatewayProblems, globalServiceProblems, scopeProblems, unreachedNetworks } from "./global-problems.ts";
import { policyVerdicts } from "./gateways/policy-verdicts.ts";
import { policyInputs, type PolicyInputs } from "./gateways/proxy-policies.ts";
import { Intake } from "./kube/intake.ts";
import type { Namespace } from "./kube/namespace.ts";
import { objectSources, type Objects } from "./kube/objects.ts";
import type { PeerGrant } from "./kube/peer-grant.ts";
import { podEnded, type Pod } from "./kube/pod.ts";
import type { MeshConfig, MeshSettings } from "./model/mesh.ts";
import type { PeerGateway } from "./model/peer.ts";
import type { Policy } from "./model/policy.ts";
import type { Problem } from "./model/problem.ts";
import type { Service } from "./model/service.ts";
import type { Waypoint } from "./model/waypoint.ts";
import type { Workload } from "./model/workload.ts";
import type { NetworkGateway } from "./network-gateways.ts";
import { networkPaths } from "./network-paths.ts";
import type { RegistryOptions } from "./options.ts";
import { peerGateways } from "./peer-gateways.ts";
import { peerProblems } from "./peer-problems.ts";
import { peerSources, type PeerSources } from "./peer-sources.ts";
import { mutualTlsPolicies, mutualTlsProblems, mutualTlsScopes } from "./peer-authentications.ts";
import { distinctPlacements, labelled } from "./placements.ts";
import { addressOwners, nameOwners, nameWinners, serviceProblems, services } from "./services.ts";
import { sharedServices, type SharedService } from "./shared-services.ts";
import { union } from "./union.ts";
import { forgetfulStore } from "./virtual-ips.ts";
import { policyProblems } from "./policy-problems.ts";
import { policyTargetProblems } from "./policy-target-problems.ts";
import { waypointProblems } from "./waypoint-problems.ts";
import { waypoints } from "./waypoints.ts";
import type { PeeringViewInputs } from "./wanted/peering-view-inputs.ts";
import type { StatusInputs } from "./wanted/status-inputs.ts";
import { DEFAULT_NETWORK } from "./workload-shape.ts";

/** What must be said; the rest has defaults. */
export type RegistrySettings = Pick<RegistryOptions, "mesh" | "localCluster"> & Partial<RegistryOptions>;

/** Sources in, collections out: all that the mesh is, as the objects of its clusters say. */
export class Registry {
  readonly objects: Objects;
  /** Under the key `mesh`; written whenever the mesh config changes. Until then no rule makes a service global. */
  readonly meshConfig: Source<"mesh", MeshConfig>;
  /** Written by links to peers. */
  readonly peers: PeerSources;
  /** Peers and services that are to get no new calls for a while. */
  readonly drains: Drains;
  /** What clusters share under global names. */
  readonly shared: Collection<ObjectKey, SharedService>;
  /** What the local cluster tells its peers, and who these are. */
  readonly peering: Peering;
  readonly workloads: Collection<WorkloadUid, Workload>;
  readonly services: Collection<ServiceName, Service>;
  readonly policies: Collection<PolicyName, Policy>;
  readonly waypoints: Collection<ObjectKey, Waypoint>;
  /** The network of each cluster that names one. */
  readonly networks: Collection<ClusterId, NetworkId>;
  /** Where other networks can be entered. */
  readonly networkGateways: Collection<string, NetworkGateway>;
  /** Pods on a node that have not ended, by `cluster/node/namespace/serviceAccount`: whom a node may ask certificates for. */
  readonly podsOnNode: Index<ObjectKey, Pod>;
  readonly workloadsByService: Index<WorkloadUid, Workload>;
  /** Why each cluster is behind a global name, or is not. */
  readonly globalCandidates: GlobalCandidates;
  /** What routes and DestinationRules make of the services that waypoints serve. */
  readonly routes: HttpRoutes;
  /** What has no effect, or less than was asked, and why. */
  readonly problems: Collection<string, Problem>;
  /** For `wantedObjects`. */
  readonly statusInputs: StatusInputs;
  /** What policies for waypoints were made into. */
  readonly policyInputs: PolicyInputs;
  /** For `wantedOfPeering`. */
  readonly peeringViewInputs: PeeringViewInputs;
  /** For `proxyConfigs`. */
  readonly gatewayInputs: GatewayInputs;
  readonly #options: RegistryOptions;

  constructor(graph: Graph, settings: RegistrySettings) {
    const options = withDefaults(settings);
    // Before those who encode what has settled.
    if (options.changes !== undefined) graph.onSettled(() => options.changes?.settled());
    const objects = objectSources(graph);
    const meshConfig = new Source<"mesh", MeshConfig>(graph, "mesh-config");
    const found = foundations(graph, objects, meshConfig, options);
    const { peers, links, paths, offered, shared, offers, winners, addresses, names } = found;
    const compiled = compiledPolicies(graph, objects, options);
    const mutualTls = mutualTlsScopes(graph, objects, options);
    const placements = allPlacements(graph, objects);
    const attached = attachments(
      graph,
      objects,
      { placements, paths, waypoints: offered, policies: compiled, mutualTls, ...names },
      options,
    );
    const all = allWorkloads(graph, objects, { ...found, attachments: attached }, options);
    this.#options = options;
    this.objects = objects;
    this.policyInputs = policyInputs(graph, objects, found.owners, options);
    const verdicts = waypointVerdicts(graph, objects, { ...found, policies: this.policyInputs }, options);
    this.meshConfig = meshConfig;
    this.peers = peers;
    this.drains = found.drains;
    this.shared = shared.all;
    this.networks = paths.networks;
    this.networkGateways = paths.addresses;
    this.waypoints = offered;
    this.services = services(graph, winners, addresses, all.identities);
    this.routes = httpRules(graph, objects, { services: this.services, names, waypoints: offered }, options);
    const causes = { policies: compiled, attachments: attached, waypoints: offered, virtualIps: offers.virtualIps };
    this.statusInputs = { ...options, ...causes, objects, verdicts, routes: this.routes.verdicts };
    this.policies = union(graph, "policies", [
      authorizationPolicies(graph, compiled),
      mutualTlsPolicies(graph, objects, mutualTls, options),
    ]);
    this.workloads = all.workloads;
    this.workloadsByService = new Index(graph, this.workloads, "service", (workload) =>
      workload.services.map(({ service }) => service),
    );
    const { workloads, workloadsByService, networks } = this;
    const seen = { ...found, objects, options, services: this.services, workloads, workloadsByService };
    this.peering = peering(graph, objects, { ...seen, waypoints: offered, networks }, options);
    this.globalCandidates = new GlobalCandidates({ ...seen, peerGateways: links.all, tallies: all.tallies });
    this.peeringViewInputs = { ...seen, ...this.peering };
    this.gatewayInputs = { ...seen, ...this.policyInputs, routes: this.routes };
    this.problems = union<string, Problem>(graph, "problems", [
      objects.unreadable,
      policyProblems(graph, { ...this.policyInputs, compiled }),
      policyTargetProblems(graph, verdicts),
      this.routes.problems,
      mutualTlsProblems(graph, objects, options),
      serviceProblems(graph, offers.all, winners, addresses),
      waypointProblems(graph, objects, offered, options),
      endpointProblems(graph, objects),
      globalServiceProblems(graph, offers, winners),
      scopeProblems(graph, objects),
      gatewayProblems(graph, objects, paths, options),
      this.peering.problems,
      peerProblems(graph, objects, found, options),
      all.problems,
      unreachedNetworks(graph, all.tallies, paths, options),
    ]);
    this.podsOnNode = podsOnNode(graph, objects);
  }

  get namespaces(): Collection<ObjectKey, Namespace> {
    return this.objects.namespaces;
  }

  get pods(): Collection<ObjectKey, Pod> {
    return this.objects.pods;
  }

  /** What peers are told. */
  get exports(): Exports {
    return this.peering.exports;
  }

  /** What the local cluster trusts for its own trust domain: peers see it change before it bites. */
  get ownRoots(): Source<ClusterId, OwnRoots> {
    return this.peering.ownRoots;
  }

  /** Where the local cluster says that peers are. */
  get peerGateways(): Collection<ObjectKey, PeerGateway> {
    return this.peering.peerGateways;
  }

  /** What peers may take and bring, of the local cluster's system namespace. */
  get peerGrants(): Collection<ObjectKey, PeerGrant> {
    return this.peering.peerGrants;
  }

  /** What holds for the whole mesh. */
  get mesh(): MeshSettings {
    return this.#options.mesh;
  }

  /**
   * Where the objects of one cluster go. Once for each time that it is read from the beginning: it remembers which
   * policies could ever be read. One that is held shows nothing until it joins.
   */
  intake(cluster: ClusterId, held: "held" | "live" = "live"): Intake {
    const { revision, systemNamespace, changes } = this.#options;
    return new Intake(cluster, this.objects, revision, held === "held", systemNamespace, changes);
  }
}

const allPlacements = (graph: Graph, { pods, workloadEntries, serviceEntries }: Objects) =>
  distinctPlacements(graph, [
    labelled(pods, ({ placement }) => [placement]),
    labelled(workloadEntries, (entry) => [placementOfEntry(entry)]),
    labelled(serviceEntries, placementsOfServiceEntry),
  ]);

const podsOnNode = (graph: Graph, { pods }: Objects): Index<ObjectKey, Pod> =>
  new Index(graph, pods, "node-identity", (pod) =>
    podEnded(pod) || pod.node === "" ? [] : [`${pod.cluster}/${pod.node}/${pod.namespace}/${pod.serviceAccount}`],
  );

/** Who the clusters and peers are, what they share, and which names that makes: all else is about these. */
function foundations(
  graph: Graph,
  objects: Objects,
  meshConfig: Collection<"mesh", MeshConfig>,
  options: RegistryOptions,
) {
  const peers = peerSources(graph);
  const links = peerGateways(graph, objects, options);
  const drained = drains(graph, objects, options);
  const paths = networkPaths(graph, objects, { sources: peers, gateways: links.all, drains: drained.states }, options);
  const offered = waypoints(graph, objects, paths.networks);
  const shared = sharedServices(graph, objects, meshConfig, options);
  const { segments } = shared;
  const offers = allOffers(
    graph,
    objects,
    { paths, waypoints: offered, meshConfig, shared: shared.all, segments, peers },
    options,
  );
  const winners = nameWinners(graph, offers.all);
  const owners = nameOwners(graph, winners);
  const addresses = addressOwners(graph, winners);
  const { standings } = paths;
  const names = { globals: offers.globals, shared: shared.all, owners, standings, drains: drained.states };
  return { drains: drained, peers, links, paths, offered, shared, offers, winners, owners, addresses, names };
}

function waypointVerdicts(
  graph: Graph,
  objects: Objects,
  { peers, offered, shared, offers, policies }: ReturnType<typeof foundations> & { readonly policies: PolicyInputs },
  options: RegistryOptions,
) {
  const { hosts } = offers;
  const { all, segments } = shared;
  const { federated } = peers;
  return policyVerdicts(
    graph,
    { ...policies, objects, waypoints: offered, shared: all, federated, hosts, segments },
    options,
  );
}

function withDefaults(settings: RegistrySettings): RegistryOptions {
  return {
    network: DEFAULT_NETWORK,
    systemNamespace: settings.mesh.rootNamespace,
    virtualIps: forgetfulStore,
    revision: "default",
    dryRunPolicies: false,
    multiNetwork: true,
    workloadEntrySelection: true,
    allocateIps: true,
    peeringDiscovery: true,
    flatPeering: "auto",
    namespaceTakeover: false,
    ...settings,
  };
}
