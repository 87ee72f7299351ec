import { clusterId } from "../../names.ts";
import { MESH_TEMPLATE, readClusterSpiffeId, type ClusterSpiffeId } from "../kube/cluster-spiffe-id.ts";
import { metadataOf } from "../kube/metadata.ts";

const MODE = "istio.io/dataplane-mode";

/** By name: which pods, and of which namespaces. */
const SELECTORS: Readonly<Record<string, object>> = {
  // Guide 002's three.
  "istio-ztunnel-reg": { podSelector: { matchLabels: { app: "ztunnel" } } },
  "istio-waypoint-reg": { podSelector: { matchLabels: { "istio.io/gateway-name": "waypoint" } } },
  "istio-ambient-reg": { podSelector: { matchLabels: { [MODE]: "ambient" } } },
  // Whom they miss: every other gateway, and pods that are captured because their namespace is.
  "causeway-gateways": {
    podSelector: { matchExpressions: [{ key: "gateway.networking.k8s.io/gateway-name", operator: "Exists" }] },
  },
  "causeway-ambient-namespaces": {
    namespaceSelector: { matchLabels: { [MODE]: "ambient" } },
    podSelector: { matchExpressions: [{ key: MODE, operator: "DoesNotExist" }] },
  },
};

/** Who is registered if nothing else is said: ztunnels, gateways and all that the mesh captures, under its identities. */
export const builtinSpiffeIds = (): readonly ClusterSpiffeId[] =>
  Object.entries(SELECTORS).map(([name, selectors]) =>
    readClusterSpiffeId(metadataOf({ name }, clusterId("built-in"), "", true), {
      spec: { spiffeIDTemplate: MESH_TEMPLATE, ...selectors },
    }),
  );
