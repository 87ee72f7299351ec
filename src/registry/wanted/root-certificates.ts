import { CONFIG_MAPS } from "../../kube/resource-types.ts";
import type { WantedObject } from "../../kube/wanted-object.ts";
import type { ClusterId, ObjectKey } from "../../names.ts";
import type { Collection } from "../collection/collection.ts";
import { derive } from "../collection/derive.ts";
import type { Graph } from "../collection/graph.ts";
import type { Namespace } from "../kube/namespace.ts";

/** What verifies the mesh's certificates, in PEM, one after the other; nothing is written until it is there. */
export type Roots = Collection<"roots", string>;

/** Where no workload of the mesh ever runs (contract ztunnel.md 4.8). In kube-system some do. */
const WITHOUT: readonly string[] = ["kube-public", "kube-node-lease", "local-path-storage"];

/** Whether what is to be trusted is given to a namespace. */
export const mayHoldTrust = (namespace: string): boolean => !WITHOUT.includes(namespace);

/**
 * The roots in every namespace, for ztunnel and other proxies to mount. ConfigMaps are not watched, since that would
 * show us all of them: they are written when the roots change, when a namespace comes, and from time to time. Other
 * keys in them stay as they are.
 */
export function rootCertificates(
  graph: Graph,
  namespaces: Collection<ObjectKey, Namespace>,
  roots: Roots,
  { localCluster, configMap }: { readonly localCluster: ClusterId; readonly configMap: string },
): Collection<string, WantedObject> {
  return derive(graph, {
    name: "root-certificates",
    from: namespaces,
    reads: { roots },
    distinct: true,
    to: ({ name, terminating }, { roots }, key) => {
      if (terminating || !mayHoldTrust(name) || !key.startsWith(`${localCluster}/`)) return [];
      const pem = roots.get("roots");
      if (pem === undefined || pem === "") return [];
      const wanted: WantedObject = {
        type: CONFIG_MAPS,
        namespace: name,
        name: configMap,
        labels: { "istio.io/config": "true" },
        fields: { data: { "root-cert.pem": pem } },
        found: "unseen",
      };
      return [[`ConfigMap ${name}/${configMap}`, wanted] as const];
    },
  });
}
