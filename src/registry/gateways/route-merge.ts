import { isDeepStrictEqual } from "node:util";
import type { ServiceName } from "../../names.ts";
import type { Collection } from "../collection/collection.ts";
import { derive } from "../collection/derive.ts";
import type { Graph } from "../collection/graph.ts";
import { merge } from "../collection/merge.ts";
import type { ObjectId } from "../kube/metadata.ts";
import type { RouteKind } from "../kube/route.ts";
import type { HttpRule } from "../model/http-rule.ts";
import { backendName, type BackendName } from "../model/proxy-backend.ts";
import type { JudgedRoute } from "./judged-routes.ts";
import type { RouteTarget } from "./route-parents.ts";
import type { OrderedRule } from "./route-rules.ts";

/** What all routes of one port are together. */
export interface MergedRoutes {
  readonly rules: readonly HttpRule[];
  /** Routes that do not count there, as `HTTPRoute east/shop/cart`. */
  readonly outranked: readonly string[];
  readonly tooMany: readonly string[];
}

/** Of one port; a proxy looks through them one by one. */
export const RULES_MAX = 20_000;

interface AttachedRoute {
  readonly target: BackendName;
  readonly key: string;
  readonly kind: RouteKind;
  readonly id: ObjectId;
  readonly rules: readonly OrderedRule[];
}

/** By the port that is called, as `backendName` names it. */
export function mergedRoutes(
  graph: Graph,
  judged: Collection<string, JudgedRoute>,
): Collection<BackendName, MergedRoutes> {
  const attached = derive(graph, {
    name: "attached-routes",
    from: judged,
    reads: {},
    distinct: true,
    to: ({ kind, id, rules, parents }, _reads, key) => {
      const targets = new Map<string, AttachedRoute>();
      // Of which nothing could be read: that must not take its service down.
      if (rules.length === 0) return targets;
      for (const { targets: each } of parents)
        for (const target of each) {
          const name = backendName(target.service, target.port);
          targets.set(`${name} ${key}`, { target: name, key, kind, id, rules: asCalled(rules, target) });
        }
      return targets;
    },
  });
  return merge(graph, {
    name: "merged-routes",
    from: attached,
    by: ({ target }) => target,
    combine: (_target, members) => combined(members),
    equals: (a, b) =>
      sameRules(a.rules, b.rules) && isDeepStrictEqual([a.outranked, a.tooMany], [b.outranked, b.tooMany]),
  });
}

/** Most of ten thousand rules are the very same objects as before. */
export const sameRules = (a: readonly HttpRule[], b: readonly HttpRule[]): boolean =>
  a === b || (a.length === b.length && a.every((rule, at) => rule === b[at] || isDeepStrictEqual(rule, b[at])));

/**
 * A reference of a service's route to the service itself means it as it was called: who calls a global name is not left
 * with the pods of one cluster because its route has a timeout.
 */
function asCalled(rules: readonly OrderedRule[], { service, plain }: RouteTarget): readonly OrderedRule[] {
  if (service === plain) return rules;
  const actions = new Map<HttpRule["action"], HttpRule["action"]>();
  return rules.map(({ weight, rule }) => {
    let action = actions.get(rule.action);
    if (action === undefined) actions.set(rule.action, (action = renamed(rule.action, plain, service)));
    return action === rule.action ? { weight, rule } : { weight, rule: { ...rule, action } };
  });
}

function renamed(action: HttpRule["action"], from: ServiceName, to: ServiceName): HttpRule["action"] {
  if (action.kind !== "forward" || !action.backends.some(({ backend }) => isOf(backend, from))) return action;
  return {
    ...action,
    backends: action.backends.map((each) =>
      isOf(each.backend, from) ? { ...each, backend: `${to}${each.backend.slice(from.length)}` as BackendName } : each,
    ),
  };
}

const isOf = (backend: string, service: ServiceName): boolean => backend.startsWith(`${service}:`);

/** GRPCRoutes outrank HTTPRoutes; of routes the oldest comes first, then the first by name (Gateway API). */
function combined(members: readonly AttachedRoute[]): MergedRoutes {
  const grpc = members.filter(({ kind }) => kind === "GRPCRoute");
  const counting = grpc.length > 0 ? grpc : members;
  const tooMany: string[] = [];
  const rules: OrderedRule[] = [];
  for (const { rules: own, key } of [...counting].sort(byAge)) {
    if (rules.length + own.length > RULES_MAX) tooMany.push(key);
    else rules.push(...own);
  }
  // Rules that are as specific as each other keep their order: that of their routes, and then of themselves.
  rules.sort((a, b) => compareWeights(b.weight, a.weight));
  return {
    rules: rules.map(({ rule }) => rule),
    outranked: grpc.length > 0 ? members.filter(({ kind }) => kind !== "GRPCRoute").map(({ key }) => key) : [],
    tooMany,
  };
}

function byAge({ id: a }: AttachedRoute, { id: b }: AttachedRoute): number {
  const [left, right] = [`${a.namespace}/${a.name}`, `${b.namespace}/${b.name}`];
  return a.createdMs - b.createdMs || (left < right ? -1 : left > right ? 1 : 0);
}

function compareWeights(a: readonly number[], b: readonly number[]): number {
  for (const [at, weight] of a.entries()) if (weight !== b[at]) return weight - b[at]!;
  return 0;
}
