import { MeshError } from "../errors.ts";
import { podUid } from "../names.ts";
import { printable } from "../printable.ts";
import { formatServiceAccountId, parseServiceAccountId, type ServiceAccountId } from "../spiffe.ts";
import type { Workload } from "../registry/model/workload.ts";
import type { CallerView, ExplainFacts, Verdict, WaypointView } from "./explanation.ts";
import type { Question } from "./question.ts";
import { decide, type Connection, type Decision } from "./verdict.ts";

/** Who calls: a pod of this cluster, or an identity that another cluster asks about. */
export interface CallerQuestion {
  /** As `shop/web-1`; empty if nobody asks. */
  readonly from: string;
  /** As `spiffe://…`; empty unless `from` is. */
  readonly principal: string;
}

const VERDICTS_MAX = 100;

/** What the L4 policies of this cluster make of a caller at each endpoint of its own. @throws MeshError if there is no such pod. */
export function callerView(
  { from, principal }: CallerQuestion,
  question: Question,
  waypoint: WaypointView,
  facts: ExplainFacts,
): CallerView | undefined {
  if (from === "" && principal === "") return undefined;
  const pod = from === "" ? undefined : podOf(from, facts);
  const identity = pod === undefined ? identityIn(principal) : identityOf(pod);
  const before = pod !== undefined && waypoint.here !== "" ? waypointIdentity(waypoint.here, facts) : undefined;
  const seen = before ?? identity;
  const sourceIp = before === undefined ? (pod?.addresses[0] ?? "") : "";
  const caller = pod === undefined ? principal : from;
  return {
    caller,
    identity: textOf(identity),
    seen: textOf(seen),
    verdicts: verdictsOf({ identity: seen, sourceIp }, question, facts),
    note: noteOf(identity, before !== undefined, sourceIp),
  };
}

function noteOf(identity: ServiceAccountId | undefined, through: boolean, sourceIp: string): string {
  if (identity === undefined)
    return "it is not in the mesh, so it calls in plain text: label its namespace istio.io/dataplane-mode: ambient; names of global services mean nothing to it";
  if (through)
    return "a waypoint calls for it, so ztunnels at the endpoints see the waypoint's identity, and only the waypoint the caller's";
  return sourceIp === "" ? "its address is not known here: policies that ask for it are taken not to match" : "";
}

const textOf = (identity: ServiceAccountId | undefined): string =>
  identity === undefined ? "" : formatServiceAccountId(identity);

/** A pod by its name, or by the beginning of it: who can tell the hash of a Deployment's pod by heart? */
function podOf(from: string, { registry }: ExplainFacts): Workload {
  const [namespace = "", name = "", ...rest] = from.split("/");
  if (namespace === "" || name === "" || rest.length > 0)
    throw new MeshError(
      "invalid",
      `the caller is "${printable(from, 120)}": give it as namespace/pod, as shop/web-7d4b-x2`,
    );
  const { localCluster } = registry.globalCandidates.inputs.options;
  const exact = registry.workloads.get(podUid(localCluster, namespace, name));
  if (exact !== undefined) return exact;
  const prefix = podUid(localCluster, namespace, name);
  const begun = Array.from(registry.workloads.entries(), ([, workload]) => workload).filter(({ uid }) =>
    uid.startsWith(prefix),
  );
  // `web` is rather one of the Deployment web than one of web2.
  const meant = begun.find(({ uid }) => uid.startsWith(`${prefix}-`)) ?? begun[0];
  if (meant !== undefined) return meant;
  throw new MeshError(
    "absent",
    `cluster ${localCluster} has no pod ${printable(from, 120)} with an address; causeway workloads -n ${printable(namespace, 63)} lists those that it has`,
  );
}

const identityOf = ({ tunnel, trustDomain, namespace, serviceAccount }: Workload): ServiceAccountId | undefined =>
  tunnel === "none" ? undefined : { trustDomain, namespace, serviceAccount: serviceAccount || "default" };

/** @throws MeshError `invalid` */
const identityIn = (principal: string): ServiceAccountId =>
  parseServiceAccountId(principal.startsWith("spiffe://") ? principal : `spiffe://${principal}`);

function waypointIdentity(name: string, { registry }: ExplainFacts): ServiceAccountId | undefined {
  const { localCluster, mesh } = registry.globalCandidates.inputs.options;
  for (const [, waypoint] of registry.statusInputs.waypoints.entries())
    if (waypoint.cluster === localCluster && `${waypoint.namespace}/${waypoint.name}` === name)
      return {
        trustDomain: mesh.trustDomain,
        namespace: waypoint.namespace,
        serviceAccount: waypoint.serviceAccount,
      };
  return undefined;
}

function verdictsOf(
  from: Pick<Connection, "identity" | "sourceIp">,
  { key, port: asked }: Question,
  { registry }: ExplainFacts,
): readonly Verdict[] {
  const { localCluster } = registry.globalCandidates.inputs.options;
  const policies = Array.from(registry.policies.entries(), ([, policy]) => policy);
  const own = registry.workloadsByService
    .get(key)
    .filter(({ cluster, addresses }) => cluster === localCluster && addresses.length > 0);
  const verdicts: Verdict[] = [];
  for (const to of own) {
    const { ports } = to.services.find(({ service }) => service === key)!;
    for (const { servicePort, targetPort } of ports) {
      if ((asked !== undefined && servicePort !== asked) || verdicts.length >= VERDICTS_MAX) continue;
      const decision = decide(policies, { ...from, to, port: targetPort || servicePort });
      verdicts.push(verdictOf(to, targetPort || servicePort, decision));
    }
  }
  return verdicts;
}

function verdictOf({ namespace, name }: Workload, port: number, { allowed, policies, why }: Decision): Verdict {
  const names = policies.map((policy) => `${policy.namespace}/${policy.name}`);
  const messages: Readonly<Record<Decision["why"], string>> = {
    denied: `denied by AuthorizationPolicy ${names.join(", ")}`,
    allowed: `allowed by AuthorizationPolicy ${names.join(", ")}`,
    "nothing binds it": "allowed: no ALLOW policy binds it",
    "nothing allows it": `denied: AuthorizationPolicy ${names.join(", ")} bind it, and none allows this caller`,
  };
  return { endpoint: `${namespace}/${name}`, port, allowed, policies: names, message: messages[why] };
}
