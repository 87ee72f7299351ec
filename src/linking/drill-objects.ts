import { MeshError, messageOf } from "../errors.ts";
import { ApiError, type KubeApi, pathOf, type ResourceType } from "../kube/api.ts";
import { getObject } from "../kube/objects-api.ts";
import { GATEWAYS, SERVICES } from "../kube/resource-types.ts";
import { DRAIN_UNTIL } from "../registry/kube/peering-annotations.ts";
import { FIELD_MANAGER } from "./changes.ts";
import { nameOf, type Side } from "./side.ts";

const CALL_MS = 10_000;

/** What a drill is about: a peer of the cluster, or one of its Services. */
export type DrillTarget =
  | { readonly kind: "peer"; readonly peer: string }
  | { readonly kind: "service"; readonly namespace: string; readonly name: string };

/** The object that has the annotation. */
export interface DrilledObject {
  readonly type: ResourceType;
  readonly version: string;
  readonly namespace: string;
  readonly name: string;
  /** What it says now; undefined if nothing. */
  readonly until: string | undefined;
}

export const drilledName = ({ type, namespace, name }: DrilledObject): string => `${type.kind} ${namespace}/${name}`;

/** @throws MeshError `absent`, naming the cluster and what it does have. */
export async function drilledObject(
  api: KubeApi,
  side: Side,
  target: DrillTarget,
  signal: AbortSignal,
): Promise<DrilledObject> {
  return target.kind === "peer" ? gatewayTo(side, target.peer) : serviceOf(api, side, target, signal);
}

/** The oldest that leads there counts, as to the control plane. */
function gatewayTo(side: Side, peer: string): DrilledObject {
  const clusterOf = ({ gateway }: Side["remotes"][number]): string => gateway.leadsTo ?? gateway.network ?? "";
  const found = side.remotes.find((remote) => clusterOf(remote) === peer);
  if (found === undefined) {
    const known = side.remotes.map(clusterOf).filter((name) => name !== "");
    const has = known.length === 0 ? "it has no peer" : `its peers are ${[...new Set(known)].join(", ")}`;
    throw new MeshError("absent", `no Gateway of ${nameOf(side)} leads to a peer ${peer}: ${has}`);
  }
  const { namespace, name } = found.gateway.id;
  const until = found.object.metadata.annotations?.[DRAIN_UNTIL];
  return { type: GATEWAYS, version: "v1", namespace, name, until };
}

async function serviceOf(
  api: KubeApi,
  side: Side,
  { namespace, name }: { readonly namespace: string; readonly name: string },
  signal: AbortSignal,
): Promise<DrilledObject> {
  const at = { type: SERVICES, version: "v1", namespace, name };
  const found = await getObject(api, at, signal);
  if (found === undefined)
    throw new MeshError(
      "absent",
      `${nameOf(side)} has no Service ${namespace}/${name}: nothing of it can be drained there`,
    );
  return { ...at, until: found.metadata.annotations?.[DRAIN_UNTIL] };
}

/** Writes the time, or takes it away. @throws MeshError, naming the object, its cluster and what would be needed. */
export async function writeDrain(
  api: KubeApi,
  side: Side,
  object: DrilledObject,
  until: string | null,
  signal: AbortSignal,
): Promise<void> {
  const { type, version, namespace, name } = object;
  const path = `${pathOf(type, version, namespace, name)}?fieldManager=${FIELD_MANAGER}`;
  const body = { metadata: { annotations: { [DRAIN_UNTIL]: until } } };
  const contentType = "application/merge-patch+json";
  try {
    await api.call({ method: "PATCH", path, contentType, body, deadlineMs: CALL_MS }, signal);
  } catch (thrown) {
    const why = `${drilledName(object)} of ${nameOf(side)} could not be annotated: ${messageOf(thrown)}`;
    throw new MeshError(MeshError.from(thrown).code, `${why}${neededFor(thrown, side, object)}`);
  }
}

/** What whoever runs the command lacks, and how that is seen. */
function neededFor(thrown: unknown, { context }: Side, { type, namespace }: DrilledObject): string {
  if (!(thrown instanceof ApiError) || thrown.status !== 403) return "";
  const resource = type.group === "" ? type.plural : `${type.plural}.${type.group}`;
  const kubectl = context === "" ? "kubectl" : `kubectl --context ${context}`;
  return `; it needs the verb patch on ${resource}: ${kubectl} -n ${namespace} auth can-i patch ${resource}`;
}
