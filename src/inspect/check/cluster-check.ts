import { type ClusterFacts, kindName, whyUnknown } from "../cluster-facts.ts";
import { FACT_KINDS } from "../facts-kinds.ts";
import { CHECKS } from "./checks.ts";
import { CheckNotes, kubectl, type Outcome } from "./outcome.ts";

const FAULTS_SHOWN_MAX = 10;

/** Whether a cluster could be read at all; shown only where something was in the way. */
export function clusterCheck(facts: ClusterFacts, mesh: readonly ClusterFacts[]): Outcome {
  const notes = new CheckNotes(CHECKS.cluster);
  const { cluster, unread, files } = facts;
  const refused = unread !== undefined && / answered with 401/.test(unread);
  if (unread !== undefined)
    notes.error("01", cluster, {
      ...{
        object: `cluster ${cluster}`,
        evidence: `the API server of ${cluster} ${refused ? "refuses this context" : "does not answer"}: ${unread}`,
      },
      fix: refused
        ? `log in again, until ${kubectl(facts)} auth whoami says who you are`
        : `${kubectl(facts)} version; check the server of the context, and the network on the way there`,
    });
  else if (files === undefined) forbidden(notes, facts);
  const twin = mesh.find((other) => other !== facts && other.cluster === cluster);
  if (twin !== undefined)
    notes.error("03", cluster, {
      ...{ object: `cluster ${cluster}`, field: "CLUSTER_ID" },
      evidence: `two clusters say that they are ${cluster}: those of ${whereOf(facts)} and ${whereOf(twin)}`,
      fix: `give one of the two control planes another CLUSTER_ID, and restart it`,
    });
  for (const { origin, message } of (files?.faults ?? []).slice(0, FAULTS_SHOWN_MAX))
    notes.warn("04", cluster, {
      object: origin,
      evidence: `${origin} does not count: ${message}`,
      fix: "mend or remove it",
    });
  return notes.outcome("the cluster was read", cluster);
}

const whereOf = ({ context, source }: ClusterFacts): string => (context === undefined ? source : `context ${context}`);

function forbidden(notes: CheckNotes, facts: ClusterFacts): void {
  const unknown = FACT_KINDS.flatMap((type) => {
    const why = facts.kinds.has(kindName(type)) ? whyUnknown(facts, type) : undefined;
    return why === undefined ? [] : [{ kind: kindName(type), why }];
  });
  const [first] = unknown;
  if (first === undefined) return;
  notes.warn("02", facts.cluster, {
    object: first.kind,
    evidence: `${unknown.map(({ kind }) => kind).join(", ")} could not be read: ${first.why}`,
    fix: `${kubectl(facts)} auth can-i list ${first.kind} -A; take a context that may`,
  });
}
