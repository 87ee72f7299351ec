import { readFileSync } from "node:fs";
import { nodeOf } from "../../src/commands/watch.ts";
import { networkId } from "../../src/names.ts";
import type { Service } from "../../src/registry/model/service.ts";
import type { Workload } from "../../src/registry/model/workload.ts";
import { systemClock } from "../../src/system-host.ts";
import { DeltaClient } from "../../src/xds/delta-client.ts";
import { followXds } from "../../src/xds/follow.ts";
import { ADDRESS_TYPE, AUTHORIZATION_TYPE } from "../../src/xds/resource.ts";
import { HeldMesh } from "../kits/held-mesh.ts";
import { type Caller, choices, gatewaysAt } from "../kits/ztunnel-choice.ts";
import { type Causeway, eventually } from "./causeway-process.ts";

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
  readonly #mesh = new HeldMesh();
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
        if (typeUrl !== ADDRESS_TYPE) return;
        this.#mesh.take(resources, removed);
        this.#measureGaps();
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
    return this.#mesh.service(host);
  }
  get workloads(): ReadonlyMap<string, Workload> {
    return this.#mesh.workloads;
  }
  get services(): ReadonlyMap<string, Service> {
    return this.#mesh.services;
  }
  /** Names, as they were removed. */
  get removed(): readonly string[] {
    return this.#mesh.removed;
  }

  /** The workloads behind a host, in the order of their names. */
  endpoints(host: string): readonly Workload[] {
    const key = this.service(host)?.key;
    return key === undefined
      ? []
      : [...this.#mesh.workloadsByService.get(key)].sort((a, b) => (a.uid < b.uid ? -1 : 1));
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
}
