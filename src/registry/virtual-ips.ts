import { createHash } from "node:crypto";
import { serviceName, type ClusterId, type ServiceName } from "../names.ts";
import type { Collection } from "./collection/collection.ts";
import { CollectionNode, type Graph, rankAbove } from "./collection/graph.ts";
import type { ServiceEntry } from "./kube/service-entry.ts";
import type { KubeService } from "./kube/service.ts";
import type { ObjectKey } from "../names.ts";

/** Where allocated addresses outlive a restart: slot numbers by service. */
export interface VirtualIpStore {
  load(): ReadonlyMap<ServiceName, number>;
  /**
   * Called after each flush that changed an allocation, with all of them, and before them those whose host is not there
   * now, the longest gone first: in this order they are to be loaded. At most `SLOTS` in all. Must not throw.
   */
  save(slots: ReadonlyMap<ServiceName, number>): void;
}

/** What settles who gets an address from us. */
export interface VirtualIpOptions {
  readonly localCluster: ClusterId;
  readonly virtualIps: VirtualIpStore;
  /** False if only addresses that a status names count. */
  readonly allocateIps: boolean;
}

export interface AddressedObjects {
  readonly serviceEntries: Collection<ObjectKey, ServiceEntry>;
  readonly services: Collection<ObjectKey, KubeService>;
}

/** Who wants an address for a service that no object of the local cluster is: whoever is at this place among those who say so. */
const nobodyHere = (at: number): ObjectKey => `${at}` as ObjectKey;

/** Forgets on restart; the hash still brings nearly every host back to its slot. */
export const forgetfulStore: VirtualIpStore = { load: () => new Map(), save: () => {} };

/** How many hosts there are addresses for: 240.240.0.0/16 and 2001:2::/48, without the first and the last address of the smaller. */
export const SLOTS = 65_534;
const ipv4Of = (slot: number): string => `240.240.${slot >> 8}.${slot & 255}`;
const ipv6Of = (slot: number): string => `2001:2::${slot.toString(16)}`;

/** The slot of an address of ours; undefined for all others. */
function slotOf(ip: string): number | undefined {
  const v4 = /^240\.240\.([0-9]+)\.([0-9]+)$/.exec(ip);
  if (v4) return Number(v4[1]) * 256 + Number(v4[2]);
  const v6 = /^2001:2::([0-9a-f]{1,4})$/.exec(ip);
  return v6 ? parseInt(v6[1]!, 16) : undefined;
}

/** Where to begin looking: the same on every replica, so they agree without a word. */
function firstSlot(name: ServiceName): number {
  return 1 + (createHash("sha256").update(name).digest().readUInt32BE() % SLOTS);
}

/**
 * An address of each family for every host that has none (contract ztunnel.md 5.5). An allocation stays until
 * somebody chooses the same address for something else. A host that goes finds its address again when it returns, also
 * after a restart: nobody else gets it while another is free, and then that of the host that went first goes.
 */
export function virtualIps(
  graph: Graph,
  { serviceEntries, services }: AddressedObjects,
  /** Names that nothing here has an address for, of services of other clusters. */
  names: readonly Collection<ServiceName, true>[],
  options: VirtualIpOptions,
): Collection<ServiceName, readonly string[]> {
  const node = new VirtualIps(serviceEntries, services, names, options);
  graph.add(node);
  return node;
}

class VirtualIps extends CollectionNode<ServiceName, readonly string[]> {
  /** Who needs an address, and the addresses that its status already names. */
  readonly #wanted = new Map<ServiceName, Map<ObjectKey, readonly string[]>>();
  /** How many objects were given an address in a slot. */
  readonly #given = new Map<number, number>();
  readonly #slots = new Map<ServiceName, number>();
  /** Slots of hosts that are not there, the longest gone first. */
  readonly #kept = new Map<ServiceName, number>();
  /** Whose each slot is, whether it is there or not. */
  readonly #holders = new Map<number, ServiceName>();
  #unsaved = false;

  constructor(
    readonly serviceEntries: Collection<ObjectKey, ServiceEntry>,
    readonly services: Collection<ObjectKey, KubeService>,
    readonly names: readonly Collection<ServiceName, true>[],
    readonly options: VirtualIpOptions,
  ) {
    super("virtual-ips", rankAbove([serviceEntries, services, ...names]), sameTexts);
    for (const [name, slot] of options.virtualIps.load()) {
      if (!Number.isInteger(slot) || slot < 1 || slot > SLOTS || this.#holders.has(slot)) continue;
      this.#kept.set(name, slot);
      this.#holders.set(slot, name);
    }
  }

  override settle(): void {
    const stale = new Set<ServiceName>();
    for (const { before, after } of this.services.batch) {
      for (const ip of before?.clusterIps ?? []) this.#give(ip, -1, stale);
      for (const ip of after?.clusterIps ?? []) this.#give(ip, 1, stale);
    }
    for (const { key, before, after } of this.serviceEntries.batch) {
      if (before) this.#count(key, before, -1, stale);
      if (after) this.#count(key, after, 1, stale);
    }
    for (const [at, { batch }] of this.names.entries())
      for (const { key, after } of batch) {
        if (!this.options.allocateIps) continue;
        stale.add(key);
        this.#want(key, nobodyHere(at), after && []);
      }
    for (const name of [...stale].sort()) this.#allocate(name);
  }

  override publish(): void {
    super.publish();
    if (!this.#unsaved) return;
    this.#unsaved = false;
    this.options.virtualIps.save(new Map([...this.#kept, ...this.#slots]));
  }

  #count(key: ObjectKey, entry: ServiceEntry, step: 1 | -1, stale: Set<ServiceName>): void {
    for (const { ip } of entry.addresses) this.#give(ip, step, stale);
    if (entry.id.cluster !== this.options.localCluster) return;
    for (const host of hostsInNeed(entry, this.options.allocateIps)) {
      const name = serviceName(entry.id.namespace, host);
      stale.add(name);
      for (const ip of assignedTo(entry, host)) this.#give(ip, step, stale);
      this.#want(name, key, step > 0 ? assignedTo(entry, host) : undefined);
    }
  }

  /** `assigned` is undefined once `key` needs no address for `name`. */
  #want(name: ServiceName, key: ObjectKey, assigned: readonly string[] | undefined): void {
    const wanting = this.#wanted.get(name) ?? new Map<ObjectKey, readonly string[]>();
    if (assigned === undefined) wanting.delete(key);
    else wanting.set(key, assigned);
    if (wanting.size === 0) this.#wanted.delete(name);
    else this.#wanted.set(name, wanting);
  }

  /** An address that a user chose, or a status names, is nobody's to allocate, and whoever has it must move. */
  #give(ip: string, step: 1 | -1, stale: Set<ServiceName>): void {
    const slot = slotOf(ip);
    if (slot === undefined) return;
    const count = (this.#given.get(slot) ?? 0) + step;
    if (count === 0) this.#given.delete(slot);
    else this.#given.set(slot, count);
    const holder = this.#holders.get(slot);
    if (holder !== undefined && this.#slots.get(holder) === slot) stale.add(holder);
  }

  #allocate(name: ServiceName): void {
    const wanting = this.#wanted.get(name);
    const assigned = [...(wanting?.entries() ?? [])]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, ips]) => ips)
      .find((ips) => ips.length > 0);
    this.#keep(name, wanting && !assigned ? this.#choose(name) : undefined);
    const slot = this.#slots.get(name);
    this.write(name, wanting ? (assigned ?? (slot === undefined ? [] : [ipv4Of(slot), ipv6Of(slot)])) : undefined);
  }

  #choose(name: ServiceName): number | undefined {
    const known = this.#slots.get(name) ?? this.#kept.get(name);
    if (known !== undefined && this.#isFree(known, name)) return known;
    const first = firstSlot(name);
    for (let step = 0; step < SLOTS; step++) {
      const slot = 1 + ((first - 1 + step) % SLOTS);
      if (this.#isFree(slot, name)) return slot;
    }
    for (const slot of this.#kept.values()) if (!this.#given.has(slot)) return slot;
    return undefined;
  }

  #isFree(slot: number, name: ServiceName): boolean {
    const holder = this.#holders.get(slot);
    return !this.#given.has(slot) && (holder === undefined || holder === name);
  }

  #keep(name: ServiceName, slot: number | undefined): void {
    const before = this.#slots.get(name);
    if (before === slot) return;
    this.#unsaved = true;
    if (slot === undefined) {
      this.#slots.delete(name);
      this.#kept.set(name, before!);
      return;
    }
    const own = before ?? this.#kept.get(name);
    if (own !== undefined) this.#holders.delete(own);
    this.#kept.delete(name);
    // What is left of its former holder, if that is long gone.
    this.#kept.delete(this.#holders.get(slot) ?? name);
    this.#slots.set(name, slot);
    this.#holders.set(slot, name);
  }
}

/** Hosts of an entry that get addresses from us; a wildcard only where somebody resolves what it stands for. */
export function hostsInNeed(entry: ServiceEntry, allocateIps: boolean): readonly string[] {
  const allocate = allocateIps && entry.allocate;
  if (!allocate && entry.assigned.length === 0) return [];
  if (entry.addresses.length > 0 || entry.resolution === "NONE") return [];
  return entry.hosts.filter(
    (host) =>
      (allocate && (!host.startsWith("*") || entry.resolution === "DYNAMIC_DNS")) || assignedTo(entry, host).length > 0,
  );
}

export const assignedTo = (entry: ServiceEntry, host: string): readonly string[] =>
  entry.assigned.filter((assigned) => assigned.host === host).map(({ ip }) => ip);

const sameTexts = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((text, at) => text === b[at]);
