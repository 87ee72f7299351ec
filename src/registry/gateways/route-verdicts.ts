import type { Collection } from "../collection/collection.ts";
import { derive } from "../collection/derive.ts";
import type { Graph } from "../collection/graph.ts";
import type { ParentRef } from "../kube/route.ts";
import type { Problem } from "../model/problem.ts";
import { backendName, type BackendName } from "../model/proxy-backend.ts";
import type { Verdict } from "../wanted/wanted-status.ts";
import type { JudgedRoute } from "./judged-routes.ts";
import { RULES_MAX, type MergedRoutes } from "./route-merge.ts";
import type { ParentOutcome } from "./route-parents.ts";

/** What is to be said of a route, parent by parent; only of those that are ours to judge. */
export type RouteVerdicts = readonly ParentVerdicts[];

export interface ParentVerdicts {
  readonly ref: ParentRef;
  /** As the Gateway API calls them, sorted by type. */
  readonly verdicts: readonly RouteVerdict[];
}

export interface RouteVerdict extends Verdict {
  /** What `message` says before it lists what of the route cannot be read; undefined if it lists nothing. */
  readonly effect?: string;
}

type MergedReads = { get(port: BackendName): MergedRoutes | undefined };

export function routeVerdicts(
  graph: Graph,
  judged: Collection<string, JudgedRoute>,
  merged: Collection<BackendName, MergedRoutes>,
): Collection<string, RouteVerdicts> {
  return derive(graph, {
    name: "route-verdicts",
    from: judged,
    reads: { merged },
    distinct: true,
    to: (route, { merged }, key) => [
      [key, route.parents.map((parent) => ({ ref: parent.ref, verdicts: verdictsOf(route, parent, merged, key) }))],
    ],
  });
}

function verdictsOf(
  route: JudgedRoute,
  parent: ParentOutcome,
  merged: MergedReads,
  key: string,
): readonly RouteVerdict[] {
  const accepted = acceptance(route, parent, merged, key);
  return [accepted, ...(accepted.holds ? partial(route) : []), resolution(route)];
}

function acceptance(route: JudgedRoute, parent: ParentOutcome, merged: MergedReads, key: string): RouteVerdict {
  const { accepted, reason, message, targets, ref } = parent;
  const verdict = (holds: boolean, reason: string, message: string): Verdict => ({
    type: "Accepted",
    holds,
    reason,
    message,
  });
  if (!accepted) return verdict(false, reason, message);
  const what = `${ref.kind} ${ref.namespace}/${ref.name}`;
  if (route.rules.length === 0 && route.errors.length > 0) {
    const effect = `No rule can be used, so the ${ref.kind} is called as if the route were not there.`;
    return { ...verdict(false, "UnsupportedValue", `${effect} ${sentences(route)}`), effect };
  }
  const ports = targets.map(({ service, port }) => merged.get(backendName(service, port)));
  if (ports.length > 0 && ports.every((port) => port?.outranked.includes(key)))
    return verdict(false, "Conflicted", `${what} has a GRPCRoute, beside which none of its HTTPRoutes counts.`);
  if (ports.some((port) => port?.tooMany.includes(key))) {
    const limit = `At most ${RULES_MAX} matches can be attached to one port of ${what}`;
    return verdict(false, "UnsupportedValue", `${limit}, and older routes have them; attach fewer.`);
  }
  return verdict(true, "Accepted", message);
}

/** As the Gateway API wants it: what became of the part that is wrong comes first. */
function partial(route: JudgedRoute): readonly RouteVerdict[] {
  if (route.errors.length === 0) return [];
  const effect = route.kept
    ? "Fall Back: what the route said before stays in force."
    : "Dropped Rule: what cannot be read is left out, or answered with 500.";
  const message = `${effect} ${sentences(route)}`;
  return [{ type: "PartiallyInvalid", holds: true, reason: "UnsupportedValue", message, effect }];
}

const sentences = ({ errors }: JudgedRoute): string =>
  errors.map(({ field, message }) => `${field} ${message}.`).join(" ");

function resolution({ unresolved }: JudgedRoute): Verdict {
  const [first] = unresolved;
  if (first === undefined)
    return { type: "ResolvedRefs", holds: true, reason: "ResolvedRefs", message: "All that it refers to is there." };
  const messages = [...new Set(unresolved.map(({ message }) => message))].slice(0, 5);
  return { type: "ResolvedRefs", holds: false, reason: first.reason, message: `${messages.join(" ")} ${SHARE}` };
}

const SHARE = "What would go there is answered with 500.";

/** All that is wrong with routes, in the words of their statuses but each field once, and what has no effect. */
export function routeProblems(
  graph: Graph,
  judged: Collection<string, JudgedRoute>,
  verdicts: Collection<string, RouteVerdicts>,
): Collection<string, Problem> {
  return derive(graph, {
    name: "route-problems",
    from: judged,
    reads: { verdicts },
    distinct: true,
    to: ({ kind, id, errors, ignored }, { verdicts }, key) => {
      const object = `${kind} ${id.namespace}/${id.name}`;
      const problem = (field: string, message: string, severity: Problem["severity"]): Problem => ({
        object,
        origin: id.origin,
        field,
        message,
        severity,
      });
      const ofParents = (verdicts.get(key) ?? []).flatMap(({ verdicts }) =>
        verdicts
          .filter(({ type, holds }) => holds === false || type === "PartiallyInvalid")
          .map(({ type, message, effect }) => problem(FIELDS[type] ?? "spec", effect ?? message, "warning")),
      );
      const unread = errors.map(({ field, message }) => problem(field, `${field} ${message}.`, "error"));
      const idle = ignored.map(({ field, message }) => problem(field, `${field} ${message}.`, "warning"));
      const distinct = new Map([...unread, ...ofParents, ...idle].map((each) => [each.message, each]));
      return [...distinct.values()].map((each, at) => [`route ${key}#${at}`, each] as const);
    },
  });
}

const FIELDS: Readonly<Record<string, string>> = {
  Accepted: "spec.parentRefs",
  PartiallyInvalid: "spec.rules",
  ResolvedRefs: "spec.rules",
};
