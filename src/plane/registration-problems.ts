import type { ObjectKey } from "../names.ts";
import { printable } from "../printable.ts";
import type { Collection } from "../registry/collection/collection.ts";
import type { Problem } from "../registry/model/problem.ts";
import { ownIdPrefix, type EntryTrouble, type PodEntries } from "../registry/wanted/spire-entries.ts";
import type { IdentityMode } from "../spire-config.ts";
import type { RegistrationState } from "../spire/registrar.ts";
import type { Census } from "../spire/status/census.ts";
import { countOf, inFew } from "../spire/status/check.ts";
import { namesOf } from "./spire-coverage.ts";

export interface RegistrationFacts {
  readonly state: RegistrationState;
  readonly pods: Collection<ObjectKey, PodEntries>;
  /** Those of them with troubles. */
  readonly troubled: Collection<ObjectKey, PodEntries>;
  /** Why the file of templates does not count as it is. */
  readonly fileTrouble: string | undefined;
  /** As SPIRE calls it. */
  readonly cluster: string;
}

/** Why pods are not registered as they should be, and what can be done about it. */
export function registrationProblems(facts: RegistrationFacts): readonly Problem[] {
  const { state, fileTrouble } = facts;
  return [
    ...(fileTrouble === undefined ? [] : [problem("", `${fileTrouble}. What the file said before holds until then.`)]),
    ...(state.phase === "paused" ? [problem("", `Nothing is registered: ${state.reason}.`)] : []),
    ...(state.phase === "failing"
      ? [
          problem(
            "",
            `Entries of new pods are not made: ${printable(state.reason ?? "", 400)}. It is tried again.`,
            "error",
          ),
        ]
      : []),
    ...templateProblems(facts.troubled),
    ...waitingProblems(facts),
    ...refusedProblems(facts),
    ...(state.held === 0 ? [] : [heldBack(facts)]),
  ];
}

/** Said before a certificate is refused: those that were issued live on after their entry is gone. */
export function censusProblems(census: Census | undefined, mode: IdentityMode): readonly Problem[] {
  const [first] = census?.shown ?? [];
  if (census === undefined || first === undefined) return [];
  const whose = census.uncovered === 1 ? "An identity" : `${census.uncovered} identities`;
  const when = mode === "spire" ? "now" : "with --identity spire";
  const message =
    `${whose} of the mesh would get no certificate ${when}, as no entry of SPIRE's holds for all of its pods on a node. Of ` +
    `the first, ${first.spiffeId} on ${first.node}: ${printable(first.why, 500)}. causeway spire status has more of them.`;
  return [{ ...problem("", message), object: "SPIRE entries" }];
}

const problem = (field: string, message: string, severity: Problem["severity"] = "warning"): Problem => ({
  ...{ object: "SPIRE registration", origin: "", field, message, severity },
});

function templateProblems(troubled: Collection<ObjectKey, PodEntries>): readonly Problem[] {
  const byTemplate = new Map<string, { readonly trouble: EntryTrouble; readonly pods: PodEntries[] }>();
  for (const [, pod] of troubled.entries())
    for (const trouble of pod.troubles) {
      const key = `${trouble.name} ${trouble.field}`;
      const known = byTemplate.get(key) ?? { trouble, pods: [] };
      known.pods.push(pod);
      byTemplate.set(key, known);
    }
  return Array.from(byTemplate.values(), ({ trouble, pods }) => ({
    ...problem(
      trouble.field,
      `For ${countOf(pods.length, "pod")} (${namesOf(pods)}) no entry is made of it: of ${pods[0]!.name} ${trouble.field} ${trouble.message}.`,
    ),
    object: `ClusterSPIFFEID ${trouble.name}`,
  }));
}

/** By node, as that is where an agent is missing. */
function waitingProblems({ state, pods, cluster }: RegistrationFacts): readonly Problem[] {
  if (state.waiting.length === 0) return [];
  const ids = new Set(state.waiting.map(({ id }) => id));
  const waiting = podsWith(pods, ids);
  const nodes = [...new Set(waiting.map(({ node }) => node))].sort();
  return [
    problem(
      "",
      `SPIRE has no agent on ${inFew(nodes, 5)}, so ${countOf(waiting.length, "pod")} there (${namesOf(waiting)}) ` +
        `${waiting.length === 1 ? "waits" : "wait"} for an entry. Agents count that attested by k8s_psat for cluster ` +
        `${cluster}; see spire-server agent list, and --spire-cluster if SPIRE calls this cluster otherwise.`,
    ),
  ];
}

function refusedProblems({ state, pods }: RegistrationFacts): readonly Problem[] {
  const byMessage = new Map<string, Set<string>>();
  for (const [id, message] of state.refused) byMessage.set(message, (byMessage.get(message) ?? new Set()).add(id));
  return Array.from(byMessage, ([message, ids]) => {
    const about = podsWith(pods, ids);
    const whose = about.length === 0 ? "" : ` of ${namesOf(about)}`;
    return problem(
      "",
      `SPIRE's server refuses ${ids.size} of our entries${whose}: ${printable(message, 300)}. ` +
        "It is asked again once a minute.",
    );
  });
}

const heldBack = ({ state, cluster }: RegistrationFacts): Problem =>
  problem(
    "",
    `${state.held} of ${state.registered} entries are for identities that no pod has ` +
      "any more. So many at once are not believed, and none of them is removed. If it is right, restart with --spire-register-removals 100 " +
      `(SPIRE_REGISTER_REMOVALS), or delete them at SPIRE's server: their ids begin with ${ownIdPrefix(cluster)}`,
  );

function podsWith(pods: Collection<ObjectKey, PodEntries>, ids: ReadonlySet<string>): readonly PodEntries[] {
  return Array.from(pods.entries(), ([, pod]) => pod).filter(({ entries }) => entries.some(({ id }) => ids.has(id)));
}
