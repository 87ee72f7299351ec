import type { KubeObject } from "../../kube/object.ts";
import { SECRETS } from "../../kube/resource-types.ts";
import { type ClusterFacts, objectsOf, whyUnknown } from "../cluster-facts.ts";
import { type RemoteFacts, remotesOf } from "../secret-facts.ts";
import type { CheckOptions } from "./check-options.ts";
import { CHECKS } from "./checks.ts";
import { ageText, entriesOfPage, objectName, textOf } from "./mesh-parts.ts";
import { CheckNotes, contextFlag, type Outcome } from "./outcome.ts";

/** Clusters that are read by their API servers: their kubeconfigs, and how old the tokens in them are. */
export function remoteSecretsCheck(facts: ClusterFacts, options: CheckOptions): Outcome {
  const notes = new CheckNotes(CHECKS.remoteSecrets);
  const secrets = objectsOf(facts, SECRETS).filter((secret) => remotesOf(secret).length > 0);
  for (const secret of secrets) for (const remote of remotesOf(secret)) lookAt(notes, facts, secret, remote, options);
  for (const { id, secretName, syncStatus, reason } of entriesOfPage(facts, "clusterz"))
    if (textOf(secretName) !== "" && !textOf(secretName).startsWith("Gateway ") && syncStatus !== "synced")
      notes.error("05", facts.cluster, {
        object: `Secret ${textOf(secretName)}`,
        evidence: `cluster ${textOf(id)} is not read: ${textOf(syncStatus)}${textOf(reason) && `, ${textOf(reason)}`}`,
        fix: `causeway remote-clusters${contextFlag(facts)}, and see that its API server can be reached from here`,
      });
  const why = whyUnknown(facts, SECRETS);
  if (why !== undefined)
    notes.unknown("04", facts.cluster, {
      object: "secrets",
      evidence: `remote secrets are not known: ${why}`,
      fix: "",
    });
  return notes.outcome(secrets.length === 0 ? "no remote secrets" : "all remote secrets are good", facts.cluster);
}

function lookAt(
  notes: CheckNotes,
  facts: ClusterFacts,
  secret: KubeObject,
  remote: RemoteFacts,
  options: CheckOptions,
): void {
  const { cluster, issuedAt, expiresAt, why } = remote;
  const place = `secret ${secret.metadata.name}, cluster ${cluster}`;
  const problem = { object: objectName(secret), field: `data[${cluster}]` };
  const fix = `causeway create-remote-secret --name ${cluster} --context <its context> | kubectl${contextFlag(facts)} apply -f -`;
  const age = issuedAt === undefined ? "of unknown age" : `${ageText(facts.readAt - issuedAt)} old`;
  notes.line(`${place}: ${remote.proof || "unreadable"}${remote.proof === "token" ? `, ${age}` : ""}`);
  if (why !== "")
    return notes.error("03", facts.cluster, { ...problem, evidence: `${place} cannot be read: ${why}`, fix });
  if (expiresAt !== undefined && expiresAt <= facts.readAt)
    return notes.error("02", facts.cluster, {
      ...problem,
      evidence: `the token of ${place} expired at ${new Date(expiresAt).toISOString()}`,
      fix,
    });
  if (issuedAt !== undefined && facts.readAt - issuedAt > options.tokenAgeMaxMs)
    notes.error("01", facts.cluster, {
      ...problem,
      evidence: `the token of ${place} is ${age}, and ${ageText(options.tokenAgeMaxMs)} is the most`,
      fix,
    });
}
