import type { Clock } from "../host.ts";
import type { ClusterId, ObjectKey, WorkloadUid } from "../names.ts";
import type { Collection } from "../registry/collection/collection.ts";
import type { Graph } from "../registry/collection/graph.ts";
import type { FederatedService } from "../registry/model/federated-service.ts";
import { type Granted, takesIn } from "../registry/model/granted.ts";
import type { ClusterFacts } from "../registry/model/peer.ts";
import type { Workload } from "../registry/model/workload.ts";
import type { PeerLogs } from "../xds/peer-gate.ts";
import { Publisher, type Refusal } from "../xds/publisher.ts";
import { ADDRESS_TYPE, FSDS_TYPE, type ResourceChange, SGDS_TYPE } from "../xds/resource.ts";
import { ResourceLog } from "../xds/resource-log.ts";
import { encodeWorkload } from "../xds/types/address.ts";
import { encodeClusterFacts } from "../xds/types/cluster-facts.ts";
import { encodeFederatedService } from "../xds/types/federated-service.ts";
import { grantKey } from "./grants.ts";

/** What our cluster shares, from its own objects only: what one peer said no other peer hears. */
export interface Exports {
  readonly services: Collection<ObjectKey, FederatedService>;
  readonly facts: Collection<ClusterId, ClusterFacts>;
  readonly workloads: Collection<WorkloadUid, Workload>;
}

/** What a peer may read of it. */
export interface ExportScope {
  readonly granted: Granted;
  /** The peer's, empty if it is in none; undefined if we do not read it, and it drops what is for other segments itself. */
  readonly segment: string | undefined;
}

/** Logs that a peer reads, until it lets go of them. */
export interface ExportLease extends Disposable {
  readonly logs: PeerLogs;
}

interface Changes {
  readonly services: readonly ResourceChange[];
  readonly facts: readonly ResourceChange[];
  readonly workloads: readonly ResourceChange[];
}

/**
 * What peers subscribe to. Each resource is encoded once; peers of whom all may be read share one set of logs, and so do
 * those with the same grant. Make it before the graph's first flush.
 */
export class ExportLogs {
  readonly #exports: Exports;
  readonly #services: Publisher<ObjectKey, FederatedService>;
  readonly #facts: Publisher<ClusterId, ClusterFacts>;
  readonly #workloads: Publisher<WorkloadUid, Workload>;
  readonly #everything = new LogSet((changes) => changes);
  /** By what distinguishes them; only those in use. */
  readonly #scoped = new Map<string, { readonly set: LogSet; leases: number }>();

  /** @param onChanged called after a settled change, once all logs have it. */
  constructor(graph: Graph, clock: Clock, exports: Exports, onChanged: () => void) {
    this.#exports = exports;
    this.#services = new Publisher(exports.services, (service) => encodeFederatedService(service, clock.now()));
    this.#facts = new Publisher(exports.facts, encodeClusterFacts);
    this.#workloads = new Publisher(exports.workloads, encodeWorkload);
    graph.onSettled(() => {
      if (this.#append()) onChanged();
    });
  }

  /** Values that could not be encoded; peers keep the last good ones. */
  refusals(): readonly Refusal[] {
    return [...this.#services.refusals, ...this.#facts.refusals, ...this.#workloads.refusals];
  }

  /** How many sets of logs there are, that of everything included. */
  get sets(): number {
    return 1 + this.#scoped.size;
  }

  lease(scope: ExportScope): ExportLease {
    if (scope.granted.length === 0 && scope.segment === undefined)
      return { logs: this.#everything.logs, [Symbol.dispose]: () => {} };
    const key = JSON.stringify([scope.segment ?? null, grantKey(scope.granted)]);
    const known = this.#scoped.get(key) ?? { set: this.#filtered(scope), leases: 0 };
    known.leases += 1;
    this.#scoped.set(key, known);
    let held = true;
    return {
      logs: known.set.logs,
      [Symbol.dispose]: () => {
        if (!held) return;
        held = false;
        known.leases -= 1;
        if (known.leases === 0) this.#scoped.delete(key);
      },
    };
  }

  #append(): boolean {
    const changes = {
      services: this.#services.changes(),
      facts: this.#facts.changes(),
      workloads: this.#workloads.changes(),
    };
    if (changes.services.length + changes.facts.length + changes.workloads.length === 0) return false;
    this.#everything.append(changes);
    for (const { set } of this.#scoped.values()) set.append(changes);
    return true;
  }

  #filtered(scope: ExportScope): LogSet {
    const set = new LogSet((changes) => this.#within(scope, changes));
    set.append(this.#everything.contents());
    return set;
  }

  /** What leaves a scope is deleted there; of what was never in it, a log knows nothing to delete. */
  #within(scope: ExportScope, { services, facts, workloads }: Changes): Changes {
    const heard = (change: ResourceChange): ResourceChange =>
      mayHear(scope, this.#exports.services.get(change.name as ObjectKey)) ? change : gone(change);
    const seen = (change: ResourceChange): ResourceChange =>
      change.after === undefined ? change : this.#seen(scope, change);
    return { facts, services: services.map(heard), workloads: workloads.map(seen) };
  }

  #seen(scope: ExportScope, change: ResourceChange): ResourceChange {
    const workload = this.#exports.workloads.get(change.name as WorkloadUid);
    const seen = workload && asHeard(scope, workload);
    if (seen === undefined) return gone(change);
    return seen === workload ? change : { name: change.name, after: encodeWorkload(seen) };
  }
}

/** One log for each type, of what its readers may know. */
class LogSet {
  readonly #services = new ResourceLog();
  readonly #facts = new ResourceLog();
  readonly #workloads = new ResourceLog();
  readonly #within: (changes: Changes) => Changes;
  readonly logs: PeerLogs = new Map([
    [SGDS_TYPE, this.#facts],
    [FSDS_TYPE, this.#services],
    [ADDRESS_TYPE, this.#workloads],
  ]);

  constructor(within: (changes: Changes) => Changes) {
    this.#within = within;
  }

  append(changes: Changes): void {
    const { services, facts, workloads } = this.#within(changes);
    this.#facts.append(facts);
    this.#services.append(services);
    this.#workloads.append(workloads);
  }

  contents(): Changes {
    return {
      services: contentsOf(this.#services),
      facts: contentsOf(this.#facts),
      workloads: contentsOf(this.#workloads),
    };
  }
}

const gone = ({ name }: ResourceChange): ResourceChange => ({ name, after: undefined });

const contentsOf = (log: ResourceLog): readonly ResourceChange[] =>
  [...log.names()].map((name) => ({ name, after: log.get(name) }));

/** Whether a service is told to whom the scope is for. */
export function mayHear({ granted, segment }: ExportScope, service: FederatedService | undefined): boolean {
  if (service === undefined) return false;
  if (service.scope === "segment" && segment !== undefined && segment !== service.segment) return false;
  return takesIn(granted, service.namespace, service.name);
}

/** A workload is known with those of its services that are: their names, too, are only for whom they are granted. */
export function asHeard({ granted }: ExportScope, workload: Workload): Workload | undefined {
  const services = workload.services.filter(({ service }) => isGranted(granted, service));
  if (services.length === 0) return undefined;
  return services.length === workload.services.length ? workload : { ...workload, services };
}

/** @param service as `namespace/name.namespace.domain`; an alias does not say whose it is, so only those have it who have all. */
function isGranted(granted: Granted, service: string): boolean {
  if (granted.length === 0) return true;
  const [namespace = "", host = ""] = service.split("/");
  const [name = "", second] = host.split(".");
  return second === namespace && takesIn(granted, namespace, name);
}
