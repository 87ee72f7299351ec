import type { ClusterId } from "../../names.ts";
import type { KubeObject, OwnerReference } from "../../kube/object.ts";
import { keyOf, namespaceOf } from "./declared.ts";
import { fieldsOf, type Labels, labelsOf, textOf } from "./fields.ts";
import { nameSuffix, objectUid } from "./object-uid.ts";

/** A pod before it has a node and an address. */
export interface PodDraft {
  readonly object: KubeObject;
  /** Its `keyOf`: made once, since thousands are looked up at each change. */
  readonly key: string;
  /** The workload it is one of; pods of one workload are spread over the nodes. */
  readonly group: string;
  /** Its number among them. */
  readonly index: number;
}

/** What sets a pod apart from the others of its template. */
export interface PodNaming {
  readonly name: string;
  readonly index: number;
  readonly labels?: Labels;
  /** Over those of the template, as the node of a daemon. */
  readonly spec?: Readonly<Record<string, unknown>>;
}

/** Turns readiness off with the value `false`: on a pod, a pod template, or the workload above it. */
export const READY_ANNOTATION = "causeway.dev/ready";

/** The pod that `owner` makes from its `spec.template`, as the controllers of Kubernetes would. */
export function podOf(cluster: ClusterId, owner: KubeObject, template: unknown, naming: PodNaming): PodDraft {
  const { metadata, spec } = fieldsOf(template);
  const namespace = namespaceOf(owner);
  const ready = owner.metadata.annotations?.[READY_ANNOTATION];
  const annotations = {
    ...(ready === undefined ? {} : { [READY_ANNOTATION]: ready }),
    ...labelsOf(fieldsOf(metadata)["annotations"]),
  };
  const object: KubeObject = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: naming.name,
      generateName: `${owner.metadata.name}-`,
      namespace,
      uid: objectUid(cluster, "Pod", namespace, naming.name),
      labels: { ...labelsOf(fieldsOf(metadata)["labels"]), ...naming.labels },
      annotations,
      ownerReferences: [controllerReference(owner)],
    },
    spec: { ...fieldsOf(spec), ...naming.spec },
  };
  return {
    object,
    key: keyOf(object),
    group: `${owner.kind}/${namespace}/${owner.metadata.name}`,
    index: naming.index,
  };
}

export function controllerReference(owner: KubeObject): OwnerReference & { readonly apiVersion: string } {
  const { name, uid } = owner.metadata;
  return { apiVersion: owner.apiVersion, kind: owner.kind, name, ...(uid ? { uid } : {}), controller: true };
}

/** A name an API server could have made from `base-`; the same for the same text. */
export function generatedName(base: string, text: string): string {
  return `${`${base}-`.slice(0, 58)}${nameSuffix(`${base}/${text}`, 5)}`;
}

/** `count` such names. Among thousands two can be the same by chance: the later one then tries again. */
export function generatedNames(base: string, count: number): string[] {
  const names = new Set<string>();
  for (let index = 0; index < count; index++) {
    let name = generatedName(base, String(index));
    for (let attempt = 1; names.has(name); attempt++) name = generatedName(base, `${index}/${attempt}`);
    names.add(name);
  }
  return [...names];
}

/** The hash of a pod template: not of our own annotations, which say what a pod does and not what it is. */
export function templateHash(template: unknown): string {
  return nameSuffix(canonicalJson(template), 10);
}

function canonicalJson(value: unknown): string {
  return (
    JSON.stringify(value, (key, inner: unknown) => {
      if (key.startsWith("causeway.dev/")) return undefined;
      if (typeof inner !== "object" || inner === null || Array.isArray(inner)) return inner;
      const entries = Object.entries(inner).filter(([name]) => !name.startsWith("causeway.dev/"));
      // An annotation map that held only ours is no annotation map.
      if (key === "annotations" && entries.length === 0) return undefined;
      return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
    }) ?? ""
  );
}

/** The owner that made an object, if it says so. */
export function controllerOf(object: KubeObject): string | undefined {
  const owner = object.metadata.ownerReferences?.find((reference) => reference.controller === true);
  return owner && `${textOf(owner.kind)}/${namespaceOf(object)}/${textOf(owner.name)}`;
}
