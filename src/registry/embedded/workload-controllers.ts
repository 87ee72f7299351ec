import type { ClusterId } from "../../names.ts";
import type { KubeObject } from "../../kube/object.ts";
import { type Fault, groupOf, namespaceOf } from "./declared.ts";
import { fieldsOf, isFields, labelsOf, selects, textOf } from "./fields.ts";
import { objectUid } from "./object-uid.ts";
import {
  controllerReference,
  generatedName,
  generatedNames,
  type PodDraft,
  podOf,
  templateHash,
} from "./pod-drafts.ts";

/** What a workload becomes: pods, and the objects between. */
export interface Expansion {
  readonly pods: readonly PodDraft[];
  readonly objects: readonly KubeObject[];
  readonly faults: readonly Fault[];
}

/** What a controller knows of the cluster. */
export interface Surroundings {
  readonly cluster: ClusterId;
  /** Sorted by name. */
  readonly nodes: readonly KubeObject[];
}

type Controller = (workload: KubeObject, surroundings: Surroundings) => Expansion;

const CONTROLLERS: Readonly<Record<string, Controller>> = {
  "apps/Deployment": expandDeployment,
  "apps/ReplicaSet": (workload, { cluster }) => expandReplicas(workload, cluster, textHashOf(workload)),
  "/ReplicationController": (workload, { cluster }) => expandReplicas(workload, cluster, undefined),
  "apps/StatefulSet": (workload, { cluster }) => expandStatefulSet(workload, cluster),
  "apps/DaemonSet": expandDaemonSet,
  "batch/Job": (workload, { cluster }) => expandJob(workload, cluster),
  "batch/CronJob": (workload) => expandCronJob(workload),
};

/** True if pods are made for objects of this kind. */
export const isWorkload = (kind: string, apiVersion: string): boolean =>
  Object.hasOwn(CONTROLLERS, `${groupOf(apiVersion)}/${kind}`);

/** Makes what the controllers of Kubernetes would make of a workload, at rest: as many pods as it asks for, all running. */
export function expand(workload: KubeObject, surroundings: Surroundings): Expansion {
  const controller = CONTROLLERS[`${groupOf(workload.apiVersion)}/${workload.kind}`];
  if (controller === undefined) return NOTHING;
  const template = fieldsOf(workload["spec"])["template"];
  if (workload.kind !== "CronJob" && !isFields(fieldsOf(template)["spec"]))
    return failed("spec.template.spec", "spec.template.spec is missing, so there are no pods; describe the pod there");
  return controller(workload, surroundings);
}

const NOTHING: Expansion = { pods: [], objects: [], faults: [] };
const failed = (field: string, message: string): Expansion => ({
  ...NOTHING,
  faults: [{ field, message, severity: "error" }],
});

const templateOf = (workload: KubeObject): unknown => fieldsOf(workload["spec"])["template"];
const textHashOf = (workload: KubeObject): string | undefined => workload.metadata.labels?.["pod-template-hash"];

/** More than one cluster of Kubernetes is built for. */
const PODS_MAX = 150_000;

/** @returns the count in `spec`, or the expansion that says why there is none. */
function countOf(workload: KubeObject, field: string, otherwise: number): number | Expansion {
  const value = fieldsOf(workload["spec"])[field] ?? otherwise;
  if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= PODS_MAX) return value;
  const shown = JSON.stringify(value).slice(0, 40);
  return failed(
    `spec.${field}`,
    `spec.${field} is ${shown}, so there are no pods; give a number from 0 to ${PODS_MAX}`,
  );
}

function expandDeployment(deployment: KubeObject, { cluster }: Surroundings): Expansion {
  const replicas = countOf(deployment, "replicas", 1);
  if (typeof replicas !== "number") return replicas;
  const template = fieldsOf(templateOf(deployment));
  const metadata = fieldsOf(template["metadata"]);
  const hash = templateHash(template);
  const labels = { ...labelsOf(metadata["labels"]), "pod-template-hash": hash };
  const name = `${deployment.metadata.name}-${hash}`;
  const namespace = namespaceOf(deployment);
  const annotations = deployment.metadata.annotations;
  const replicaSet: KubeObject = {
    apiVersion: "apps/v1",
    kind: "ReplicaSet",
    metadata: {
      name,
      namespace,
      uid: objectUid(cluster, "ReplicaSet", namespace, name),
      labels,
      ...(annotations ? { annotations } : {}),
      ownerReferences: [controllerReference(deployment)],
    },
    spec: {
      replicas,
      selector: { matchLabels: labels },
      template: { ...template, metadata: { ...metadata, labels } },
    },
  };
  return { ...expandReplicas(replicaSet, cluster, hash), objects: [replicaSet] };
}

function expandReplicas(owner: KubeObject, cluster: ClusterId, hash: string | undefined): Expansion {
  const replicas = countOf(owner, "replicas", 1);
  if (typeof replicas !== "number") return replicas;
  const labels = hash === undefined ? {} : { "pod-template-hash": hash };
  const names = generatedNames(owner.metadata.name, replicas);
  const pods = names.map((name, index) => podOf(cluster, owner, templateOf(owner), { name, index, labels }));
  return { ...NOTHING, pods };
}

function expandStatefulSet(owner: KubeObject, cluster: ClusterId): Expansion {
  const replicas = countOf(owner, "replicas", 1);
  if (typeof replicas !== "number") return replicas;
  const spec = fieldsOf(owner["spec"]);
  const start = fieldsOf(spec["ordinals"])["start"];
  const first = typeof start === "number" && Number.isInteger(start) && start >= 0 ? start : 0;
  const pods = numbered(first, replicas).map((index) => {
    const name = `${owner.metadata.name}-${index}`;
    return podOf(cluster, owner, spec["template"], {
      name,
      index,
      labels: { "statefulset.kubernetes.io/pod-name": name, "apps.kubernetes.io/pod-index": String(index) },
      spec: { hostname: name, subdomain: textOf(spec["serviceName"]) },
    });
  });
  return { ...NOTHING, pods };
}

function expandDaemonSet(owner: KubeObject, { cluster, nodes }: Surroundings): Expansion {
  const wanted = labelsOf(fieldsOf(fieldsOf(fieldsOf(templateOf(owner))["spec"]))["nodeSelector"]);
  const chosen = nodes.filter((node) => isEmpty(wanted) || selects(wanted, node.metadata.labels ?? {}));
  const pods = chosen.map((node, index) => {
    const name = generatedName(owner.metadata.name, node.metadata.name);
    return podOf(cluster, owner, templateOf(owner), { name, index, spec: { nodeName: node.metadata.name } });
  });
  return { ...NOTHING, pods };
}

function expandJob(owner: KubeObject, cluster: ClusterId): Expansion {
  const spec = fieldsOf(owner["spec"]);
  if (spec["suspend"] === true) return NOTHING;
  const parallelism = countOf(owner, "parallelism", 1);
  if (typeof parallelism !== "number") return parallelism;
  const completions = countOf(owner, "completions", parallelism);
  if (typeof completions !== "number") return completions;
  const indexed = spec["completionMode"] === "Indexed";
  const { name: job, uid = "" } = owner.metadata;
  const count = Math.min(parallelism, completions);
  const names = indexed
    ? numbered(0, count).map((index) => generatedName(`${job}-${index}`, ""))
    : generatedNames(job, count);
  const pods = names.map((name, index) =>
    podOf(cluster, owner, spec["template"], {
      name,
      index,
      labels: {
        "batch.kubernetes.io/job-name": job,
        "job-name": job,
        "batch.kubernetes.io/controller-uid": uid,
        ...(indexed ? { "batch.kubernetes.io/job-completion-index": String(index) } : {}),
      },
    }),
  );
  return { ...NOTHING, pods };
}

function expandCronJob(owner: KubeObject): Expansion {
  const schedule = textOf(fieldsOf(owner["spec"])["schedule"]);
  const message = `it has no pods: this cluster runs no schedules (${schedule}); add a Job to see one of its runs`;
  return { ...NOTHING, faults: [{ field: "spec.schedule", message, severity: "info" }] };
}

const isEmpty = (map: object): boolean => Object.keys(map).length === 0;
const numbered = (first: number, count: number): number[] => Array.from({ length: count }, (_, at) => first + at);
