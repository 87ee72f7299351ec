import type { Metadata } from "./metadata.ts";

/** On what a control plane writes for a global service: the service that it is of (contract peering.md 2.5). */
export const PARENT_LABEL = "solo.io/parent-service";

/**
 * True for a view of what we hold anyway, as `autogen.shop.cart`: it says nothing, and no Service selects it, whatever
 * PILOT_ENABLE_K8S_SELECT_WORKLOAD_ENTRIES says (contract peering.md 1.2, B33).
 */
export const isGenerated = ({ name, labels }: Metadata): boolean =>
  labels.map.has(PARENT_LABEL) && (name.startsWith("autogen.") || name.startsWith("autogenflat."));
