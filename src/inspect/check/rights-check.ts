import { NEEDED_RIGHTS } from "../../registry/kube/rights.ts";
import type { ClusterFacts, Right } from "../cluster-facts.ts";
import { CHECKS } from "./checks.ts";
import { isEmbedded } from "./mesh-parts.ts";
import { helmContextFlag, kubectl } from "./fixes.ts";
import { CheckNotes, type Outcome, plural } from "./outcome.ts";
import { planeDeployment } from "./plane-fixes.ts";

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
  if (isEmbedded(facts)) notes.line("none is needed: no API server is asked");
  else if (rights !== undefined)
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

const whatOf = ({ user, group, resource, name, namespace }: Right): string =>
  [user, group, resource, name, namespace].join(" ");

/** The files of deploy/rbac are for one account; others were made by a chart. */
function grantOf(facts: ClusterFacts, right: Right): string {
  if (right.user === "system:serviceaccount:istio-system:istiod")
    return `${kubectl(facts)} apply -f deploy/rbac/${fileOf(right)}`;
  const [, , namespace] = right.user.split(":");
  const upgrade = `helm upgrade ${planeDeployment(facts)} deploy/charts/causeway -n ${namespace} --reuse-values`;
  return `${upgrade}${helmContextFlag(facts)}; the chart grants what deploy/rbac/${fileOf(right)} does`;
}

/** The file that grants it: what is granted for one feature must not grant another. */
function fileOf({ group, resource, verb, name, namespace }: Right): string {
  const needed = NEEDED_RIGHTS.findLast(
    (each) =>
      each.group === group &&
      each.resources.includes(resource) &&
      each.verbs.includes(verb) &&
      (each.where === "everywhere") === (namespace === "") &&
      (each.names === undefined ? name === undefined : name !== undefined && each.names.includes(name)),
  );
  return `${needed === undefined || needed.feature === "mesh" ? "causeway" : needed.feature}.yaml`;
}

/** As `kubectl auth can-i` takes it. */
function askedAs({ user, verb, group, resource, name, namespace }: Right): string {
  const [plural, subresource] = resource.split("/");
  const kind = group === "" ? plural : `${plural}.${group}`;
  const of = `${kind}${name === undefined ? "" : `/${name}`}${subresource === undefined ? "" : ` --subresource=${subresource}`}`;
  return `${verb} ${of} --as=${user}${namespace === "" ? " -A" : ` -n ${namespace}`}`;
}

function lacking(notes: CheckNotes, facts: ClusterFacts, rights: readonly Right[]): void {
  const [first] = rights as readonly [Right, ...Right[]];
  const { user, group, resource, name, namespace } = first;
  const kind = group === "" ? resource : `${resource}.${group}`;
  const where = namespace === "" ? "in all namespaces" : `in namespace ${namespace}`;
  notes.error("01", facts.cluster, {
    object: user,
    field: kind,
    evidence: `${user} may not ${rights.map((right) => right.verb).join(", ")} ${kind}${name === undefined ? "" : ` ${name}`} ${where}`,
    fix: `${grantOf(facts, first)}; ${kubectl(facts)} auth can-i ${askedAs(first)}`,
  });
}
