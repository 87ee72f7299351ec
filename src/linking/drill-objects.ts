import { MeshError } from "../errors.ts";
import type { KubeApi } from "../kube/api.ts";
import { pathOf, type ResourceType } from "../kube/api.ts";
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

/** Writes the time, or takes it away. @throws ApiError */
export async function writeDrain(
  api: KubeApi,
  { type, version, namespace, name }: DrilledObject,
  until: string | null,
  signal: AbortSignal,
): Promise<void> {
  await api.call(
    {
      method: "PATCH",
      path: `${pathOf(type, version, namespace, name)}?fieldManager=${FIELD_MANAGER}`,
      contentType: "application/merge-patch+json",
      body: { metadata: { annotations: { [DRAIN_UNTIL]: until } } },
      deadlineMs: CALL_MS,
    },
    signal,
  );
}
