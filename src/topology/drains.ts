import { objectKey } from "../names.ts";
import { timeOfDrain } from "../registry/drains.ts";
import type { FederatedService } from "../registry/model/federated-service.ts";
import type { DrainInputs, SeenDrain } from "./inputs.ts";
import { timeOf } from "./links.ts";
import type { Shown, TopologyDrain, TopologyDrained } from "./topology.ts";

/** More than anybody drains at once; `/debug/drainz` has all. */
const DRAINS_MAX = 200;

/** What is drained, of which peer, which service and which share. */
export class TopologyDrains {
  readonly #inputs: DrainInputs;
  readonly #byTarget: ReadonlyMap<string, SeenDrain>;

  constructor(inputs: DrainInputs) {
    this.#inputs = inputs;
    // What is too far ahead says nothing of calls; it is only listed.
    const inTime = inputs.drains.filter(({ state }) => state !== "far");
    this.#byTarget = new Map(inTime.map((drain) => [targetOf(drain.cluster, drain.service), drain]));
  }

  /** Of all that a peer shares; null if it is not drained here. */
  ofPeer(cluster: string): TopologyDrained | null {
    const drain = this.#byTarget.get(targetOf(cluster, ""));
    return drain === undefined ? null : drained(drain);
  }

  /** Of one cluster's share of a service; null if it is not drained here. */
  ofShare({ cluster, namespace, name }: FederatedService): TopologyDrained | null {
    const own = this.#byTarget.get(targetOf(cluster, `${namespace}/${name}`));
    if (own !== undefined) return drained(own);
    const peer = this.ofPeer(cluster);
    if (peer === null || !this.#inputs.isSpared(objectKey(cluster, namespace, name))) return peer;
    return { ...peer, state: "spared" };
  }

  /** The one that ends first comes first. */
  shown(imported: Iterable<FederatedService>): Shown<TopologyDrain> {
    const { drains } = this.#inputs;
    const kept = this.#keptByPeer(imported);
    const shown = [...drains]
      .sort((a, b) => a.untilMs - b.untilMs || (a.object < b.object ? -1 : 1))
      .slice(0, DRAINS_MAX)
      .map((drain): TopologyDrain => {
        const { object, cluster, service } = drain;
        return { object, cluster, service, ...drained(drain), message: messageOf(drain, kept.get(cluster) ?? 0) };
      });
    return { shown, total: drains.length, more: false };
  }

  /** How many services of each drained peer keep their calls. */
  #keptByPeer(imported: Iterable<FederatedService>): ReadonlyMap<string, number> {
    const kept = new Map<string, number>();
    if (this.#byTarget.size === 0) return kept;
    for (const record of imported)
      if (this.ofShare(record)?.state === "spared") kept.set(record.cluster, (kept.get(record.cluster) ?? 0) + 1);
    return kept;
  }
}

const targetOf = (cluster: string, service: string): string => `${cluster} ${service}`;

const drained = ({ untilMs, state }: SeenDrain): TopologyDrained => ({ until: timeOf(untilMs), state });

function messageOf({ object, cluster, service, state, untilMs }: SeenDrain, kept: number): string {
  const [what, until] = [service === "" ? `Peer ${cluster}` : object, timeOfDrain(untilMs)];
  if (state === "far")
    return `${what} is to be drained until ${until}, which is more than 24 hours ahead: nothing is drained before that.`;
  if (state === "spared")
    return `${what} is to be drained until ${until}, and keeps its calls: no peer that is not drained has a ready endpoint of it.`;
  if (state === "leaving")
    return `${what} is leaving, to be drained until ${until}: peers hear that none of it is ready, and calls that they had begun still end here.`;
  if (service !== "")
    return `${what} is drained until ${until}: under its global names it gets no new calls, from no cluster.`;
  const but = kept === 0 ? "" : `; ${kept} of them ${kept === 1 ? "keeps its" : "keep their"} calls, as no other has`;
  return `${what} is drained here until ${until}: its services get no new calls from here where another cluster has ready endpoints${but}.`;
}
