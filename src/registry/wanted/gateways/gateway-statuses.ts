import { isDeepStrictEqual } from "node:util";
import { GATEWAYS } from "../../../kube/resource-types.ts";
import type { WantedObject, WantedPart } from "../../../kube/wanted-object.ts";
import type { ObjectKey } from "../../../names.ts";
import type { Collection } from "../../collection/collection.ts";
import { derive } from "../../collection/derive.ts";
import type { Graph } from "../../collection/graph.ts";
import type { FoundAddress, GatewayStatus } from "../../kube/gateway-deployment.ts";
import { conditionOf, sameConditions, wantedStatus, type Verdict } from "../wanted-status.ts";
import { gatewayVerdicts, listenerConditions } from "./gateway-verdicts.ts";
import { partKey, type GatewayInputs } from "./gateway-inputs.ts";
import type { GatewayPlan, RefusedPlan } from "./gateway-plan.ts";
import type { PlanReads } from "./gateway-verdicts.ts";

/** How each Gateway that we deploy is (contract ztunnel.md 5.6): conditions, addresses and listeners. */
export function gatewayStatuses(
  graph: Graph,
  name: string,
  plans: Collection<ObjectKey, GatewayPlan | RefusedPlan>,
  { objects, parts, troubles, phase, mesh }: GatewayInputs,
): Collection<string, WantedObject> {
  return derive(graph, {
    name: `${name}-statuses`,
    distinct: true,
    from: plans,
    reads: { parts, troubles, phase, accounts: objects.serviceAccounts },
    to: (plan, reads) => {
      const { id, status: held } = plan.gateway;
      if (held === undefined || reads.phase.get("phase") === undefined) return [];
      const addresses = addressesOf(plan, held, reads, mesh.clusterDomain);
      const verdicts = gatewayVerdicts(plan, addresses, reads);
      const types = new Set(verdicts.map(({ type }) => type));
      const status = { ...held, conditions: held.conditions.filter(({ type }) => types.has(type)) };
      const listeners = listenersOf(plan, held, verdicts);
      const wanted = wantedStatus({ type: GATEWAYS, id, status }, verdicts, {
        fields: addresses.length > 0 ? { addresses } : {},
        parts: { field: "listeners", items: listeners.map(({ item }) => item) },
        found: isDeepStrictEqual(addresses, held.addresses) && sameListeners(listeners, held),
      });
      return wanted ? [[`Gateway ${id.namespace}/${id.name}`, wanted] as const] : [];
    },
  });
}

/**
 * Where it is. One that has an address keeps it while its Service is not there, or says nothing that could be read
 * otherwise: traffic would go without it, and without its policies.
 */
function addressesOf(
  plan: GatewayPlan | RefusedPlan,
  { addresses: held }: GatewayStatus,
  { parts }: Pick<PlanReads, "parts">,
  clusterDomain: string,
): readonly FoundAddress[] {
  const { namespace, name } = plan.gateway.id;
  const service = parts.get(partKey("Service", namespace, name));
  if ("refused" in plan || service === undefined || !service.owners.includes(plan.gateway.uid)) return held;
  if (service.state.serviceType !== "LoadBalancer")
    return service.state.clusterIp === ""
      ? held
      : [{ type: "Hostname", value: `${name}.${namespace}.svc.${clusterDomain}` }];
  return service.state.ingress
    .slice(0, ADDRESSES_MAX)
    .map((at) => ("ip" in at ? { type: "IPAddress", value: at.ip } : { type: "Hostname", value: at.hostname }));
}

/** The API takes no more. */
const ADDRESSES_MAX = 16;

interface WantedListener {
  readonly name: string;
  readonly item: WantedPart;
}

function listenersOf(
  plan: GatewayPlan | RefusedPlan,
  held: GatewayStatus,
  verdicts: readonly Verdict[],
): readonly WantedListener[] {
  return plan.listeners.map((listener) => {
    const { name } = listener;
    const conditions = held.listeners.find((other) => other.name === name)?.conditions ?? [];
    const { generation } = held;
    return {
      name,
      item: {
        // Routes of the mesh attach to Services, so none attaches here.
        fields: { name, attachedRoutes: 0, supportedKinds: [] },
        conditions: listenerConditions(listener, plan, verdicts).map((verdict) =>
          conditionOf(verdict, { generation, conditions }),
        ),
      },
    };
  });
}

function sameListeners(wanted: readonly WantedListener[], { listeners }: GatewayStatus): boolean {
  return (
    wanted.length === listeners.length &&
    wanted.every(({ name, item }) => {
      const there = listeners.find((other) => other.name === name);
      return (
        there?.attachedRoutes === 0 &&
        isDeepStrictEqual(there.supportedKinds ?? [], []) &&
        sameConditions(item.conditions, there.conditions)
      );
    })
  );
}
