import { readFileSync } from "node:fs";
import { istio } from "../../proto/gen/mesh.js";
import { nodeOf } from "../../src/commands/watch.ts";
import { networkId, type Hostname, type NetworkId, type ServiceName } from "../../src/names.ts";
import type { GatewayAddress } from "../../src/registry/model/address.ts";
import type { LoadBalancingScope, Service } from "../../src/registry/model/service.ts";
import type { Workload } from "../../src/registry/model/workload.ts";
import { systemClock } from "../../src/system-host.ts";
import { DeltaClient } from "../../src/xds/delta-client.ts";
import { followXds } from "../../src/xds/follow.ts";
import { ADDRESS_TYPE, AUTHORIZATION_TYPE } from "../../src/xds/resource.ts";
import { ipText } from "../../src/xds/types/ip-field.ts";
import { decodeWorkload } from "../../src/xds/types/decoded-workload.ts";
import { type Caller, choices, gatewaysAt } from "../kits/ztunnel-choice.ts";
import { type Causeway, eventually } from "./causeway-process.ts";

const wds = istio.workload;
const HEARD_MS = 10_000;

/** Where calls end, by cluster: parts of 1; empty if they fail. */
export type Split = Readonly<Record<string, number>>;

export interface MeshClientOptions {
  readonly token: string;
  readonly cluster: string;
  /** Of the pod that calls. */
  readonly network: string;
}

/**
 * A client of a running Causeway that holds what a ztunnel would, read off the wire, and chooses among it as ztunnels do. It
 * comes back by itself to a Causeway that listens on the same port again, and keeps what it holds meanwhile.
 */
export class MeshClient {
  readonly workloads = new Map<string, Workload>();
  readonly services = new Map<string, Service>();
  /** Names, as they were removed. */
  readonly removed: string[] = [];
  /** How often a stream was lost. */
  lost = 0;
  readonly #gaps = new Map<string, { sinceMs: number | undefined; longestMs: number }>();
  readonly #caller: Caller;
  readonly #end = new AbortController();
  readonly #done: Promise<void>;
  #failure: Error | undefined;
  #heard = 0;

  private constructor(causeway: Causeway, { token, cluster, network }: MeshClientOptions) {
    this.#caller = { network: networkId(network), cluster };
    const { xds: address, rootCertificate } = causeway.connection!;
    this.#done = followXds({
      target: { address, roots: readFileSync(rootCertificate, "utf8"), token, clusterId: cluster },
      client: new DeltaClient(nodeOf(token), [ADDRESS_TYPE, AUTHORIZATION_TYPE]),
      clock: systemClock,
      signal: this.#end.signal,
      onUpdate: ({ typeUrl, resources, removed }) => {
        this.#heard += 1;
        if (typeUrl === ADDRESS_TYPE) this.#take(resources, removed);
      },
      onLost: () => (this.lost += 1),
    }).catch((thrown: Error) => void (this.#failure = thrown));
  }

  /** Resolves once it has the mesh. @throws MeshError if it is not let in. */
  static async start(causeway: Causeway, options: MeshClientOptions): Promise<MeshClient> {
    const client = new MeshClient(causeway, options);
    await eventually("a client has the mesh", HEARD_MS, () => client.#failure !== undefined || client.#heard >= 2);
    if (client.#failure !== undefined) throw client.#failure;
    return client;
  }

  async close(): Promise<void> {
    this.#end.abort();
    await this.#done;
  }

  /** By host, whatever its namespace. */
  service(host: string): Service | undefined {
    return [...this.services.values()].find(({ hostname }) => hostname === host);
  }

  /** The workloads behind a host, in the order of their names. */
  endpoints(host: string): readonly Workload[] {
    const key = this.service(host)?.key;
    return key === undefined ? [] : [...this.#behind(key)].sort((a, b) => (a.uid < b.uid ? -1 : 1));
  }

  /** Healthy endpoints by cluster; those of other networks count as much as their aggregate has capacity. */
  counts(host: string): Readonly<Record<string, number>> {
    const counts: Record<string, number> = {};
    for (const { cluster, healthy, capacity } of this.endpoints(host))
      if (healthy) counts[cluster] = (counts[cluster] ?? 0) + (capacity ?? 1);
    return counts;
  }

  /**
   * Where calls to a port of a host end: a share for each cluster.
   * @throws if a call would leave for a gateway that ztunnel does not know, or expect nobody there.
   */
  calls(host: string, port = 80): Split {
    const service = this.service(host);
    if (service === undefined) return {};
    const split: Record<string, number> = {};
    for (const { workload, share } of choices(this.#mesh, service, port, this.#caller)) {
      if (workload.network !== this.#caller.network) this.#checkWay(service, workload);
      split[workload.cluster] = Math.round(1_000 * ((split[workload.cluster] ?? 0) + share)) / 1_000;
    }
    return split;
  }

  /** From now on it is known for how long calls to a host would have failed. */
  followGaps(host: string): void {
    this.#gaps.set(host, { sinceMs: undefined, longestMs: 0 });
    this.#measureGaps();
  }

  /** The longest time in which calls would have failed, in milliseconds; Infinity if they would now. */
  longestGapMs(host: string): number {
    const gap = this.#gaps.get(host)!;
    return gap.sinceMs === undefined ? gap.longestMs : Infinity;
  }

  #measureGaps(): void {
    const now = performance.now();
    for (const [host, gap] of this.#gaps) {
      const fails = Object.keys(this.calls(host)).length === 0;
      if (gap.sinceMs !== undefined) gap.longestMs = Math.max(gap.longestMs, now - gap.sinceMs);
      gap.sinceMs = fails ? (gap.sinceMs ?? now) : undefined;
    }
  }

  /** Addresses and ports of the gateways by which a workload's network is entered. */
  doors({ networkGateway }: Workload): readonly string[] {
    if (networkGateway === undefined) return [];
    const gateways = gatewaysAt(this.#mesh, networkGateway);
    return gateways.map(({ addresses: [ip], services }) => {
      const bound = services.flatMap(({ ports }) => ports);
      const port = bound.find(({ servicePort }) => servicePort === networkGateway.hbonePort)?.targetPort;
      return `${ip}:${port ?? networkGateway.hbonePort}`;
    });
  }

  #checkWay({ hostname, subjectAltNames }: Service, { uid, networkGateway }: Workload): void {
    if (gatewaysAt(this.#mesh, networkGateway!).length === 0) throw new Error(`${uid} has an unknown network gateway`);
    if (subjectAltNames.length === 0) throw new Error(`nobody is expected behind ${hostname} on the network of ${uid}`);
  }

  #behind(key: string): readonly Workload[] {
    return [...this.workloads.values()].filter(({ services }) => services.some(({ service }) => service === key));
  }

  get #mesh() {
    return {
      workloads: this.workloads,
      services: this.services,
      workloadsByService: { get: (key: string) => this.#behind(key) },
    };
  }

  #take(resources: readonly { readonly name: string; readonly body: Uint8Array }[], removed: readonly string[]): void {
    for (const { name, body } of resources) {
      const { service } = wds.Address.decode(body);
      if (service instanceof wds.Service) this.services.set(name, toService(name, service));
      else this.workloads.set(name, decodeWorkload(body));
    }
    for (const name of removed) for (const held of [this.services, this.workloads]) held.delete(name);
    this.removed.push(...removed);
    this.#measureGaps();
  }
}

const MODES = new Map<number, "unspecified" | "strict" | "failover" | "passthrough">([
  [wds.LoadBalancing.Mode.STRICT, "strict"],
  [wds.LoadBalancing.Mode.FAILOVER, "failover"],
  [wds.LoadBalancing.Mode.PASSTHROUGH, "passthrough"],
]);

function toService(name: string, message: istio.workload.Service): Service {
  const { loadBalancing, waypoint } = message;
  const allowAll = wds.LoadBalancing.HealthPolicy.ALLOW_ALL;
  return {
    key: name as ServiceName,
    name: message.name,
    namespace: message.namespace,
    hostname: message.hostname as Hostname,
    addresses: message.addresses.map(({ network, address }) => ({
      network: (network ?? "") as NetworkId,
      ip: ipText(address ?? new Uint8Array())!,
    })),
    ports: message.ports.map(({ servicePort, targetPort }) => ({
      servicePort: servicePort ?? 0,
      targetPort: targetPort ?? 0,
    })),
    subjectAltNames: message.subjectAltNames,
    waypoint: waypoint ? toGateway(waypoint) : undefined,
    loadBalancing: loadBalancing
      ? {
          mode: MODES.get(loadBalancing.mode ?? 0) ?? "unspecified",
          preference: (loadBalancing.routingPreference ?? []).map(
            (scope) => wds.LoadBalancing.Scope[scope]!.toLowerCase() as LoadBalancingScope,
          ),
          healthPolicy: loadBalancing.healthPolicy === allowAll ? "allow-all" : "only-healthy",
        }
      : undefined,
    ipFamilies: "automatic",
    canonical: message.canonical,
  };
}

function toGateway({ hostname, address, hboneMtlsPort }: istio.workload.IGatewayAddress): GatewayAddress {
  const hbonePort = hboneMtlsPort ?? 0;
  if (hostname) {
    const { namespace, hostname: host } = hostname;
    return {
      destination: { kind: "hostname", namespace: namespace ?? "", hostname: (host ?? "") as Hostname },
      hbonePort,
    };
  }
  const { network, address: bytes } = address ?? {};
  const at = { network: networkId(network ?? ""), ip: ipText(bytes ?? new Uint8Array()) ?? "" };
  return { destination: { kind: "address", address: at }, hbonePort };
}
