import { describe, FieldError, isAbsent, listOf, type Fields } from "../../registry/kube/fields.ts";
import type { Metadata } from "../../registry/kube/metadata.ts";
import { matchingText, supportedFieldsOf } from "./read-fields.ts";
import { trustObjectId } from "./trust-object-id.ts";
import { CLUSTER_PATTERN, NAMESPACE_PATTERN } from "./workspace.ts";
import {
  NAMESPACES_MAX,
  RESOURCES_MAX,
  RULES_MAX,
  type SharedResources,
  type SharingRule,
  type WorkspaceSettings,
} from "./workspace-model.ts";

const NAME_PATTERN = /^[a-z0-9*]([a-z0-9*.-]*[a-z0-9*])?$/;
const NOT_SUPPORTED = {
  options:
    "services are shared by peering, and what options.federation made took over the hosts of global services without an endpoint; remove it",
};

/** @throws FieldError */
export function readWorkspaceSettings(metadata: Metadata, object: Fields): WorkspaceSettings {
  const spec = supportedFieldsOf(object["spec"], "spec", ["exportTo", "importFrom"], NOT_SUPPORTED);
  return {
    id: trustObjectId("WorkspaceSettings", metadata),
    workspace: metadata.name,
    exportTo: rulesOf(spec["exportTo"], "spec.exportTo"),
    importFrom: rulesOf(spec["importFrom"], "spec.importFrom"),
  };
}

function rulesOf(value: unknown, field: string): readonly SharingRule[] {
  return listOf(value, field, RULES_MAX).map((item, at) => {
    const path = `${field}[${at}]`;
    const { workspaces, resources } = supportedFieldsOf(item, path, ["workspaces", "resources"]);
    const names = listOf(workspaces, `${path}.workspaces`, NAMESPACES_MAX);
    if (names.length === 0) throw new FieldError(`${path}.workspaces`, "names no Workspace; give one, or * for all");
    return {
      workspaces: names.map((each, index) => workspaceOf(each, `${path}.workspaces[${index}]`)),
      resources: isAbsent(resources) ? undefined : resourcesOf(resources, `${path}.resources`),
    };
  });
}

function workspaceOf(value: unknown, field: string): string {
  const { name } = supportedFieldsOf(value, field, ["name"], {
    selector: "give the Workspaces by name, or by a pattern of names",
  });
  return matchingText(name, `${field}.name`, NAME_PATTERN, 253, "give a Workspace's name, or a pattern as shop-*");
}

function resourcesOf(value: unknown, field: string): readonly SharedResources[] {
  return listOf(value, field, RESOURCES_MAX).map((item, at) => {
    const path = `${field}[${at}]`;
    const { kind, name, namespace, cluster } = supportedFieldsOf(item, path, ["kind", "name", "namespace", "cluster"], {
      labels: "labels of other clusters' services are not read here; give names or patterns",
    });
    if (!isAbsent(kind) && kind !== "SERVICE")
      throw new FieldError(`${path}.kind`, `is ${describe(kind)}; nothing but SERVICE is shared here`);
    return {
      clusters: patternOf(cluster, `${path}.cluster`, CLUSTER_PATTERN, 128),
      namespaces: patternOf(namespace, `${path}.namespace`, NAMESPACE_PATTERN, 63),
      services: patternOf(name, `${path}.name`, NAME_PATTERN, 253),
    };
  });
}

function patternOf(value: unknown, field: string, pattern: RegExp, charsMax: number): readonly string[] | undefined {
  if (isAbsent(value)) return undefined;
  return [matchingText(value, field, pattern, charsMax, "give a name, or a pattern as shop-*")];
}
