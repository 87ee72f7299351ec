import type { ClusterFacts, Right } from "../cluster-facts.ts";
import { CHECKS } from "./checks.ts";
import { CheckNotes, kubectl, type Outcome, plural } from "./outcome.ts";

/** Whether the account of the control plane may all that the control plane does. */
export function rightsCheck(facts: ClusterFacts): Outcome {
  const notes = new CheckNotes(CHECKS.rights);
  const { rights, rightsUnknown } = facts.measured;
  const missing = (rights ?? []).filter(({ allowed }) => !allowed);
  for (const resource of new Set(missing.map(whatOf)))
    lacking(
      notes,
      facts,
      missing.filter((right) => whatOf(right) === resource),
    );
  if (rights !== undefined)
    notes.line(`${rights.length - missing.length} of ${plural(rights.length, "right")} granted`);
  else {
    const why = rightsUnknown ?? "no control plane was found whose account could be asked about";
    notes.line(`not known: ${why}`, "info");
    notes.unknown("02", facts.cluster, {
      object: "SubjectAccessReview",
      evidence: `rights are not known: ${why}`,
      fix: "",
    });
  }
  const passed = rights === undefined ? "rights could not be asked for" : "the control plane may all that it needs";
  return notes.outcome(passed, facts.cluster, rights === undefined ? "info" : undefined);
}

const whatOf = ({ user, group, resource, namespace }: Right): string => [user, group, resource, namespace].join(" ");

function lacking(notes: CheckNotes, facts: ClusterFacts, rights: readonly Right[]): void {
  const [{ user, group, resource, namespace, verb }] = rights as readonly [Right, ...Right[]];
  const kind = group === "" ? resource : `${resource}.${group}`;
  const where = namespace === "" ? "in all namespaces" : `in namespace ${namespace}`;
  notes.error("01", facts.cluster, {
    object: user,
    field: kind,
    evidence: `${user} may not ${rights.map((right) => right.verb).join(", ")} ${kind} ${where}`,
    fix: `${kubectl(facts)} apply -f deploy/rbac, then ${kubectl(facts)} auth can-i ${verb} ${kind} --as=${user}${namespace === "" ? " -A" : ` -n ${namespace}`}`,
  });
}
