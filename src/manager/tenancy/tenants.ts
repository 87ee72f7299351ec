import type { Clock } from "../../host.ts";
import type { ClusterId } from "../../names.ts";
import { Leavers } from "../leavers.ts";
import type { TrustPlan } from "../plan/plan.ts";

export interface Tenants extends Pick<TrustPlan, "workspaces" | "settings"> {
  /** Those that are bound: who cannot be read now is still there. */
  readonly clusters: readonly ClusterId[];
}

/** How long it must be so that there is no Workspace at all, before nothing bounds any more what is shared. */
const OPENS_MS = 120_000;

/**
 * Who shares with whom, by what objects say now; but a folder that is emptied and filled again neither opens what was
 * bounded, nor takes a cluster's services from the others.
 */
export class LateTenants {
  readonly #clock: Clock;
  readonly #leavers: Leavers;
  readonly #clusters = new Set<ClusterId>();
  #last: Pick<TrustPlan, "workspaces" | "settings"> | undefined;
  #goneSince: number | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#leavers = new Leavers(clock);
  }

  of({ workspaces, settings, clusters, doubtful }: TrustPlan): Tenants {
    const registered = new Set([...clusters.keys(), ...doubtful.keys()]);
    for (const cluster of registered) this.#clusters.add(cluster);
    for (const cluster of this.#leavers.over(this.#clusters, registered)) this.#clusters.delete(cluster);
    return { ...this.#bounding({ workspaces, settings }), clusters: [...this.#clusters] };
  }

  #bounding(now: Pick<TrustPlan, "workspaces" | "settings">): Pick<TrustPlan, "workspaces" | "settings"> {
    if (now.workspaces.length > 0) {
      this.#goneSince = undefined;
      return (this.#last = now);
    }
    this.#goneSince ??= this.#clock.elapsedMs();
    if (this.#clock.elapsedMs() - this.#goneSince >= OPENS_MS) this.#last = undefined;
    return this.#last ?? now;
  }
}
