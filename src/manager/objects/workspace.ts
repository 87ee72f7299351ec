import { isAbsent, listOf, type Fields } from "../../registry/kube/fields.ts";
import type { Metadata } from "../../registry/kube/metadata.ts";
import { matchingText, supportedFieldsOf } from "./read-fields.ts";
import { trustObjectId } from "./trust-object-id.ts";
import { CLUSTERS_MAX, NAMESPACES_MAX, type Workspace, type WorkspaceClusters } from "./workspace-model.ts";

export const CLUSTER_PATTERN = /^[A-Za-z0-9*]([A-Za-z0-9*._-]*[A-Za-z0-9*])?$/;
export const NAMESPACE_PATTERN = /^[a-z0-9*]([a-z0-9*-]*[a-z0-9*])?$/;

/** @throws FieldError */
export function readWorkspace(metadata: Metadata, object: Fields): Workspace {
  const spec = supportedFieldsOf(object["spec"], "spec", ["workloadClusters"]);
  const items = listOf(spec["workloadClusters"], "spec.workloadClusters", CLUSTERS_MAX);
  return {
    ...readDoubtfulWorkspace(metadata),
    workloadClusters: items.map((item, at) => clustersOf(item, `spec.workloadClusters[${at}]`)),
  };
}

/** One that never was readable has nothing, and is there: it bounds all the same. */
export const readDoubtfulWorkspace = (metadata: Metadata): Workspace => ({
  id: trustObjectId("Workspace", metadata),
  name: metadata.name,
  workloadClusters: [],
});

function clustersOf(item: unknown, field: string): WorkspaceClusters {
  const { name, namespaces } = supportedFieldsOf(item, field, ["name", "namespaces"], {
    selector: "give the clusters by name, or by a pattern of names, as shop-*",
    configEnabled: "all configuration is read in the manager's own cluster; leave it out",
  });
  const fix = "give a cluster's name, or a pattern as shop-*";
  return {
    name: isAbsent(name) ? "*" : matchingText(name, `${field}.name`, CLUSTER_PATTERN, 128, fix),
    namespaces: isAbsent(namespaces) ? ["*"] : namespacesOf(namespaces, `${field}.namespaces`),
  };
}

function namespacesOf(value: unknown, field: string): readonly string[] {
  return listOf(value, field, NAMESPACES_MAX).map((item, at) => {
    const { name } = supportedFieldsOf(item, `${field}[${at}]`, ["name"], {
      labels: "labels of other clusters' namespaces are not read here; give names or patterns, as shop-*",
    });
    const fix = "give a namespace, or a pattern as shop-*";
    return matchingText(name, `${field}[${at}].name`, NAMESPACE_PATTERN, 63, fix);
  });
}
