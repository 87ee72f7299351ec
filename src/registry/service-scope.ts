import { labelSelectorSelects, type LabelSet } from "./kube/labels.ts";
import type { Namespace } from "./kube/namespace.ts";
import type { ServiceScope } from "./kube/scope-labels.ts";
import type { MeshConfig } from "./model/mesh.ts";

/** Something that may be shared: a Service, or an entry for its name. */
export interface Scoped {
  readonly labels: LabelSet;
  /** What it says itself. */
  readonly scope: ServiceScope | undefined;
}

/** What the Service says counts, else what its namespace says, else whether any rule of the mesh config makes it global. */
export function effectiveScope(
  { labels, scope }: Scoped,
  namespace: Namespace | undefined,
  /** Only asked if the objects say nothing. */
  rules: () => MeshConfig["serviceScopeConfigs"],
): ServiceScope {
  const said = scope ?? namespace?.scope;
  if (said !== undefined) return said;
  const isGlobal = rules().some(
    ({ serviceSelector, namespaceSelector, scope }) =>
      scope === "global" &&
      (serviceSelector === undefined || labelSelectorSelects(serviceSelector, labels)) &&
      (namespaceSelector === undefined ||
        (namespace !== undefined && labelSelectorSelects(namespaceSelector, namespace.labels))),
  );
  return isGlobal ? "global" : "cluster";
}
