import { CLUSTER_TRUST_BUNDLES } from "../../kube/resource-types.ts";
import type { WantedObject } from "../../kube/wanted-object.ts";
import type { Collection } from "../collection/collection.ts";
import { derive } from "../collection/derive.ts";
import type { Graph } from "../collection/graph.ts";
import type { Roots } from "./root-certificates.ts";

/** istiod's names: what a pod projects by name or by signer stays as it was (contract identity.md 3.5). */
export const TRUST_BUNDLE = "istio.io:istiod-ca:root-cert";
const SIGNER = "istio.io/istiod-ca";

/** What is there: the roots in the bundle, or that it is not there though it could be. Empty while nobody knows of the API. */
export type FoundBundle = Collection<"bundle", { readonly pem: string | undefined }>;

/** The roots in a ClusterTrustBundle, for pods to project; nothing where the API server has no such. */
export function trustBundle(graph: Graph, roots: Roots, found: FoundBundle): Collection<string, WantedObject> {
  return derive(graph, {
    name: "trust-bundle",
    from: roots,
    reads: { found },
    distinct: true,
    to: (pem, { found }) => {
      const held = found.get("bundle");
      if (held === undefined || pem === "") return [];
      const wanted: WantedObject = {
        type: CLUSTER_TRUST_BUNDLES,
        namespace: "",
        name: TRUST_BUNDLE,
        fields: { spec: { signerName: SIGNER, trustBundle: pem } },
        found: held.pem === pem ? "same" : "different",
      };
      return [[`ClusterTrustBundle ${TRUST_BUNDLE}`, wanted] as const];
    },
  });
}
