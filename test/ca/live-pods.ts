import type { LivePods } from "../../src/ca/authorize.ts";

export interface LivePod {
  readonly uid: string;
  readonly node: string;
  readonly serviceAccount: string;
}

/** Pods by `cluster/namespace/name`; change the object and they change. */
export function livePods(pods: Readonly<Record<string, LivePod>>): LivePods {
  return {
    find(cluster, namespace, name, uid) {
      const pod = pods[`${cluster}/${namespace}/${name}`];
      return pod?.uid === uid ? pod : undefined;
    },
    runs: (cluster, node, namespace, serviceAccount) =>
      Object.entries(pods).some(
        ([key, pod]) =>
          key.startsWith(`${cluster}/${namespace}/`) && pod.node === node && pod.serviceAccount === serviceAccount,
      ),
  };
}
