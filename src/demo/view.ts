import type { DeltaUpdate } from "../xds/delta-client.ts";
import { ADDRESS_TYPE, AUTHORIZATION_TYPE } from "../xds/resource.ts";
import { toReadable } from "../xds/types/readable.ts";

/** A service that several clusters share, as a ztunnel of one of them sees it. */
export interface GlobalService {
  readonly host: string;
  /** Its first address. */
  readonly vip: string;
  /** Ready endpoints by cluster; those of other clusters count as much as their aggregate has capacity. */
  readonly endpoints: Readonly<Record<string, number>>;
}

/** What a ztunnel holds, counted. */
export interface MeshCounts {
  readonly workloads: number;
  readonly services: number;
  readonly policies: number;
}

/** The parts of an address that count here, as `toReadable` gives them. */
interface Address {
  readonly uid?: string;
  readonly hostname?: string;
  readonly namespace?: string;
  readonly addresses?: readonly { readonly address?: string }[];
  readonly services?: Readonly<Record<string, unknown>>;
  readonly clusterId?: string;
  readonly status?: string;
  readonly capacity?: { readonly value?: number };
}

/** All that one client received, resource by resource. */
export class MeshView {
  readonly #addresses = new Map<string, Address>();
  readonly #policies = new Set<string>();
  /** The types of which a response has come. */
  readonly #heard = new Set<string>();

  /** True once there was a response of both types. */
  get complete(): boolean {
    return this.#heard.size === 2;
  }

  take({ typeUrl, resources, removed }: DeltaUpdate): void {
    this.#heard.add(typeUrl);
    if (typeUrl === AUTHORIZATION_TYPE) {
      for (const { name } of resources) this.#policies.add(name);
      for (const name of removed) this.#policies.delete(name);
    }
    if (typeUrl !== ADDRESS_TYPE) return;
    for (const { name, body } of resources) this.#addresses.set(name, toReadable(ADDRESS_TYPE, body) as Address);
    for (const name of removed) this.#addresses.delete(name);
  }

  counts(): MeshCounts {
    const workloads = [...this.#addresses.values()].filter(isWorkload).length;
    return { workloads, services: this.#addresses.size - workloads, policies: this.#policies.size };
  }

  /** The services under one domain, as `mesh.internal`, by host. */
  globalServices(domain: string): readonly GlobalService[] {
    const workloads = [...this.#addresses.values()].filter(isWorkload);
    return [...this.#addresses]
      .filter(([, address]) => !isWorkload(address) && address.hostname?.endsWith(`.${domain}`))
      .map(([name, { hostname = "", addresses = [] }]) => ({
        host: hostname,
        vip: addresses[0]?.address ?? "",
        endpoints: endpointsOf(workloads.filter(({ services }) => services !== undefined && name in services)),
      }))
      .sort((a, b) => (a.host < b.host ? -1 : 1));
  }
}

const isWorkload = ({ uid }: Address): boolean => uid !== undefined && uid !== "";

function endpointsOf(workloads: readonly Address[]): Record<string, number> {
  const endpoints: Record<string, number> = {};
  for (const { clusterId = "", status, capacity } of workloads)
    if (status !== "UNHEALTHY") endpoints[clusterId] = (endpoints[clusterId] ?? 0) + (capacity?.value ?? 1);
  return Object.fromEntries(Object.entries(endpoints).sort(([a], [b]) => (a < b ? -1 : 1)));
}
