import { clusterId } from "../names.ts";
import type { PeerGrant } from "../registry/kube/peer-grant.ts";
import { type GrantLimit, isFor, isForTheRest } from "../registry/model/granted.ts";
import type { ExplainFacts, Place } from "./explanation.ts";
import { edited, isWritten, manifestsOf } from "./mending.ts";
import type { Question } from "./question.ts";

/** Which limit leaves a service out. */
export interface PassedLimit extends Pick<GrantLimit, "by"> {
  readonly direction: "import" | "export";
}

/** The grants or bounds that leave a service out, and what would take it in. */
export function limitPlace(
  peer: string,
  question: Pick<Question, "namespace" | "name">,
  limit: PassedLimit,
  facts: ExplainFacts,
): Place {
  const { localCluster, systemNamespace } = facts.registry.globalCandidates.inputs.options;
  const limiting = limitingGrants(peer, limit, facts);
  const named = limiting.map(({ id }) => `${id.namespace}/${id.name}`).join(", ");
  const place = { object: `PeerGrant ${named || `for cluster ${peer}`}`, cluster: localCluster };
  if (limit.by === "Workspace")
    return { ...place, field: `spec.${limit.direction}`, fix: workspaceFix(peer, localCluster, question, limit) };
  const { id = { namespace: systemNamespace, name: "" } } = limiting[0] ?? {};
  const scope = `{namespaces: [${question.namespace}], services: [${question.name}]}`;
  const edit =
    id.name === "" && isWritten(facts)
      ? `in a PeerGrant of ${manifestsOf(localCluster, facts)}`
      : edited({ cluster: localCluster, kind: "PeerGrant", ...id }, facts);
  return {
    ...place,
    field: `spec.${limit.direction}`,
    fix: `spec: {${limit.direction}: ${scope}}, beside what it has: ${edit}`,
  };
}

/** What the bound says follows from objects elsewhere: an edit of it here would be written over. */
function workspaceFix(
  peer: string,
  localCluster: string,
  { namespace, name }: Pick<Question, "namespace" | "name">,
  { direction }: PassedLimit,
): string {
  const [from, to] = direction === "export" ? [localCluster, peer] : [peer, localCluster];
  return (
    `where the trust manager is, and not here: have a Workspace take in namespace ${namespace} of cluster ${from} and a ` +
    `namespace of cluster ${to}, or export Service ${name} to one that has such (docs/workspaces.md)`
  );
}

function limitingGrants(
  peer: string,
  { by, direction }: PassedLimit,
  { registry, readers }: ExplainFacts,
): readonly PeerGrant[] {
  const gateway = Array.from(registry.peerGateways.entries(), ([, each]) => each).find(
    ({ cluster }) => cluster === peer,
  );
  const reader = readers.find(({ cluster }) => cluster === peer);
  const [, proven] = /^spiffe:\/\/([^/]+)\//.exec(reader?.identity ?? "") ?? [];
  const trustDomain = direction === "export" ? (proven ?? "") : (gateway?.trustDomain ?? proven ?? "");
  const limiting = Array.from(registry.peerGrants.entries(), ([, grant]) => grant).filter(
    (grant) =>
      grant.bound !== (by === "PeerGrant") &&
      (direction === "import" ? grant.imports : grant.exports) !== undefined &&
      isFor(grant, { cluster: clusterId(peer), trustDomain }),
  );
  const own = limiting.filter((grant) => !isForTheRest(grant));
  return by === "Workspace" && own.length > 0 ? own : limiting;
}
