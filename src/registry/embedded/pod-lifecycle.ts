import type { KubeObject } from "../../kube/object.ts";
import type { Problem } from "../model/problem.ts";
import type { AddressPool } from "./address-pool.ts";
import { type Declared, namespaceOf, problemOf } from "./declared.ts";
import { fieldsOf, type Labels } from "./fields.ts";
import type { PodDraft } from "./pod-drafts.ts";
import { hasEnded, isHostNetwork, isRedirected, type Placement, runningPod, statedPodAddress } from "./pods.ts";
import type { Scheduler } from "./scheduler.ts";

/** A draft, and where what it derives from was read. */
export interface DeclaredDraft {
  readonly draft: PodDraft;
  readonly origin: string;
}

/** What a pod runs among. */
export interface Ground {
  readonly addressOfNode: ReadonlyMap<string, string>;
  labelsOfNamespace(namespace: string): Labels;
}

interface Running {
  readonly draft: KubeObject;
  readonly placement: Placement;
  readonly pod: KubeObject;
}

/** Turns drafts into running pods: a node, an address, readiness, redirection. Unchanged ones are the same objects. */
export class PodLifecycle {
  readonly #scheduler: Scheduler;
  readonly #addresses: AddressPool;
  #running: ReadonlyMap<string, Running> = new Map();

  constructor(scheduler: Scheduler, addresses: AddressPool) {
    this.#scheduler = scheduler;
    this.#addresses = addresses;
  }

  /** @returns the pods by `kindKey`, as many as drafts. */
  run(drafts: readonly DeclaredDraft[], ground: Ground, problems: Problem[]): ReadonlyMap<string, Declared> {
    const running = new Map<string, Running>();
    const pods = new Map<string, Declared>();
    const homeless = new Set<string>();
    const withoutAddress: Declared[] = [];
    for (const { draft, origin } of drafts) {
      const { object } = draft;
      const placement = this.#place(draft, ground);
      const known = this.#running.get(draft.key);
      const entry =
        known?.draft === object && samePlacement(known.placement, placement)
          ? known
          : { draft: object, placement, pod: runningPod(object, placement) };
      running.set(draft.key, entry);
      const declared = { object: entry.pod, origin };
      pods.set(draft.key, declared);
      if (hasEnded(object)) continue;
      if (placement.node === undefined && !homeless.has(draft.group)) {
        // One sentence for all pods of a workload.
        homeless.add(draft.group);
        problems.push(homelessProblem(declared));
      } else if (placement.node !== undefined && placement.address === undefined) withoutAddress.push(declared);
    }
    this.#running = running;
    if (withoutAddress[0]) problems.push(exhaustedProblem(withoutAddress[0], withoutAddress.length, "pod"));
    return pods;
  }

  #place(draft: PodDraft, ground: Ground): Placement {
    const { object } = draft;
    const node = this.#scheduler.place(draft);
    const nodeAddress = (node === undefined ? undefined : ground.addressOfNode.get(node)) ?? "";
    return {
      node,
      nodeAddress,
      address: node === undefined ? undefined : this.#addressOf(draft.key, object, nodeAddress),
      redirected: isRedirected(object, ground.labelsOfNamespace(namespaceOf(object))),
    };
  }

  #addressOf(key: string, pod: KubeObject, nodeAddress: string): string | undefined {
    const stated = statedPodAddress(pod);
    if (stated !== "") return stated;
    if (hasEnded(pod)) return "";
    return isHostNetwork(pod) ? nodeAddress : this.#addresses.assign(key);
  }
}

function samePlacement(a: Placement, b: Placement): boolean {
  return (
    a.node === b.node && a.nodeAddress === b.nodeAddress && a.address === b.address && a.redirected === b.redirected
  );
}

function homelessProblem(declared: Declared): Problem {
  const selector = fieldsOf(declared.object["spec"])["nodeSelector"];
  const wanted = selector === undefined ? "there is no node to run on" : `no node has ${JSON.stringify(selector)}`;
  return problemOf(declared, {
    field: "spec.nodeSelector",
    message: `${wanted}, so it stays pending; add a Node manifest with these labels or change the selector`,
    severity: "warning",
  });
}

/** One sentence for all that found a pool exhausted. */
export function exhaustedProblem(first: Declared, count: number, pool: "pod" | "service" | "node"): Problem {
  const others = count > 1 ? ` and ${count - 1} more` : "";
  return problemOf(first, {
    field: "",
    message: `it${others} got no address: the ${pool}Cidr is exhausted; choose a wider range`,
    severity: "error",
  });
}
