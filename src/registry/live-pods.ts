import { type ClusterId, objectKey } from "../names.ts";
import { podEnded } from "./kube/pod.ts";
import type { Registry } from "./registry.ts";

/** The pods that run now, as the certificate authority asks for them; one that has ended is as if it never was. */
export class LivePods {
  readonly #registry: Registry;

  constructor(registry: Registry) {
    this.#registry = registry;
  }

  /** The node of a pod, empty until it has one, and whose it is; undefined unless exactly this one, by uid, is live. */
  find(
    cluster: ClusterId,
    namespace: string,
    name: string,
    uid: string,
  ): { readonly node: string; readonly serviceAccount: string } | undefined {
    const pod = this.#registry.pods.get(objectKey(cluster, namespace, name));
    // Two uids that are not known are not the same one.
    return pod === undefined || uid === "" || pod.uid !== uid || podEnded(pod) ? undefined : pod;
  }

  /** True if a live pod with this service account is on the node. */
  runs(cluster: ClusterId, node: string, namespace: string, serviceAccount: string): boolean {
    return this.#registry.podsOnNode.get(`${cluster}/${node}/${namespace}/${serviceAccount}`).length > 0;
  }
}
