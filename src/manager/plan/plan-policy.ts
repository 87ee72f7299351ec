import { formatDuration } from "../../duration.ts";
import type { ClusterId } from "../../names.ts";
import { inOrder, whyFirst, type Judgements } from "./judgements.ts";
import type { RootTrustPolicy } from "../objects/root-trust-policy.ts";
import { titleOf } from "../objects/trust-object-id.ts";
import type { Known, TrustObjects } from "../objects/trust-objects.ts";
import type { PlannedClusters } from "./plan-clusters.ts";
import type { EffectivePolicy, SourceSpec, TrustObjectId } from "../policy.ts";

export interface PlannedPolicy {
  readonly policy: EffectivePolicy | undefined;
  readonly whyNone: string | undefined;
}

const none = (whyNone: string): PlannedPolicy => ({ policy: undefined, whyNone });

/** The one RootTrustPolicy that counts is the oldest; a later one must not take its place by a mistake in it. */
export function planPolicy(objects: TrustObjects, planned: PlannedClusters, judgements: Judgements): PlannedPolicy {
  const [first, ...others] = inOrder(objects.RootTrustPolicy);
  if (first === undefined) {
    judgeSources(objects, undefined, judgements);
    return none("there is no RootTrustPolicy; create one");
  }
  for (const { id } of others) {
    const which = `${titleOf(first.id)}, ${whyFirst(first.id, id)}, is the one policy that counts`;
    judgements.say(id, "INVALID", `${which}; delete this one, or that one if this is meant.`);
  }
  judgeSources(objects, first, judgements);
  if (first.value === undefined) return none(`${titleOf(first.id)} cannot be read; its status says why`);
  const source = sourceOf(first.value, objects);
  if (typeof source !== "string")
    return { policy: effective(first, first.value, source, planned, judgements), whyNone: undefined };
  judgements.say(first.id, "PENDING", `${source}. A policy that counted before stays in force until then.`);
  return none(`${titleOf(first.id)} waits: ${source}`);
}

/** Where the policy has its intermediates from, or why that cannot be told. */
function sourceOf({ source, id }: RootTrustPolicy, objects: TrustObjects): SourceSpec | string {
  if (source.kind !== "reference") return source;
  const key = keyOf(source.caSource);
  const found = objects.CASource.get(key);
  if (found?.value) return found.value.source;
  const what = `spec.config.caSourceRef names CASource ${key}, which`;
  if (found) return `${what} cannot be read; its status says why`;
  const here = source.caSource.namespace === id.namespace ? "" : ", or correct the namespace";
  return `${what} is not there; create it${here}`;
}

const keyOf = ({ namespace, name }: Pick<TrustObjectId, "namespace" | "name">): string => `${namespace}/${name}`;

function judgeSources(objects: TrustObjects, policy: Known<RootTrustPolicy> | undefined, judgements: Judgements): void {
  const source = policy?.value?.source;
  const used = source?.kind === "reference" ? keyOf(source.caSource) : undefined;
  const who = policy === undefined ? "no RootTrustPolicy refers to it" : `${titleOf(policy.id)} does not refer to it`;
  for (const { id } of objects.CASource.values())
    if (keyOf(id) !== used)
      judgements.say(
        id,
        "WARNING",
        `This has no effect, as ${who}; name it in its spec.config.caSourceRef, or delete it.`,
      );
}

function effective(
  { id }: Known<RootTrustPolicy>,
  { passive, intermediate, autoRestartPods, rotateRoot, notes }: RootTrustPolicy,
  source: SourceSpec,
  planned: PlannedClusters,
  judgements: Judgements,
): EffectivePolicy {
  const organization = planned.trustDomain;
  const policy: EffectivePolicy = {
    id,
    source: source.kind === "generated" ? { ...source, organization: source.organization || organization } : source,
    passiveRoots: passive.roots,
    passiveSecrets: passive.secrets,
    intermediate: { ...intermediate, organization: intermediate.organization || organization, pathLength: 0 },
    autoRestartPods,
    rotateRoot,
  };
  for (const note of notes) judgements.say(id, "WARNING", note);
  sayOf(policy, planned, judgements);
  return policy;
}

/** Contract identity.md 6, number 28. */
const LIFETIME_MS = 90 * 86_400_000;

function sayOf(policy: EffectivePolicy, { clusters }: PlannedClusters, judgements: Judgements): void {
  const { id, source, intermediate, autoRestartPods } = policy;
  const say = (state: "ACCEPTED" | "WARNING", message: string): void => judgements.say(id, state, message);
  const domains = new Map<string, ClusterId[]>();
  for (const { cluster, trustDomain } of clusters.values())
    domains.set(trustDomain, [...(domains.get(trustDomain) ?? []), cluster]);
  if (domains.size > 1) say("WARNING", sharedRoot(domains));
  if (intermediate.lifetimeMs > LIFETIME_MS)
    say(
      "WARNING",
      `Intermediates live ${formatDuration(intermediate.lifetimeMs)}: whoever gets hold of one signs for as long. They are renewed by themselves, so 90 days in intermediateCertOptions.ttlDays cost nothing.`,
    );
  if (source.kind === "generated")
    say(
      "ACCEPTED",
      "The root's key is the manager's own, which is for labs; in production use a Secret, cert-manager or Vault.",
    );
  if (autoRestartPods)
    say(
      "ACCEPTED",
      "autoRestartPods is for what cannot take a new certificate while it runs; nothing of an ambient mesh needs it, and this version restarts nothing.",
    );
}

/** Contract identity.md 6, number 11. */
function sharedRoot(domains: ReadonlyMap<string, readonly ClusterId[]>): string {
  const list = Array.from(domains, ([domain, clusters]) => `${domain} of ${clusters.join(", ")}`);
  return (
    `Clusters of several trust domains have this one root: ${list.join("; ")}. Any of their authorities could sign identities ` +
    `of all of them for who goes by the root alone; what keeps them apart is that each signs for its own only.`
  );
}
