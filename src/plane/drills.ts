import type { EpochMs, Host } from "../host.ts";
import { objectKey, serviceName, type ClusterId, type ObjectKey, type ServiceName } from "../names.ts";
import type { Graph } from "../registry/collection/graph.ts";
import { DRAIN_AHEAD_MAX_MS, type Drain, type DrainKey, isOfGateway } from "../registry/drains.ts";
import type { Workload } from "../registry/model/workload.ts";
import type { Registry } from "../registry/registry.ts";
import { DrainGauges } from "./drain-gauges.ts";

/** For wall time that jumps: no end is missed by more. */
const LOOK_MS = 60_000;
/** Until what peers had begun before they heard has come here (contract peering.md 2.13, the last rows of its table). */
const LEAVE_MS = 5_000;
/**
 * Two clusters that drain one service would each see the other's endpoints come back as it gives up, and begin anew, both
 * at once and for ever: so the next try waits, and for each as long as chance says.
 */
const AGAIN_MS = 5_000;

/**
 * Says which drains are in force: those whose time is not over, and whose calls somebody else can take, for ztunnel never
 * calls an endpoint that is not healthy, and a name with no other would be out of reach (contract ztunnel.md 6.5).
 * What it knows it has from the objects and the time, so a restart changes nothing.
 */
export class Drills {
  readonly #host: Host;
  readonly #registry: Registry;
  readonly #local: ClusterId;
  readonly #gauges: DrainGauges;
  readonly #observing: Disposable[] = [];
  /** Those whose end has not been judged to be over, however late it is by now. */
  readonly #open = new Set<DrainKey>();
  /** When a Service takes its next step, by elapsed time. */
  readonly #stepsMs = new Map<DrainKey, number>();
  #timer: Disposable | undefined;

  constructor(host: Host, registry: Registry) {
    this.#host = host;
    this.#registry = registry;
    this.#gauges = new DrainGauges(host, registry.drains);
    this.#local = registry.globalCandidates.inputs.options.localCluster;
  }

  /** What is wanted by now has been in force before: it is, from the next flush on. What peers said must be there. */
  start(): void {
    const { drains, workloads, peerGateways } = this.#registry;
    this.#observing.push(
      drains.wanted.observe(() => {
        this.#judgeAll(false);
        this.#gauges.update();
      }),
      drains.states.observe(() => this.#gauges.update()),
      peerGateways.observe(() => this.#judgeAll(false)),
      workloads.observe((batch) => {
        if (drains.wanted.size === 0) return;
        const touched = batch.flatMap(({ before, after }) => [...(before?.services ?? []), ...(after?.services ?? [])]);
        this.#judgeNames(new Set(touched.map(({ service }) => service)));
      }),
    );
    this.#judgeAll(true);
    this.#gauges.update();
  }

  close(): void {
    for (const observing of this.#observing.splice(0)) observing[Symbol.dispose]();
    this.#timer?.[Symbol.dispose]();
  }

  #judgeAll(starting: boolean): void {
    const { wanted, states, spared } = this.#registry.drains;
    const now = this.#host.clock.now();
    for (const key of this.#open) if (wanted.get(key) === undefined) this.#end(key);
    for (const [key, { untilMs }] of wanted.entries()) {
      if (untilMs === undefined || untilMs <= now) {
        this.#end(key);
        continue;
      }
      this.#open.add(key);
      if (untilMs - now > DRAIN_AHEAD_MAX_MS) states.set(key, { untilMs, state: "far" });
      else if (isOfGateway(key)) states.set(key, { untilMs, state: "drained" });
      else this.#stepService(key, untilMs, starting);
    }
    const kept = [...this.#recordsOfDrainedPeers()].filter((record) => this.#isNeeded(record));
    spared.replace(
      "",
      kept.map((record) => [record, true] as const),
    );
    this.#schedule();
  }

  /** After endpoints of these changed: whether others can take what is drained. */
  #judgeNames(names: ReadonlySet<ServiceName>): void {
    const { drains, globalCandidates } = this.#registry;
    const now = this.#host.clock.now();
    const identities = new Set<string>();
    for (const name of names) {
      const host = globalCandidates.inputs.offers.hosts.get(name);
      if (host !== undefined) identities.add(`${host.namespace}/${host.name}`);
    }
    if (identities.size === 0) return;
    for (const [key, { untilMs, id }] of drains.wanted.entries()) {
      if (untilMs === undefined || !this.#isInTime(untilMs, now)) continue;
      if (!isOfGateway(key)) {
        if (identities.has(`${id.namespace}/${id.name}`)) this.#stepService(key, untilMs, false);
        continue;
      }
      const cluster = this.#clusterOf(key);
      for (const identity of cluster === undefined ? [] : identities) {
        const record: ObjectKey = `${cluster!}/${identity}` as ObjectKey;
        if (this.#registry.peers.federated.get(record) !== undefined && this.#isNeeded(record))
          drains.spared.set(record, true);
        else drains.spared.delete(record);
      }
    }
    this.#schedule();
  }

  #stepService(key: DrainKey, untilMs: EpochMs, starting: boolean): void {
    const before = this.#registry.drains.states.get(key)?.state;
    const elapsedMs = this.#host.clock.elapsedMs();
    const write = (state: Drain["state"], inMs?: number): void => {
      if (inMs === undefined) this.#stepsMs.delete(key);
      else this.#stepsMs.set(key, elapsedMs + inMs);
      this.#registry.drains.states.set(key, { untilMs, state });
    };
    if (!this.#hasOthers(objectOf(key))) write("spared");
    else if (starting || before === "drained") write("drained");
    else if (before !== "spared" && before !== "leaving") write("leaving", LEAVE_MS);
    else {
      const dueMs = this.#stepsMs.get(key);
      if (dueMs === undefined) write(before, AGAIN_MS * (1 + 2 * this.#host.random.next()));
      else if (elapsedMs < dueMs) write(before, dueMs - elapsedMs);
      else if (before === "spared") write("leaving", LEAVE_MS);
      else write("drained");
    }
  }

  #end(key: DrainKey): void {
    this.#open.delete(key);
    this.#stepsMs.delete(key);
    this.#registry.drains.states.delete(key);
  }

  *#recordsOfDrainedPeers(): Iterable<ObjectKey> {
    const drained = this.#drainedPeers();
    if (drained.size === 0) return;
    for (const [key, { cluster }] of this.#registry.peers.federated.entries()) if (drained.has(cluster)) yield key;
  }

  /** Asked to be, whatever came of it for one service or another: nobody may count on them. */
  #drainedPeers(): ReadonlySet<ClusterId> {
    const now = this.#host.clock.now();
    const found = new Set<ClusterId>();
    for (const [key, { untilMs }] of this.#registry.drains.wanted.entries()) {
      const cluster = isOfGateway(key) && this.#isInTime(untilMs, now) ? this.#clusterOf(key) : undefined;
      if (cluster !== undefined) found.add(cluster);
    }
    return found;
  }

  #clusterOf(key: DrainKey): ClusterId | undefined {
    const gateway = this.#registry.peerGateways.get(objectOf(key));
    return gateway?.refused === undefined ? gateway?.cluster : undefined;
  }

  #isInTime = (untilMs: EpochMs | undefined, now: EpochMs): boolean =>
    untilMs !== undefined && untilMs > now && untilMs - now <= DRAIN_AHEAD_MAX_MS;

  /** True if nobody could take the calls of what a drained peer shares. */
  #isNeeded(record: ObjectKey): boolean {
    const member = this.#registry.globalCandidates.inputs.offers.federated.get(record);
    if (member === undefined) return false;
    const { cluster, namespace, name, names } = member;
    const isOwnDrained = this.#isWantedService(objectKey(this.#local, namespace, name));
    return !this.#isTaken(names[0].service, (other) => other !== cluster && !(other === this.#local && isOwnDrained));
  }

  #isWantedService(key: ObjectKey): boolean {
    return this.#isInTime(this.#registry.drains.wanted.get(`Service ${key}`)?.untilMs, this.#host.clock.now());
  }

  /**
   * True if a peer can take the calls of a Service of ours. Clusters that we read by a remote secret do not count: the
   * other peers, who call it too, hear nothing of them from us.
   */
  #hasOthers(key: ObjectKey): boolean {
    const { shared } = this.#registry;
    const service = shared.get(key);
    const [first] = service?.hosts ?? [];
    if (service === undefined || first === undefined) return false;
    const { namespace, name } = service.kube.id;
    const { federated } = this.#registry.peers;
    const hears = (other: ClusterId): boolean => federated.get(objectKey(other, namespace, name)) !== undefined;
    return this.#isTaken(serviceName(namespace, first.host), hears);
  }

  #isTaken(name: ServiceName, counts: (cluster: ClusterId) => boolean): boolean {
    const drained = this.#drainedPeers();
    const takes = ({ cluster, healthy, capacity }: Workload): boolean =>
      healthy && capacity !== 0 && counts(cluster) && !drained.has(cluster);
    return this.#registry.workloadsByService.get(name).some(takes);
  }

  #schedule(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    const { clock } = this.#host;
    const now = clock.now();
    const ends = Array.from(this.#open, (key) => (this.#registry.drains.wanted.get(key)?.untilMs ?? now) - now);
    const waits = [
      // A timer may be early by a millisecond, and the end pass while others are judged: that one is due now.
      ...ends.map((leftMs) => (leftMs > DRAIN_AHEAD_MAX_MS ? leftMs - DRAIN_AHEAD_MAX_MS : Math.max(0, leftMs))),
      ...Array.from(this.#stepsMs.values(), (dueMs) => Math.max(0, dueMs - clock.elapsedMs())),
    ];
    if (waits.length === 0) return;
    this.#timer = clock.after(Math.min(LOOK_MS, ...waits), () => this.#judgeAll(false));
  }
}

export interface DrilledPlane {
  readonly graph: Graph;
  readonly registry: Registry;
}

/** What is drained already is so from here on: nobody was served before. @returns what ends it. */
export function startDrills(host: Host, { graph, registry }: DrilledPlane): () => void {
  graph.flush();
  const drills = new Drills(host, registry);
  drills.start();
  graph.flush();
  return () => drills.close();
}

const objectOf = (key: DrainKey): ObjectKey => key.slice(key.indexOf(" ") + 1) as ObjectKey;
