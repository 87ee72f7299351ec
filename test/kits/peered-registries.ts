import assert from "node:assert/strict";
import { clusterId, networkId, type ClusterId, type ServiceName } from "../../src/names.ts";
import { formatServiceAccountId } from "../../src/spiffe.ts";
import type { KubeObject, ObjectReference } from "../../src/kube/object.ts";
import { Graph } from "../../src/registry/collection/graph.ts";
import type { PeerStatus } from "../../src/registry/model/peer.ts";
import type { Service } from "../../src/registry/model/service.ts";
import type { Workload } from "../../src/registry/model/workload.ts";
import type { RegistryOptions } from "../../src/registry/options.ts";
import { Registry } from "../../src/registry/registry.ts";
import { eastWest, system } from "../registry/two-networks.ts";
import { peerGateway, status, type PeerGatewayWords } from "../registry/peers.ts";
import { choices, gatewaysAt, type Caller } from "./ztunnel-choice.ts";

/** One control plane's cluster. */
export interface Site {
  readonly cluster: ClusterId;
  readonly graph: Graph;
  readonly registry: Registry;
  /** Writes objects of the site's own cluster; `settle` makes them show. */
  readonly apply: (...objects: readonly KubeObject[]) => void;
  readonly remove: (...objects: readonly ObjectReference[]) => void;
}

export interface SiteWords {
  readonly network: string;
  /** Of its east-west gateway; none if it has no such. */
  readonly doors?: readonly string[];
  readonly trustDomain?: string;
  readonly options?: Partial<RegistryOptions>;
}

/** Where the calls to one name end: shares of pods by `cluster/namespace/name:port`, which add up to 1; empty if they all fail. */
export type Shares = Readonly<Record<string, number>>;

/**
 * Registries of several clusters in one process. What one exports is copied to what its consumers hear, as links do, but
 * at once and whole: for tests of what follows from it, not of how it gets there.
 */
export class PeeredRegistries {
  readonly #sites = new Map<string, Site>();
  readonly #words: ReadonlyMap<string, SiteWords>;
  /** `consumer<producer`, and whether it carries anything now. */
  readonly #links = new Map<string, { readonly from: string; readonly to: string; open: boolean }>();

  constructor(sites: Readonly<Record<string, SiteWords>>) {
    this.#words = new Map(Object.entries(sites));
    for (const [name, words] of this.#words) this.#sites.set(name, siteOf(name, words));
    this.settle();
  }

  site(name: string): Site {
    const site = this.#sites.get(name);
    assert(site, `there is no site ${name}`);
    return site;
  }

  /** `from` hears `to` from now on; the other way needs a link of its own. */
  link(from: string, to: string, words: PeerGatewayWords = {}): void {
    const { network, doors = [], trustDomain } = this.#words.get(to)!;
    const annotations = trustDomain === undefined ? {} : { "gateway.istio.io/trust-domain": trustDomain };
    const gateway = { network, addresses: doors, ...words, annotations: { ...annotations, ...words.annotations } };
    this.site(from).apply(peerGateway(to, gateway));
    this.#links.set(`${from}<${to}`, { from, to, open: true });
    this.site(from).registry.peers.statuses.set(clusterId(to), status(to));
    this.settle();
  }

  /** Each hears all others. */
  linkAll(): void {
    for (const from of this.#sites.keys()) for (const to of this.#sites.keys()) if (from !== to) this.link(from, to);
  }

  /** Takes the Gateway away, and with it all that came by it. */
  unlink(from: string, to: string): void {
    const { peers } = this.site(from).registry;
    this.#links.delete(`${from}<${to}`);
    this.site(from).remove(peerGateway(to));
    for (const source of [peers.federated, peers.workloads]) source.replace(`${to}/`, []);
    peers.facts.delete(clusterId(to));
    peers.statuses.delete(clusterId(to));
    this.settle();
  }

  /** The link carries nothing until it is healed, and its state is what is `said`. */
  cut(from: string, to: string, said: Partial<PeerStatus> = {}): void {
    this.#links.get(`${from}<${to}`)!.open = false;
    const stale = { state: "stale", staleness: "within-grace", ...said } as const;
    this.site(from).registry.peers.statuses.set(clusterId(to), status(to, stale));
    this.settle();
  }

  heal(from: string, to: string): void {
    this.#links.get(`${from}<${to}`)!.open = true;
    this.site(from).registry.peers.statuses.set(clusterId(to), status(to));
    this.settle();
  }

  /** Until nothing that one says changes what another holds. */
  settle(): void {
    for (const { graph } of this.#sites.values()) graph.flush();
    for (const { from, to, open } of this.#links.values()) if (open) this.#carry(this.site(from), this.site(to));
    for (const { graph } of this.#sites.values()) graph.flush();
  }

  service(site: string, name: string): Service | undefined {
    return this.site(site).registry.services.get(name as ServiceName);
  }

  /**
   * Where calls from a pod at `site` to a service's port end, all hops done as ztunnels do them: a hop that would fail
   * fails the test, for ztunnel does not try another.
   */
  calls(site: string, name: string, port: number, caller: Partial<Caller> = {}): Shares {
    const { registry, cluster } = this.site(site);
    const service = this.service(site, name);
    const network = networkId(this.#words.get(site)!.network);
    const shares: Record<string, number> = {};
    for (const { workload, share, targetPort } of service === undefined
      ? []
      : choices(registry, service, port, { network, cluster, ...caller })) {
      if (workload.network === network) add(shares, `${endOf(workload)}:${targetPort}`, share);
      else {
        this.#enter(site, workload);
        for (const [end, part] of Object.entries(this.#behind(workload.cluster, service!, port)))
          add(shares, end, share * part);
      }
    }
    return shares;
  }

  /** The outer tunnel: to a gateway that is known, and that proves to be who it is said to be. */
  #enter(site: string, { uid, cluster, networkGateway }: Workload): void {
    const gateways = gatewaysAt(this.site(site).registry, networkGateway!);
    assert(gateways.length > 0, `${site}: unknown network gateway of ${uid}`);
    const doors = [...this.site(cluster).registry.exports.facts.entries()].flatMap(([, facts]) => facts.doors);
    for (const gateway of gateways) {
      const identity = formatServiceAccountId(gateway);
      assert(
        doors.some((door) => door.identity === identity),
        `${site} expects ${identity} at the gateway of ${cluster}, which is another`,
      );
    }
  }

  /** A tunnel names the service's host; the far side must know it, and be who the near side expects. */
  #behind(far: string, { key, hostname, subjectAltNames }: Service, port: number): Shares {
    const { registry, cluster } = this.site(far);
    const service = registry.services.get(key);
    assert(service, `${far} does not know ${hostname}, which it is called by`);
    const network = networkId(this.#words.get(far)!.network);
    const own = choices(registry, { ...service, loadBalancing: undefined }, port, { network, cluster });
    const local = own.filter(({ workload }) => workload.cluster === cluster);
    const all = local.reduce((sum, { share }) => sum + share, 0);
    const shares: Record<string, number> = {};
    for (const { workload, share, targetPort } of local) {
      const identity = formatServiceAccountId(workload);
      assert(subjectAltNames.includes(identity), `${identity} of ${far} is not expected behind ${hostname}`);
      add(shares, `${endOf(workload)}:${targetPort}`, share / all);
    }
    return shares;
  }

  #carry(consumer: Site, producer: Site): void {
    const { peers } = consumer.registry;
    const { services, facts, workloads } = producer.registry.exports;
    const prefix = `${producer.cluster}/`;
    peers.federated.replace(prefix, services.entries());
    peers.workloads.replace(prefix, workloads.entries());
    for (const [cluster, said] of facts.entries()) peers.facts.set(cluster, said);
  }
}

function siteOf(name: string, { network, doors = [], trustDomain = "cluster.local", options }: SiteWords): Site {
  const graph = new Graph();
  const mesh = { trustDomain, rootNamespace: "istio-system", clusterDomain: "cluster.local" };
  const cluster = clusterId(name);
  const registry = new Registry(graph, { mesh, localCluster: cluster, ...options });
  const intake = registry.intake(cluster);
  const apply = (...objects: readonly KubeObject[]) => {
    for (const object of objects) intake.set(object, "");
  };
  apply(system(network));
  if (doors.length > 0) apply(eastWest(network, doors, {}, { name: "istio-eastwest", namespace: "istio-eastwest" }));
  return {
    cluster,
    graph,
    registry,
    apply,
    remove: (...objects) => {
      for (const object of objects) intake.delete(object);
    },
  };
}

const endOf = ({ cluster, namespace, name }: { cluster: string; namespace: string; name: string }): string =>
  `${cluster}/${namespace}/${name.startsWith("autogenflat.") ? name.split(".")[3] : name}`;

function add(shares: Record<string, number>, end: string, share: number): void {
  shares[end] = (shares[end] ?? 0) + share;
}
