import { hash } from "node:crypto";
import type { KubeObject } from "../../../kube/object.ts";
import type { WantedObject } from "../../../kube/wanted-object.ts";
import { isFields, type Fields } from "../../kube/fields.ts";

/** On all that is made for a Gateway: what was written, so that what is no longer wanted is seen. */
export const APPLIED = "gateways.causeway.dev/applied";

/** An object that is labelled as made for a Gateway. Only its owners say whether it is. */
export interface FoundPart {
  readonly uid: string;
  readonly resourceVersion: string;
  readonly owners: readonly string[];
  /** All that it says but its status. */
  readonly content: Fields;
  readonly state: PartState;
}

export interface PartState {
  /** Of a Deployment: replicas that take traffic, of its newest spec or an older one. */
  readonly available: number;
  /** Of a Service: IP addresses and host names at which its load balancer is. */
  readonly ingress: readonly FoundIngress[];
  readonly clusterIp: string;
  /** Of a Service; empty for all else. */
  readonly serviceType: string;
}

export type FoundIngress = { readonly ip: string } | { readonly hostname: string };

/** Never throws. */
export function readPart({ metadata, status, ...content }: KubeObject): FoundPart {
  const { uid, resourceVersion, labels, annotations, ownerReferences } = metadata;
  const { apiVersion: _, kind: __, ...said } = content;
  const spec = isFields(said["spec"]) ? said["spec"] : {};
  const { availableReplicas, loadBalancer } = isFields(status) ? status : {};
  const ingress = isFields(loadBalancer) ? loadBalancer["ingress"] : undefined;
  return {
    uid: uid ?? "",
    resourceVersion: typeof resourceVersion === "string" ? resourceVersion : "",
    owners: Array.isArray(ownerReferences) ? ownerReferences.flatMap(({ uid }) => uid ?? []) : [],
    content: { ...said, labels: labels ?? {}, annotations: annotations ?? {} },
    state: {
      available: typeof availableReplicas === "number" ? availableReplicas : 0,
      ingress: Array.isArray(ingress) ? ingress.flatMap(ingressOf) : [],
      clusterIp: typeof spec["clusterIP"] === "string" ? spec["clusterIP"] : "",
      serviceType: typeof spec["type"] === "string" ? spec["type"] : "",
    },
  };
}

function ingressOf(item: unknown): readonly FoundIngress[] {
  if (!isFields(item)) return [];
  const { ip, hostname } = item;
  if (typeof ip === "string" && ip !== "") return [{ ip }];
  return typeof hostname === "string" && hostname !== "" ? [{ hostname }] : [];
}

/** With what makes it known again: equal for wishes that are equal. */
export function marked(wanted: WantedObject): WantedObject {
  const { labels, annotations, fields } = wanted;
  const digest = hash("sha256", JSON.stringify([labels, annotations, fields])).slice(0, 32);
  return { ...wanted, annotations: { ...annotations, [APPLIED]: digest } };
}

/** Whether all that is wanted is there. What others added, or the API server by default, does not matter. */
export function isThere({ labels, annotations, fields }: WantedObject, { content }: FoundPart): boolean {
  return holds(content, { ...fields, labels: labels ?? {}, annotations: annotations ?? {} });
}

function holds(there: unknown, wanted: unknown): boolean {
  // What is empty or false by default is not stored.
  if (there === undefined) return isEmpty(wanted);
  if (Array.isArray(wanted)) return Array.isArray(there) && listHolds(there, wanted);
  if (isFields(wanted))
    return isFields(there) && Object.entries(wanted).every(([key, value]) => holds(there[key], value));
  return there === wanted || (quantityOf(there) !== undefined && quantityOf(there) === quantityOf(wanted));
}

const isEmpty = (value: unknown): boolean =>
  !value || (Array.isArray(value) ? value.length === 0 : isFields(value) && Object.values(value).every(isEmpty));

/** Others may have added items; ours may stand among them. */
function listHolds(there: readonly unknown[], wanted: readonly unknown[]): boolean {
  return wanted.every((item, at) => holds(there[at], item) || there.some((other) => holds(other, item)));
}

const SUFFIXES: Readonly<Record<string, number>> = {
  ...{ "": 1, m: 1e-3, k: 1e3, M: 1e6, G: 1e9, T: 1e12 },
  ...{ Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40 },
};

/** As of CPU or memory, which the API server writes its own way: 1000m is 1. */
function quantityOf(value: unknown): number | undefined {
  const [, digits, suffix] = /^([0-9]+(?:\.[0-9]+)?)(|m|k|M|G|T|Ki|Mi|Gi|Ti)$/.exec(String(value)) ?? [];
  return digits === undefined ? undefined : Math.round(Number(digits) * SUFFIXES[suffix!]! * 1000);
}
