import { objectKey, type ClusterId } from "../names.ts";
import { nearestName } from "../nearest-name.ts";
import type { Namespace } from "../registry/kube/namespace.ts";
import { SCOPE_LABEL, unknownScopeOf } from "../registry/kube/scope-labels.ts";
import type { LabelSet } from "../registry/kube/labels.ts";
import type { KubeService } from "../registry/kube/service.ts";
import type { Registry } from "../registry/registry.ts";
import type { Cause, ExplainFacts } from "./explanation.ts";
import { labelled, labelledService } from "./mending.ts";

export const scopeField = `metadata.labels[${SCOPE_LABEL}]`;
const SCOPE_WORDS = ["global", "segment", "cluster", "local", "global-only"];

/** What settles the scope of a Service, as `label solo.io/service-scope of Namespace shop`; what its labels say goes first. */
export function saidBy(kube: KubeService, home: Namespace | undefined): string {
  const { namespace, name } = kube.id;
  const of = (labels: LabelSet): string => (labels.map.has(SCOPE_LABEL) ? SCOPE_LABEL : "istio.io/global");
  if (kube.scope !== undefined) return `label ${of(kube.labels)} of Service ${namespace}/${name}`;
  if (home?.scope !== undefined) return `label ${of(home.labels)} of Namespace ${namespace}`;
  return "";
}

/** Why a Service of a cluster whose objects we read is shared with nobody: only where it is can this be known. */
export function whyNotShared(facts: ExplainFacts, cluster: ClusterId, namespace: string, name: string): Cause {
  const { registry } = facts;
  const { objects } = registry;
  const key = objectKey(cluster, namespace, name);
  const refused = registry.globalCandidates.inputs.shared.wishes.get(key)?.refused;
  if (refused !== undefined) return refusals[refused](`Service ${namespace}/${name}`, cluster);
  const kube = objects.services.get(key);
  const home = objects.namespaces.get(objectKey(cluster, "", namespace));
  const service = { reason: "not exported", object: `Service ${namespace}/${name}`, cluster, field: scopeField };
  const fix = labelledService(cluster, { namespace, name }, [SCOPE_LABEL, "global"], facts);
  const ofNamespace = { cluster, kind: "Namespace", namespace: "", name: namespace };
  if (kube === undefined) return absent(registry, cluster, namespace, name);
  for (const [labels, object, again] of [
    [kube.labels, service.object, fix],
    [home?.labels, `Namespace ${namespace}`, labelled(ofNamespace, SCOPE_LABEL, "global", facts)],
  ] as const) {
    if (labels === undefined) continue;
    const unknown = unknownScopeOf(labels);
    if (unknown !== undefined) return { ...service, object, fix: again, message: unknownScope(object, unknown) };
    const typo = mistypedLabel(labels);
    if (typo !== undefined && kube.scope === undefined && home?.scope === undefined)
      return {
        ...service,
        ...{ object, field: `metadata.labels[${typo}]`, fix: again },
        message: `${object} has the label ${typo}, which means nothing; ${SCOPE_LABEL} is what shares a service.`,
      };
  }
  const said = saidBy(kube, home);
  const why =
    said === ""
      ? `neither it, nor Namespace ${namespace}, nor a rule of the mesh config says that it is to be`
      : `the ${said} keeps it in its own cluster`;
  return { ...service, fix, message: `${service.object} of cluster ${cluster} is not shared: ${why}.` };
}

/** It is meant to be shared, and is of a kind that cannot be. */
const refusals = {
  ExternalName: (object: string, cluster: string): Cause => ({
    ...{ reason: "ExternalName", object, cluster, field: "spec.type" },
    message: `${object} of cluster ${cluster} only renames another host, so it is not shared.`,
    fix: "call what spec.externalName names, or make it a Service with a selector and a cluster IP",
  }),
  HeadlessNotExported: (object: string, cluster: string): Cause => ({
    ...{ reason: "headless", object, cluster, field: "spec.clusterIP" },
    message: `${object} of cluster ${cluster} is headless, and only pods of its own cluster can be called by it (HeadlessNotExported).`,
    fix: "add a second Service of another name with the same selector and a cluster IP, and share that: a cluster IP cannot be given later",
  }),
};

const unknownScope = (object: string, value: string): string => {
  const meant = nearestName(value, SCOPE_WORDS);
  const guess = meant === undefined ? "" : `; was ${meant} meant?`;
  return `${object} has the label ${SCOPE_LABEL} with the value ${JSON.stringify(value)}, which nobody knows and which shares nothing${guess}`;
};

/** A label that is almost the one that shares, as `solo.io/service-scopes`. */
function mistypedLabel(labels: LabelSet): string | undefined {
  for (const key of labels.map.keys())
    if (key !== SCOPE_LABEL && !key.startsWith("solo.io/service-t") && nearestName(key, [SCOPE_LABEL]) !== undefined)
      return key;
  return undefined;
}

function absent({ objects }: Registry, cluster: ClusterId, namespace: string, name: string): Cause {
  const prefix = `${cluster}/${namespace}/`;
  const names = Array.from(objects.services.entries(), ([key]) => key)
    .filter((key) => key.startsWith(prefix))
    .map((key) => key.slice(prefix.length));
  const meant = nearestName(name, names);
  const there = objects.namespaces.get(objectKey(cluster, "", namespace)) !== undefined || names.length > 0;
  const lacks = there ? `no Service ${name} in namespace ${namespace}` : `no namespace ${namespace}`;
  return {
    ...{ reason: "absent", object: `Service ${namespace}/${name}`, cluster, field: "" },
    message: `Cluster ${cluster} has ${lacks}, and needs none to call it${meant === undefined ? "." : `; was ${meant} meant?`}`,
    fix: `only if pods of cluster ${cluster} shall be behind the name: a Service ${namespace}/${name} there with the label ${SCOPE_LABEL}: global`,
  };
}
