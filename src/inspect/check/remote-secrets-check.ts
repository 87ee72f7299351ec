import type { KubeObject } from "../../kube/object.ts";
import { SECRETS } from "../../kube/resource-types.ts";
import { type ClusterFacts, objectsOf, whyUnknown } from "../cluster-facts.ts";
import { type RemoteFacts, remotesOf } from "../secret-facts.ts";
import type { CheckOptions } from "./check-options.ts";
import { CHECKS } from "./checks.ts";
import { ageText, entriesOfPage, objectName, textOf } from "./mesh-parts.ts";
import { contextFlag, kubectl } from "./fixes.ts";
import { CheckNotes, type Outcome } from "./outcome.ts";

const HOUR_MS = 3_600_000;

/** Clusters that are read by their API servers: their kubeconfigs, and how old the tokens in them are. */
export function remoteSecretsCheck(facts: ClusterFacts, mesh: readonly ClusterFacts[], options: CheckOptions): Outcome {
  const notes = new CheckNotes(CHECKS.remoteSecrets);
  const secrets = objectsOf(facts, SECRETS).filter((secret) => remotesOf(secret).length > 0);
  for (const secret of secrets)
    for (const remote of remotesOf(secret)) lookAt(notes, { facts, mesh, secret, remote }, options);
  for (const { id, secretName, syncStatus, reason } of entriesOfPage(facts, "clusterz"))
    if (textOf(secretName) !== "" && !textOf(secretName).startsWith("Gateway ") && syncStatus !== "synced")
      notes.error("05", facts.cluster, {
        object: `Secret ${textOf(secretName)}`,
        evidence: `cluster ${textOf(id)} is not read: ${textOf(syncStatus)}${textOf(reason) && `, ${textOf(reason)}`}`,
        fix: `causeway remote-clusters${contextFlag(facts)}; see that its API server can be reached from the control plane of ${facts.cluster}`,
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

/** One cluster that a Secret lets the control plane of another one read. */
interface Reading {
  readonly facts: ClusterFacts;
  readonly mesh: readonly ClusterFacts[];
  readonly secret: KubeObject;
  readonly remote: RemoteFacts;
}

function lookAt(notes: CheckNotes, reading: Reading, options: CheckOptions): void {
  const { facts, secret, remote } = reading;
  const { cluster, issuedAt, expiresAt, why } = remote;
  const place = `secret ${secret.metadata.name}, cluster ${cluster}`;
  const problem = { object: objectName(secret), field: `data[${cluster}]` };
  const fix = madeAnew(reading, options);
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

/** A token that says when it ends is made anew for as long, within what is allowed: one without an end would say no age. */
function madeAnew({ facts, mesh, secret, remote }: Reading, { tokenAgeMaxMs }: CheckOptions): string {
  const { cluster, issuedAt, expiresAt } = remote;
  const there = mesh.find((other) => other.cluster === cluster);
  const { namespace = "istio-system" } = secret.metadata;
  const lifetimeMs = Math.min((expiresAt ?? 0) - (issuedAt ?? 0), tokenAgeMaxMs);
  const words = [
    `causeway create-remote-secret --name ${cluster}`,
    there === undefined ? " --context <context>" : contextFlag(there),
    namespace === "istio-system" ? "" : ` --namespace ${namespace}`,
    expiresAt === undefined ? "" : ` --duration ${Math.max(1, Math.floor(lifetimeMs / HOUR_MS))}h`,
    ` | ${kubectl(facts)} apply -f -`,
    there === undefined ? `; <context> is that of cluster ${cluster}` : "",
  ];
  return words.join("");
}
