import { CONFIG_MAPS } from "../../kube/resource-types.ts";
import { type ClusterFacts, whyHidden } from "../cluster-facts.ts";
import { CHECKS } from "./checks.ts";
import { certificatesOf, type ClusterCertificates, nameOf, sumOf, whyIncompatible } from "./cluster-certificates.ts";
import { isDeclared, isEmbedded, systemNamespaces } from "./mesh-parts.ts";
import { kubectl, permitted } from "./fixes.ts";
import { CheckNotes, type Outcome } from "./outcome.ts";
import { planeLogs } from "./plane-fixes.ts";

/** What signs leaves is to be replaced before this. */
const EXPIRES_SOON_MS = 30 * 24 * 3_600_000;

/** Whether each cluster's roots verify what signs in each other one; of a single cluster, in itself. */
export function certificatesCheck(mesh: readonly ClusterFacts[]): Outcome {
  const notes = new CheckNotes(CHECKS.certificates);
  const all = mesh.map((facts) => ({ facts, certificates: certificatesOf(facts) }));
  for (const { facts, certificates } of all) published(notes, facts, certificates);
  for (const { facts, certificates } of all) expiry(notes, facts, certificates);
  for (const [at, here] of all.entries())
    for (const [other, there] of all.entries()) if (all.length === 1 || at !== other) compare(notes, here, there);
  if (all.length === 1)
    return notes.outcome("the cluster's own intermediate certificate is compatible with its root", undefined);
  return notes.outcome("all clusters have compatible intermediate certificates", undefined);
}

interface Held {
  readonly facts: ClusterFacts;
  readonly certificates: ClusterCertificates;
}

function published(notes: CheckNotes, facts: ClusterFacts, { roots }: ClusterCertificates): void {
  for (const root of roots) notes.named(`cluster ${facts.cluster} root certificate SHA256 sum: ${sumOf(root)}`, "info");
  if (roots.length > 0) return;
  const [namespace] = systemNamespaces(facts);
  if (isDeclared(facts))
    return notes.unknown("06", facts.cluster, {
      ...{ object: `ConfigMap ${namespace}/istio-ca-root-cert`, fix: "" },
      evidence: "roots are not known of manifests; causeway check trust asks control planes for theirs",
    });
  const hidden = whyHidden(facts, CONFIG_MAPS);
  if (hidden !== undefined)
    return notes.warn("05", facts.cluster, {
      ...{ object: `ConfigMap ${namespace}/istio-ca-root-cert`, field: "data[root-cert.pem]" },
      evidence: `the root certificates of cluster ${facts.cluster} are not known: ${hidden}`,
      fix: permitted(facts, "configmaps"),
    });
  const map = { object: `ConfigMap ${namespace}/istio-ca-root-cert`, field: "data[root-cert.pem]" };
  notes.error("01", facts.cluster, {
    ...(isEmbedded(facts) ? { object: "certz", field: "trusted" } : map),
    evidence: `cluster ${facts.cluster} publishes no root certificate`,
    fix: isEmbedded(facts) ? planeLogs(facts) : `${planeLogs(facts)}; it says why it does not write istio-ca-root-cert`,
  });
}

function expiry(notes: CheckNotes, facts: ClusterFacts, { chain, roots }: ClusterCertificates): void {
  const [namespace] = systemNamespaces(facts);
  for (const certificate of [...chain.slice(0, 1), ...roots]) {
    const leftMs = Date.parse(certificate.validTo) - facts.readAt;
    if (leftMs > EXPIRES_SOON_MS) continue;
    const when = new Date(certificate.validTo).toISOString();
    const isRoot = roots.includes(certificate);
    notes.note(leftMs <= 0 ? "error" : "warning", leftMs <= 0 ? "04" : "03", facts.cluster, {
      object: isRoot ? `ConfigMap ${namespace}/istio-ca-root-cert` : `Secret ${namespace}/cacerts`,
      field: isRoot ? "data[root-cert.pem]" : "data[ca-cert.pem]",
      evidence: `${nameOf(certificate)} of cluster ${facts.cluster} ${leftMs <= 0 ? "expired" : "expires"} at ${when}`,
      fix: isRoot
        ? OTHER_ROOT
        : `causeway ca rotate --root root --dir ${facts.cluster} --step renew; ${installed(facts)}`,
    });
  }
}

/** Only a root that is trusted beside the old one for a while can take its place. */
const OTHER_ROOT =
  "causeway ca rotate --root root --to new-root --dir <folder of each cluster> --plan; docs/certificates.md has the steps";

/** What `causeway ca` wrote into the folder that has the cluster's name. */
function installed(facts: ClusterFacts): string {
  const [namespace] = systemNamespaces(facts);
  const from = `--from-file=${facts.cluster}/`;
  return `${kubectl(facts)} -n ${namespace} create secret generic cacerts ${from} --dry-run=client -o yaml | ${kubectl(facts)} apply -f -`;
}

function compare(notes: CheckNotes, here: Held, there: Held): void {
  const [from, to] = [here.facts.cluster, there.facts.cluster];
  // That there is no root is said above.
  if (here.certificates.roots.length === 0 || there.certificates.roots.length === 0) return;
  const why = whyIncompatible(here.certificates, there.certificates, here.facts.readAt);
  if (why === undefined) {
    const itself = here === there ? "itself" : `cluster ${to}`;
    return notes.named(`cluster ${from} has compatible intermediate certificates with ${itself}`, "ok");
  }
  notes.named(`cluster ${from} has no compatible intermediate certificates with cluster ${to}`, "error");
  const [namespace] = systemNamespaces(there.facts);
  notes.error("02", from, {
    ...{ object: `Secret ${namespace}/cacerts`, field: "data[ca-cert.pem]" },
    evidence: `cluster ${from} does not verify what cluster ${to} signs: ${why}`,
    fix: `causeway ca issue --root root --cluster ${to} --dir ${to}; ${installed(there.facts)}; root is the folder of the root of ${from}`,
  });
}
