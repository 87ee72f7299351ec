import { hash } from "node:crypto";
import type { Gauge, Host } from "../host.ts";
import type { ClusterId } from "../names.ts";
import type { Collection } from "../registry/collection/collection.ts";
import type { ClusterFacts } from "../registry/model/peer.ts";
import type { Problem } from "../registry/model/problem.ts";
import { inFew } from "../spire/status/check.ts";
import type { PeerFacts } from "../spire/status/facts.ts";
import type { MeshTrust } from "./mesh-trust.ts";

/** A bundle that is read, and roots that two clusters get one after the other, differ for a moment. */
export const SAID_AFTER_MS = 30_000;
const DIGITS = 16;
const NAMED_MAX = 5;

/** What a peer says of the roots of its trust domain, beside what we hold for it: by SHA-256 in hexadecimal. */
export type BundleAgreement = Omit<PeerFacts, "cluster" | "ageMs">;

export interface BundleDriftOptions {
  /** Our own. */
  readonly trustDomain: string;
  readonly localCluster: ClusterId;
  readonly trust: Pick<MeshTrust, "bundles" | "forWorkloads">;
  readonly facts: Collection<ClusterId, ClusterFacts>;
  /** A peer of this trust domain has roots that we do not know. */
  readonly onMissing: (trustDomain: string) => void;
  /** Called after `problems` may have changed. */
  readonly onProblems: () => void;
}

/** Whether peers and we mean the same roots, before a certificate under one of them is refused (contract peering.md 2.19). */
export class BundleDrift {
  readonly #host: Host;
  readonly #options: BundleDriftOptions;
  readonly #gauge: Gauge;
  readonly #following: readonly Disposable[];
  #found: ReadonlyMap<ClusterId, { readonly agreement: BundleAgreement; readonly sinceMs: number }> = new Map();
  #timer: Disposable | undefined;

  constructor(host: Host, options: BundleDriftOptions) {
    const { facts, trust } = options;
    this.#host = host;
    this.#options = options;
    this.#gauge = host.metrics.gauge("peer_bundle_drift", "Roots on which a peer and we do not agree.", [
      "source",
      "peer",
    ]);
    this.#following = [facts.observe(() => this.#look()), trust.bundles.observe(() => this.#look())];
  }

  /** Undefined if the peer does not say which roots it has. */
  of(cluster: ClusterId): BundleAgreement | undefined {
    return this.#found.get(cluster)?.agreement;
  }

  problems(): readonly Problem[] {
    const saidMs = this.#host.clock.elapsedMs() - SAID_AFTER_MS;
    return [...this.#found].flatMap(([cluster, { agreement, sinceMs }]) =>
      sinceMs <= saidMs ? problemsOf(cluster, agreement, this.#options.trustDomain) : [],
    );
  }

  close(): void {
    this.#timer?.[Symbol.dispose]();
    for (const following of this.#following) following[Symbol.dispose]();
  }

  #look(): void {
    const { trustDomain, trust, facts, onMissing, onProblems, localCluster } = this.#options;
    const before = this.#found;
    const now = this.#host.clock.elapsedMs();
    const said = [...facts.entries()].filter(([, { roots }]) => roots.length > 0);
    this.#found = new Map(
      said.map(([cluster, fact]) => {
        const agreement = agreementOf(fact, trust, trustDomain);
        const known = before.get(cluster);
        const same = known !== undefined && differs(known.agreement) && differs(agreement);
        return [cluster, { agreement, sinceMs: same ? known.sinceMs : now }];
      }),
    );
    for (const cluster of before.keys())
      if (!this.#found.has(cluster)) this.#gauge.remove({ source: localCluster, peer: cluster });
    for (const [cluster, { agreement }] of this.#found) {
      const { missing, unknownThere } = agreement;
      this.#gauge.set(missing.length + unknownThere.length, { source: localCluster, peer: cluster });
      if (missing.length > 0) onMissing(agreement.trustDomain);
    }
    this.#timer?.[Symbol.dispose]();
    this.#timer = this.#host.clock.after(SAID_AFTER_MS, onProblems);
    if (before.size > 0) onProblems();
  }
}

function agreementOf(
  { trustDomain, roots }: Pick<ClusterFacts, "trustDomain" | "roots">,
  { bundles, forWorkloads }: BundleDriftOptions["trust"],
  ownTrustDomain: string,
): BundleAgreement {
  const announced = roots.map(({ sha256 }) => sha256);
  const held = bundles.rootsOf(trustDomain).map(digestOf).sort();
  const given = new Set(forWorkloads.roots.map(digestOf));
  return {
    trustDomain,
    announced,
    held,
    missing: announced.filter((digest) => !held.includes(digest)),
    unknownThere: trustDomain === ownTrustDomain ? held.filter((digest) => !announced.includes(digest)) : [],
    keptFromWorkloads: given.size > 0 && !announced.some((digest) => given.has(digest)),
  };
}

function problemsOf(cluster: ClusterId, agreement: BundleAgreement, ownTrustDomain: string): readonly Problem[] {
  const { trustDomain, announced, held, missing, unknownThere, keptFromWorkloads } = agreement;
  const both = `${cluster} has ${shown(announced)} for it, and here are ${shown(held)}`;
  const own = trustDomain === ownTrustDomain;
  const problem = (message: string): Problem => {
    return { object: `Peer ${cluster}`, origin: "", field: "roots", message, severity: "warning" };
  };
  const found: Problem[] = [];
  if (missing.length > 0)
    found.push(
      problem(
        `Cluster ${cluster} trusts roots for trust domain ${trustDomain} that are not trusted here, so whoever is under ` +
          `${shown(missing)} is refused here: ${both}. ${own ? OWN_FIX : foreignFix(trustDomain)}`,
      ),
    );
  if (unknownThere.length > 0)
    found.push(
      problem(
        `Roots for trust domain ${trustDomain} that are trusted here are not trusted in cluster ${cluster}, so whoever is ` +
          `under ${shown(unknownThere)} is refused there: ${both}. ${OWN_FIX}`,
      ),
    );
  if (missing.length === 0 && keptFromWorkloads)
    found.push(
      problem(
        `Workloads here have no root of trust domain ${trustDomain}, so their calls to cluster ${cluster} fail: ${both}, and ` +
          "workloads get those of our own trust domain alone. Set ISTIO_MULTIROOT_MESH=true, once you have read what that opens.",
      ),
    );
  return found;
}

const OWN_FIX =
  "Put the missing roots beside the others in root-cert.pem of both clusters, or into pem of caCertificates.";
const foreignFix = (trustDomain: string): string =>
  `Read its bundle with --trust-bundle ${trustDomain}=…, or name the roots in caCertificates for ${trustDomain}.`;

const differs = ({ missing, unknownThere, keptFromWorkloads }: BundleAgreement): boolean =>
  missing.length > 0 || unknownThere.length > 0 || keptFromWorkloads;

function shown(digests: readonly string[]): string {
  const named = digests.map((digest) => digest.slice(0, DIGITS));
  return named.length === 0 ? "none" : inFew(named, NAMED_MAX);
}

/** Hundreds of peers are looked at again when one of them says something. */
const digests = new WeakMap<Uint8Array, string>();

function digestOf(der: Uint8Array): string {
  const known = digests.get(der) ?? hash("sha256", der, "hex");
  digests.set(der, known);
  return known;
}
