import type { LivePods } from "../../src/ca/authorize.ts";
import type { PodFacts } from "../../src/ca/signer.ts";

export interface LivePod {
  readonly uid: string;
  readonly node: string;
  readonly serviceAccount: string;
  readonly labels?: Readonly<Record<string, string>>;
}

/** Pods by `cluster/namespace/name`; change the object and they change. */
export function livePods(pods: Readonly<Record<string, LivePod>>): LivePods {
  return {
    find(cluster, namespace, name, uid) {
      const key = `${cluster}/${namespace}/${name}`;
      const pod = pods[key];
      return pod?.uid === uid ? factsOf(key, pod) : undefined;
    },
    holders: (cluster, node, namespace, serviceAccount) =>
      Object.entries(pods)
        .filter(
          ([key, pod]) =>
            key.startsWith(`${cluster}/${namespace}/`) && pod.node === node && pod.serviceAccount === serviceAccount,
        )
        .map(([key, pod]) => factsOf(key, pod)),
  };
}

function factsOf(key: string, { uid, node, serviceAccount, labels = {} }: LivePod): PodFacts {
  const [, namespace = "", name = ""] = key.split("/");
  return { namespace, name, uid, node, serviceAccount, labels: new Map(Object.entries(labels)) };
}
