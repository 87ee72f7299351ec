import type { Clock } from "../host.ts";
import type { GatewayHost } from "../registry/model/address.ts";
import type { ClusterFacts, PeerStatus } from "../registry/model/peer.ts";
import type { PeerTarget } from "./peer.ts";
import type { Door } from "./probe.ts";

/** A peer that is there is asked rarely, one that is not often: its traffic shall fail over (contract peering.md 2.13). */
const CALM_MS = 30_000;
const ANXIOUS_MS = 5_000;
/** One connection that fails can be chance. */
const FAILURES_MIN = 2;
const DOORS_MAX = 4;
const HBONE_PORT = 15_008;

/** Whether the way into a peer's network is open, as seen from here: one probe at a time, and few doors of many. */
export class DataPlane {
  readonly #clock: Clock;
  readonly #probe: (door: Door) => Promise<boolean>;
  readonly #onChange: () => void;
  #state: PeerStatus["dataPlane"] = "unknown";
  #failures = 0;
  #probing = false;
  #dueMs: number;

  constructor(clock: Clock, probe: (door: Door) => Promise<boolean>, onChange: () => void) {
    this.#clock = clock;
    this.#probe = probe;
    this.#onChange = onChange;
    this.#dueMs = clock.elapsedMs();
  }

  get state(): PeerStatus["dataPlane"] {
    return this.#state;
  }

  /** Probes if it is time to. Called every few seconds. @param calm whether the peer's control plane is there. */
  tick(target: PeerTarget, facts: ClusterFacts | undefined, calm: boolean): void {
    const nowMs = this.#clock.elapsedMs();
    const periodMs = calm && this.#failures === 0 ? CALM_MS : ANXIOUS_MS;
    this.#dueMs = Math.min(this.#dueMs, nowMs + periodMs);
    const doors = doorsOf(target, facts);
    if (this.#probing || nowMs < this.#dueMs || doors.length === 0) return;
    this.#probing = true;
    this.#dueMs = nowMs + periodMs;
    void Promise.all(doors.map((door) => this.#probe(door))).then((open) => this.#heard(open.includes(true)));
  }

  #heard(open: boolean): void {
    this.#probing = false;
    this.#failures = open ? 0 : this.#failures + 1;
    const before = this.#state;
    if (open) this.#state = "open";
    else if (this.#failures >= FAILURES_MIN) this.#state = "closed";
    if (this.#state !== before) this.#onChange();
  }
}

/** Where traffic to the peer is sent: to its nodes if it is by node ports, else to its Gateway's addresses. */
export function doorsOf({ hosts, hbonePort, preferred }: PeerTarget, facts: ClusterFacts | undefined): readonly Door[] {
  const said = facts?.doors ?? [];
  const balancers = said.filter(({ serviceType }) => serviceType === "loadbalancer");
  const nodes = said.filter(({ serviceType, host }) => serviceType === "nodeport" && host.kind === "ip");
  const byNodes = preferred === "nodeport" || (preferred === undefined && balancers.length === 0);
  const doors =
    byNodes && nodes.length > 0
      ? nodes.map(({ host, hbonePort: port }) => ({ host: nameOf(host), port }))
      : hosts.map((host) => ({ host: nameOf(host), port: hbonePort ?? portOf(host, balancers) }));
  return doors.slice(0, DOORS_MAX);
}

function portOf(host: GatewayHost, balancers: ClusterFacts["doors"]): number {
  const door = balancers.find((other) => nameOf(other.host) === nameOf(host)) ?? balancers[0];
  return door?.hbonePort ?? HBONE_PORT;
}

const nameOf = (host: GatewayHost): string => (host.kind === "ip" ? host.ip : host.hostname);
