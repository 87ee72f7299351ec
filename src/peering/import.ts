import type { Clock } from "../host.ts";
import type { ClusterId, ObjectKey, WorkloadUid } from "../names.ts";
import { printable } from "../printable.ts";
import type { FederatedService } from "../registry/model/federated-service.ts";
import type { ClusterFacts, ImportDenial } from "../registry/model/peer.ts";
import type { Workload } from "../registry/model/workload.ts";
import type { ReceivedResource } from "../xds/delta-client.ts";
import { ADDRESS_TYPE, FSDS_TYPE, SGDS_TYPE, TYPE_NAMES, type TypeUrl } from "../xds/resource.ts";
import { decodeWorkload } from "../xds/types/address.ts";
import { decodeClusterFacts } from "../xds/types/cluster-facts.ts";
import { decodeFederatedService } from "../xds/types/federated-service.ts";
import { type PeerQuota, Tally } from "./allowance.ts";
import type { LinkContents } from "./link-contents.ts";
import type { Writes } from "./paced-writes.ts";
import { ImportedRecords, type SavedRecord } from "./imported-records.ts";
import {
  checkFacts,
  checkService,
  checkWorkload,
  type Denial,
  type DenialReason,
  type PeerRules,
  trimmed,
  withoutOwnNodes,
} from "./rules.ts";

/** In the order in which they are asked for: what a peer says of itself explains the rest (contract peering.md 2.4). */
export const PEER_TYPES = [SGDS_TYPE, FSDS_TYPE, ADDRESS_TYPE] as const satisfies readonly TypeUrl[];

/** Where a peer's records go: the registry's sources. */
export interface PeerIntake {
  readonly federated: Writes<ObjectKey, FederatedService>;
  readonly facts: Writes<ClusterId, ClusterFacts>;
  readonly workloads: Writes<WorkloadUid, Workload>;
  readonly denied: Denied;
}

type Denied = Writes<ObjectKey, ImportDenial>;

export interface ImportOptions {
  readonly intake: PeerIntake;
  readonly quota: PeerQuota;
  readonly onDenied: (reason: DenialReason) => void;
  /** A service was taken; when its exporter changed it, in milliseconds of the exporter's wall clock. */
  readonly onService: (changedMs: number) => void;
}

/** What is kept of a peer over a restart. */
export type SavedRecords = Readonly<Record<TypeUrl, readonly SavedRecord[]>>;

/** Records of one type, whichever it is. */
type Imported = Omit<ImportedRecords<never, never>, "get">;

/**
 * One peer's records on their way to the registry. Each is checked against the link that it came by; one that may not be
 * taken is left out and reported, what it would have replaced stays, and all others count. Nothing shows before the peer
 * has said all of its first state.
 */
export class PeerImport {
  readonly #facts: ImportedRecords<ClusterId, ClusterFacts>;
  readonly #workloads: ImportedRecords<WorkloadUid, Workload>;
  readonly #byType: ReadonlyMap<TypeUrl, Imported>;
  readonly #tally: Tally;
  #rules: PeerRules;

  constructor(clock: Clock, { intake, quota, onDenied, onService }: ImportOptions, rules: PeerRules) {
    this.#rules = rules;
    const tally = (this.#tally = new Tally(quota));
    const decodeService = (body: Uint8Array): FederatedService => {
      const { service, changedMs } = decodeFederatedService(body);
      onService(changedMs);
      return service;
    };
    const present = <V>(value: V): V => value;
    const facts = (this.#facts = new ImportedRecords<ClusterId, ClusterFacts>(
      clock,
      {
        ...{ source: intake.facts, decode: (body) => withoutOwnNodes(decodeClusterFacts(body)), present },
        check: (...asked) => checkFacts(...asked, this.#rules),
      },
      tally,
      onDenied,
    ));
    const services = new ImportedRecords<ObjectKey, FederatedService>(
      clock,
      {
        ...{ source: intake.federated, decode: decodeService, present, denied: this.#ownNames(intake.denied) },
        check: (...asked) => checkService(...asked, this.#rules),
        drained: (service, withdrawnUntilMs) => ({ ...service, ready: 0, localities: [], withdrawnUntilMs }),
      },
      tally,
      onDenied,
    );
    const workloads = (this.#workloads = new ImportedRecords<WorkloadUid, Workload>(
      clock,
      {
        ...{ source: intake.workloads, decode: decodeWorkload },
        present: (workload) => trimmed(workload, this.facts),
        check: (...asked) => checkWorkload(...asked, this.#rules),
      },
      tally,
      onDenied,
    ));
    this.#byType = new Map<TypeUrl, Imported>([
      [SGDS_TYPE, facts],
      [FSDS_TYPE, services],
      [ADDRESS_TYPE, workloads],
    ]);
  }

  /** A name that is not the peer's own is nobody's to ask for, and must not stand for another's. */
  #ownNames(denied: Denied): Denied {
    const isOwn = (name: string): boolean => name.startsWith(`${this.#rules.target.cluster}/`);
    return {
      set: (name, denial) => (isOwn(name) ? denied.set(name, denial) : undefined),
      delete: (name) => (isOwn(name) ? denied.delete(name) : undefined),
    };
  }

  /** What the peer says of itself; undefined until it has, or if that may not be believed. */
  get facts(): ClusterFacts | undefined {
    return this.#facts.get(this.#rules.target.cluster);
  }
  get records(): number {
    return this.#tally.records;
  }
  /** Encoded, of all that is held. */
  get bytes(): number {
    return this.#tally.bytes;
  }
  /** How many are held of a type. */
  count(typeUrl: TypeUrl): number {
    return this.#of(typeUrl).size;
  }
  /** As the peer has it of what it says; undefined while something of that was not taken. */
  digestOf(typeUrl: TypeUrl): string | undefined {
    const { denials, digest } = this.#of(typeUrl);
    return denials.size > 0 ? undefined : digest;
  }
  /** What is held of each type, to be compared with what the peer says that it shares. */
  get contents(): LinkContents {
    return Object.fromEntries(
      Array.from(this.#byType, ([typeUrl, { size, digest }]) => [TYPE_NAMES.get(typeUrl), { records: size, digest }]),
    );
  }
  /** Versions by name, to resume with. */
  versions(typeUrl: TypeUrl): ReadonlyMap<string, string> {
    return this.#of(typeUrl).versions;
  }

  /** Whether a record is held, or was refused. */
  knows(typeUrl: TypeUrl, name: string): boolean {
    return this.#of(typeUrl).knows(name);
  }

  /**
   * Why whoever says this is not our peer, though it has proven to be of the same trust domain: the peer's address may be
   * another's by now, and what that one does not have the peer has not withdrawn. A peer always says what it is itself.
   */
  whyStranger(
    typeUrl: TypeUrl,
    resources: readonly ReceivedResource[],
    removed: readonly string[],
  ): string | undefined {
    if (typeUrl !== SGDS_TYPE) return undefined;
    const { cluster, gateway } = this.#rules.target;
    const right = `Gateway ${gateway} leads to ${cluster}; correct its address, or its label topology.istio.io/cluster`;
    const other = resources
      .map(({ body }) => clusterIn(body))
      .find((named) => named !== cluster && named !== undefined);
    if (other !== undefined && !resources.some(({ name }) => name === cluster))
      return `whoever answers is cluster ${other}, and ${right}`;
    return removed.includes(cluster) ? `whoever answers is not cluster ${cluster} any more, and ${right}` : undefined;
  }

  take(typeUrl: TypeUrl, resources: readonly ReceivedResource[], removed: readonly string[]): void {
    const records = this.#of(typeUrl);
    for (const name of removed) records.remove(name);
    for (const resource of resources) records.take(resource);
    if (typeUrl === SGDS_TYPE) this.#workloads.refresh();
  }

  /** All of the peer's state is here, or what it was before a restart: it shows from now on. */
  show(): void {
    for (const records of this.#byType.values()) records.show();
  }

  /** Holds what is here, and what comes, to other rules. @returns true if something was refused under the old ones. */
  follow(rules: PeerRules): boolean {
    const refused = this.denials.length > 0;
    this.#rules = rules;
    for (const records of this.#byType.values()) records.recheck();
    return refused;
  }

  /** Nothing of the peer is left. */
  clear(): void {
    for (const records of this.#byType.values()) records.clear();
  }

  /** Waits for nothing any more; what shows stays. */
  close(): void {
    for (const records of this.#byType.values()) records.close();
  }

  /** How many records are not taken; of each type up to as many as are remembered. */
  get denied(): number {
    return [...this.#byType.values()].reduce((sum, { denials }) => sum + denials.size, 0);
  }

  /** What was not taken, some of it if it is much. */
  get denials(): readonly (Denial & { readonly name: string })[] {
    return [...this.#byType.values()].flatMap(({ denials }) =>
      Array.from(denials, ([name, denial]) => ({ name: printable(name, 253), ...denial })),
    );
  }

  save(): SavedRecords {
    return Object.fromEntries(Array.from(this.#byType, ([typeUrl, records]) => [typeUrl, records.save()]));
  }

  load(saved: SavedRecords): void {
    for (const [typeUrl, records] of this.#byType) records.load(saved[typeUrl] ?? []);
  }

  #of(typeUrl: TypeUrl): Imported {
    return this.#byType.get(typeUrl)!;
  }
}

/** Whom facts are about; undefined if they cannot be read. */
function clusterIn(body: Uint8Array): ClusterId | undefined {
  try {
    return decodeClusterFacts(body).cluster;
  } catch {
    return undefined;
  }
}
