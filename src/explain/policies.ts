import type { ObjectKey, PolicyName } from "../names.ts";
import { byCodeUnit } from "../registry/collection/collection.ts";
import { bindingsAt, type BoundPolicy } from "../registry/gateways/policy-bindings.ts";
import type { PolicyVerdict } from "../registry/gateways/policy-verdicts.ts";
import type { RequestPolicy, TokenPolicy } from "../registry/model/proxy-policies.ts";
import type { ExplainFacts, PolicyView, WaypointView } from "./explanation.ts";
import type { Question } from "./question.ts";

/** Policies of this cluster that are about calls to the name: at its waypoint, and at ztunnels of its own endpoints. */
export function policiesFor(question: Question, waypoint: WaypointView, facts: ExplainFacts): readonly PolicyView[] {
  return [...waypointPolicies(question, waypoint, facts), ...ztunnelPolicies(question, facts)];
}

type Compiled = BoundPolicy<RequestPolicy | TokenPolicy>;

function waypointPolicies(
  { key, namespace }: Question,
  { here }: WaypointView,
  { registry }: ExplainFacts,
): readonly PolicyView[] {
  const { policyInputs, objects, globalCandidates, statusInputs } = registry;
  const { localCluster } = globalCandidates.inputs.options;
  const gateway = `${localCluster}/${here}` as ObjectKey;
  const owner = policyInputs.owners.get(key);
  const className = objects.gateways.get(gateway)?.className;
  // Without a waypoint those are left that name the service itself.
  const reached = new Set(
    here === ""
      ? bindingsAt(`${localCluster}/${namespace}/` as ObjectKey, key, owner, undefined)
      : bindingsAt(gateway, key, owner, className),
  );
  const views = (
    kind: string,
    all: Iterable<readonly [ObjectKey, Compiled]>,
    verdicts: { get(key: ObjectKey): PolicyVerdict | undefined },
  ): readonly PolicyView[] =>
    Array.from(all)
      .filter(([, { bindings }]) => bindings.some((each) => reached.has(each)))
      .sort(([a], [b]) => byCodeUnit(a, b))
      .map(([key, { policy }]) => ({
        object: `${kind} ${key.slice(localCluster.length + 1)}`,
        does: doingOf(policy),
        at: here === "" || policy === undefined ? "" : `waypoint ${here}`,
        note: noteOf(verdicts.get(key)),
      }));
  const { verdicts } = statusInputs;
  return [
    ...views("AuthorizationPolicy", policyInputs.authorization.entries(), verdicts.authorization),
    ...views("RequestAuthentication", policyInputs.authentication.entries(), verdicts.authentication),
  ];
}

function doingOf(policy: Compiled["policy"]): PolicyView["does"] {
  if (policy === undefined) return "does nothing";
  if (!("action" in policy)) return "checks tokens";
  if (policy.dryRun) return "is tried";
  return policy.action === "deny" ? "denies" : "allows";
}

const noteOf = (verdict: PolicyVerdict | undefined): string =>
  verdict === undefined || (verdict.reason === "Accepted" && verdict.concern === undefined) ? "" : verdict.message;

/** What PeerAuthentications were made into is named as no object can be. */
const isObjects = (name: string): boolean => !name.includes("_");

function ztunnelPolicies({ key }: Question, { registry }: ExplainFacts): readonly PolicyView[] {
  const { localCluster } = registry.globalCandidates.inputs.options;
  const own = registry.workloadsByService.get(key).filter(({ cluster }) => cluster === localCluster);
  if (own.length === 0) return [];
  const named = new Set<PolicyName>(own.flatMap(({ policies }) => policies));
  const homes = new Set(own.map(({ namespace }) => namespace));
  return Array.from(registry.policies.entries(), ([, policy]) => policy)
    .filter(
      ({ key, scope, namespace, name }) =>
        isObjects(name) && (scope === "global" || (scope === "namespace" ? homes.has(namespace) : named.has(key))),
    )
    .sort((a, b) => byCodeUnit(a.key, b.key))
    .map(({ namespace, name, action, dryRun }) => ({
      object: `AuthorizationPolicy ${namespace}/${name}`,
      does: dryRun ? "is tried" : action === "deny" ? "denies" : "allows",
      at: "ztunnels of its endpoints",
      note: "",
    }));
}
