import { isClusterId, type ClusterId } from "../../names.ts";
import { inOrder, whyFirst, type Judgements } from "./judgements.ts";
import type { IdentityProvider } from "../objects/identity-provider.ts";
import { titleOf } from "../objects/trust-object-id.ts";
import type { Known, TrustObjects } from "../objects/trust-objects.ts";
import type { KubernetesCluster } from "../objects/kubernetes-cluster.ts";
import type { RegisteredCluster } from "../policy.ts";

/** Of clusters for which no IdentityProvider is. */
const TRUST_DOMAIN = "cluster.local";

export interface PlannedClusters {
  readonly clusters: ReadonlyMap<ClusterId, RegisteredCluster>;
  readonly doubtful: ReadonlyMap<ClusterId, string>;
  /** The trust domain that the mesh is called by, whoever is registered: that of all, or else the first that there is. */
  readonly trustDomain: string;
}

/** Who is registered, and of which trust domain each is. */
export function planClusters(objects: TrustObjects, judgements: Judgements): PlannedClusters {
  const doubtful = new Map<ClusterId, string>();
  const clusters = new Map<ClusterId, RegisteredCluster>();
  const providers = trustDomains(objects, judgements);
  const used = new Set<IdentityProvider>();
  for (const [cluster, { id, value }] of registrations(objects, judgements)) {
    const provider = providers.get(cluster) ?? providers.get(ALL);
    if (provider) used.add(provider);
    if (value === undefined) doubtful.set(cluster, `${titleOf(id)} cannot be read; its status says why`);
    else if (provider === undefined) clusters.set(cluster, registered(value, TRUST_DOMAIN));
    else if (provider.trustDomain !== undefined) clusters.set(cluster, registered(value, provider.trustDomain));
    else {
      const why = `nobody can tell its trust domain, as ${titleOf(provider.id)} cannot be read; its status says why`;
      doubtful.set(cluster, why);
      judgements.say(id, "PENDING", `The cluster gets nothing new: ${why}.`);
    }
  }
  sayUnused(providers, used, judgements);
  const [first] = [providers.get(ALL), ...providers.values()].flatMap((provider) => provider?.trustDomain ?? []);
  return { clusters, doubtful, trustDomain: first ?? TRUST_DOMAIN };
}

const registered = ({ id, cluster, clusterDomain }: KubernetesCluster, trustDomain: string): RegisteredCluster => ({
  id,
  cluster,
  clusterDomain,
  trustDomain,
});

function registrations(objects: TrustObjects, judgements: Judgements): Map<ClusterId, Known<KubernetesCluster>> {
  const found = new Map<ClusterId, Known<KubernetesCluster>>();
  for (const known of inOrder(objects.KubernetesCluster)) {
    const { name } = known.id;
    // One that cannot be called so has been told.
    if (!isClusterId(name)) continue;
    const first = found.get(name);
    if (first === undefined) found.set(name, known);
    else {
      const why = `${titleOf(first.id)}, ${whyFirst(first.id, known.id)}, registers cluster ${name} already`;
      judgements.say(known.id, "INVALID", `${why}; delete this one.`);
    }
  }
  return found;
}

/** For what is no cluster's own. */
const ALL = "";

function trustDomains(objects: TrustObjects, judgements: Judgements): Map<string, IdentityProvider> {
  const found = new Map<string, IdentityProvider>();
  for (const { id, value } of inOrder(objects.IdentityProvider)) {
    if (value === undefined) continue;
    const whose = value.cluster ?? ALL;
    const first = found.get(whose);
    if (first === undefined) found.set(whose, value);
    else {
      const of = whose === ALL ? "all clusters that have none of their own" : `cluster ${whose}`;
      const why = `${titleOf(first.id)}, ${whyFirst(first.id, id)}, has the trust domain of ${of} already`;
      judgements.say(id, "INVALID", `${why}; delete this one, or name another cluster in spec.spiffe.clusterName.`);
    }
  }
  return found;
}

function sayUnused(
  providers: ReadonlyMap<string, IdentityProvider>,
  used: ReadonlySet<IdentityProvider>,
  judgements: Judgements,
): void {
  for (const [whose, provider] of providers) {
    if (used.has(provider)) continue;
    const why =
      whose === ALL
        ? "No cluster has its trust domain from this: each that is registered has an IdentityProvider of its own, or none is registered."
        : `No KubernetesCluster is called ${whose}, so this has no effect; register the cluster, or correct spec.spiffe.clusterName.`;
    judgements.say(provider.id, "WARNING", why);
  }
}

/**
 * Why a cluster stays in the trust domain that it is in; undefined if that did not change. Every identity there would be
 * another one at once, while policies and peers know the one before (contract identity.md 4.2, R13).
 */
export function whyTrustDomainStays(before: RegisteredCluster, after: RegisteredCluster): string | undefined {
  if (before.trustDomain === after.trustDomain) return undefined;
  return (
    `Cluster ${before.cluster} is of trust domain ${before.trustDomain}, and its IdentityProvider now says ` +
    `${after.trustDomain}. It stays ${before.trustDomain}: in place, all identities there would become others at once, which ` +
    `no policy and no peer knows. Write ${before.trustDomain} again. To move it, have everybody trust ${after.trustDomain} ` +
    `first, then delete ${titleOf(before.id)} and create it anew.`
  );
}
