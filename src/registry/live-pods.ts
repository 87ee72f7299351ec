import { type ClusterId, objectKey } from "../names.ts";
import { type Pod, podEnded } from "./kube/pod.ts";
import type { Registry } from "./registry.ts";

/** A pod, as far as it tells whose certificates it may have. */
export interface LivePod {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  /** Empty until it is scheduled. */
  readonly node: string;
  readonly serviceAccount: string;
  readonly labels: ReadonlyMap<string, string>;
}

/** The pods that run now, as the certificate authority asks for them; one that has ended is as if it never was. */
export class LivePods {
  readonly #registry: Registry;

  constructor(registry: Registry) {
    this.#registry = registry;
  }

  /** Undefined unless exactly this one, by uid, is live. */
  find(cluster: ClusterId, namespace: string, name: string, uid: string): LivePod | undefined {
    const pod = this.#registry.pods.get(objectKey(cluster, namespace, name));
    // Two uids that are not known are not the same one.
    return pod === undefined || uid === "" || pod.uid !== uid || podEnded(pod) ? undefined : livePodOf(pod);
  }

  /**
   * The live pods with this service account on the node: those that a ztunnel captures, or all if it captures none.
   */
  holders(cluster: ClusterId, node: string, namespace: string, serviceAccount: string): readonly LivePod[] {
    const pods = this.#registry.podsOnNode.get(`${cluster}/${node}/${namespace}/${serviceAccount}`);
    const captured = pods.filter(({ tunnel }) => tunnel !== "none");
    return (captured.length > 0 ? captured : pods).map(livePodOf);
  }
}

export function livePodOf({ namespace, name, uid, node, serviceAccount, placement }: Pod): LivePod {
  return { namespace, name, uid, node, serviceAccount, labels: placement.labels.map };
}
