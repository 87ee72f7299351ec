import { type ClusterFacts, kindName, whyUnknown } from "../cluster-facts.ts";
import { FACT_KINDS } from "../facts-kinds.ts";
import { CHECKS } from "./checks.ts";
import { kubectl, permitted } from "./fixes.ts";
import { isEmbedded } from "./mesh-parts.ts";
import { CheckNotes, type Outcome } from "./outcome.ts";
import { planeVariable } from "./plane-fixes.ts";

const FAULTS_SHOWN_MAX = 10;

/** The guide has no line for a cluster that could be read. */
export const isWorthALine = ({ check, level }: Outcome): boolean => check !== CHECKS.cluster || level !== "ok";

/** Whether a cluster could be read at all; shown only where something was in the way. */
export function clusterCheck(facts: ClusterFacts, mesh: readonly ClusterFacts[]): Outcome {
  const notes = new CheckNotes(CHECKS.cluster);
  const { cluster, unread, files } = facts;
  if (unread !== undefined) notes.error("01", cluster, { object: `cluster ${cluster}`, ...silence(facts, unread) });
  else if (files === undefined) forbidden(notes, facts);
  const twin = mesh.find((other) => other !== facts && other.cluster === cluster);
  if (twin !== undefined)
    notes.error("03", cluster, {
      ...{ object: `cluster ${cluster}`, field: "CLUSTER_ID" },
      evidence: `two clusters say that they are ${cluster}: those of ${whereOf(facts)} and ${whereOf(twin)}`,
      fix: `give one of the two a name of its own: ${planeVariable(facts, "CLUSTER_ID", "<name>")}`,
    });
  for (const { origin, message } of (files?.faults ?? []).slice(0, FAULTS_SHOWN_MAX))
    notes.warn("04", cluster, {
      object: origin,
      evidence: `${origin} does not count: ${message}`,
      fix: `mend ${origin}, or take it out of the folder`,
    });
  return notes.outcome("the cluster was read", cluster);
}

function silence(facts: ClusterFacts, unread: string): { readonly evidence: string; readonly fix: string } {
  const { cluster } = facts;
  if (isEmbedded(facts))
    return {
      evidence: `the control plane of ${cluster} does not answer: ${unread}`,
      fix: "start it; or name the state folder of one that runs",
    };
  if (facts.refused === true)
    return {
      evidence: `the API server of ${cluster} refuses this context: ${unread}`,
      fix: `log in again; ${kubectl(facts)} auth whoami`,
    };
  return {
    evidence: `the API server of ${cluster} does not answer: ${unread}`,
    fix: `${kubectl(facts)} version; look at the server of the context, and at the network on the way there`,
  };
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
    fix: permitted(facts, first.kind),
  });
}
