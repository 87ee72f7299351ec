import type { ResourceType } from "../../../kube/api.ts";
import * as types from "../../../kube/resource-types.ts";
import type { WantedObject } from "../../../kube/wanted-object.ts";
import type { ObjectKey } from "../../../names.ts";
import type { Collection } from "../../collection/collection.ts";
import { derive } from "../../collection/derive.ts";
import type { Graph } from "../../collection/graph.ts";
import { APPLIED, isThere, marked, type FoundPart } from "./found-part.ts";
import { partKey, type GatewayInputs, type GatewaySettings } from "./gateway-inputs.ts";
import { gatewayObjects } from "./gateway-objects.ts";
import type { GatewayPlan, RefusedPlan } from "./gateway-plan.ts";

type Plans = Collection<ObjectKey, GatewayPlan | RefusedPlan>;

/** What goes again once nobody asks for it. */
const OPTIONAL: readonly ResourceType[] = [types.AUTOSCALERS, types.DISRUPTION_BUDGETS];

/** All objects that are made for Gateways. Of one that is refused what is there stays as it is. */
export function wantedParts(
  graph: Graph,
  name: string,
  plans: Plans,
  { parts, phase, mesh, localCluster }: GatewayInputs,
  settings: GatewaySettings,
): Collection<string, WantedObject> {
  return derive(graph, {
    name: `${name}-parts`,
    from: plans,
    reads: { parts, phase },
    to: (plan, reads): readonly (readonly [string, WantedObject])[] => {
      if ("refused" in plan || reads.phase.get("phase") === undefined) return [];
      const { id, uid } = plan.gateway;
      const { clusterDomain, trustDomain } = mesh;
      const drafts = gatewayObjects(plan, settings, { clusterDomain, trustDomain, cluster: localCluster });
      const wanted = drafts.map((draft): readonly [string, WantedObject | undefined] => {
        const key = partKey(draft.type.kind, draft.namespace, draft.name);
        return [key, wantedPart(marked({ ...draft, found: "different" }), reads.parts.get(key))];
      });
      const left = OPTIONAL.filter(({ kind }) => drafts.every(({ type }) => type.kind !== kind)).map(
        (type): readonly [string, WantedObject | undefined] => {
          const key = partKey(type.kind, id.namespace, id.name);
          return [key, withoutPart(type, plan, reads.parts.get(key), uid)];
        },
      );
      return [...wanted, ...left].flatMap(([key, object]) => (object === undefined ? [] : [[key, object] as const]));
    },
  });
}

function wantedPart(wanted: WantedObject, found: FoundPart | undefined): WantedObject | undefined {
  if (found === undefined) return { ...wanted, guard: { uid: undefined } };
  if (whyNotOurs(found, wanted.owner!.uid, wanted.type.kind) !== undefined) return undefined;
  const same = digestOf(found) === wanted.annotations![APPLIED] && isThere(wanted, found);
  return { ...wanted, guard: { uid: found.uid }, found: same ? "same" : "different" };
}

/** What somebody else made under that name stays. */
function withoutPart(
  type: ResourceType,
  { gateway: { id } }: GatewayPlan,
  found: FoundPart | undefined,
  owner: string,
): WantedObject | undefined {
  if (found === undefined || !found.owners.includes(owner) || digestOf(found) === undefined) return undefined;
  const { uid, resourceVersion } = found;
  const { namespace, name } = id;
  return { type, namespace, name, gone: true, resourceVersion, guard: { uid }, found: "different" };
}

function digestOf({ content }: FoundPart): unknown {
  return (content["annotations"] as Readonly<Record<string, unknown>>)[APPLIED];
}

/** Why an object that is there is not the Gateway's, as a sentence about it; undefined if it is. */
export function whyNotOurs(found: FoundPart, owner: string, kind: string): string | undefined {
  if (!found.owners.includes(owner)) return "is somebody else's: no ownerReference of it is this Gateway";
  // Containers of another controller would stay in it beside ours.
  if (kind === types.DEPLOYMENTS.kind && digestOf(found) === undefined)
    return "was made by another controller, whose proxies know another control plane; once you delete it, it is made anew";
  return undefined;
}
