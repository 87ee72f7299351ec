import type { Authority } from "../ca/authority.ts";
import type { Signer } from "../ca/signer.ts";
import { startSigningThread } from "../ca/start-signing-thread.ts";
import { ThreadedSigner } from "../ca/threaded-signer.ts";
import type { Config } from "../config.ts";
import { MeshError } from "../errors.ts";
import type { Host } from "../host.ts";
import type { ClusterId } from "../names.ts";
import type { Problem } from "../registry/model/problem.ts";
import { formatServiceAccountId } from "../spiffe.ts";
import { DelegatedSigner } from "../spire/delegated-signer.ts";
import { DownstreamSigner } from "../spire/downstream-signer.ts";
import { problemsOf } from "./authority-source.ts";
import { ExternalSigner } from "./external-signer.ts";
import type { PlaneSpire } from "./spire.ts";
import { UnsignedIdentities } from "./unsigned-identities.ts";

/** Who signs for workloads; who signs for ourselves is our authority, whatever the mode. */
export interface WorkloadSigner {
  readonly signer: Signer;
  /** Our authority is another one from now on. */
  follow(authority: Authority): void;
  /** SPIRE's bundles have changed. */
  bundlesChanged(): void;
  problems(): readonly Problem[];
  close(): void;
}

export interface SigningContext {
  readonly host: Host;
  readonly config: Config;
  readonly localCluster: ClusterId;
  /** There in all modes but `mesh`. */
  readonly spire: PlaneSpire | undefined;
  /** To be called after `problems` may have changed. */
  readonly noteProblems: () => void;
}

/** As `config.spire.identity` has it (contract identity.md 1.8). None of them ever takes another's place. */
export function openWorkloadSigner(context: SigningContext, authority: Authority): WorkloadSigner {
  const { host, config, spire, noteProblems } = context;
  if (spire === undefined || config.spire.identity === "mesh") return ofAuthority(context, authority);
  const downstream = config.spire.identity === "spire-downstream" ? downstreamSigner(context, spire) : undefined;
  const signer = new UnsignedIdentities(host, butOurs(downstream ?? elsewhere(context, spire), spire), noteProblems);
  return {
    signer,
    follow: () => {},
    bundlesChanged: () => downstream?.bundlesChanged(),
    problems: () => [...problemsOf("SPIRE's authority for us", downstream?.faults ?? []), ...signer.problems],
    close: () => {
      signer.close();
      downstream?.close();
    },
  };
}

function ofAuthority({ host, config }: SigningContext, authority: Authority): WorkloadSigner {
  const signer = new ThreadedSigner(host, authority, config.trustDomain, startSigningThread);
  return {
    signer,
    follow: (changed) => signer.rotate(changed),
    bundlesChanged: () => {},
    problems: () => [],
    close: () => signer.close(),
  };
}

function elsewhere({ host, config, localCluster }: SigningContext, spire: PlaneSpire): Signer {
  const { trustDomain } = config;
  const { bundles, server } = spire;
  if (config.spire.identity === "external" || server === undefined) return new ExternalSigner(bundles, trustDomain);
  const cluster = config.spire.cluster ?? localCluster;
  const roots = () => bundles.roots;
  const options = { server, trustDomain, cluster, localCluster, roots, bundles: bundles.bundles };
  return afterRotation(new DelegatedSigner(host, options), spire);
}

/**
 * A server signs with its next authority a moment after it has named it: workloads are to know its root before they get
 * what leads to it, so what does not verify is asked for once more if there is another bundle.
 */
function afterRotation(signer: Signer, spire: PlaneSpire): Signer {
  return withIssue(signer, async (order, signal) => {
    const { own } = spire.bundles;
    try {
      return await signer.issue(order, signal);
    } catch (thrown) {
      if (MeshError.from(thrown).code !== "internal") throw thrown;
      await spire.refresh();
      if (spire.bundles.own === own) throw thrown;
      return signer.issue(order, signal);
    }
  });
}

/**
 * Whoever has our identity may do at SPIRE's server what we may. A ztunnel that is beside a control plane of the same name,
 * as there is one in each cluster of a trust domain, could have it for the asking.
 */
function butOurs(signer: Signer, spire: Pick<PlaneSpire, "ownIds">): Signer {
  return withIssue(signer, async (order, signal) => {
    const identity = formatServiceAccountId(order.identity);
    if (!spire.ownIds.has(identity)) return signer.issue(order, signal);
    const told = `${identity} is this control plane's own at SPIRE's server, and is signed for nobody else`;
    throw new MeshError("denied", told, { told });
  });
}

const withIssue = (signer: Signer, issue: Signer["issue"]): Signer => ({
  bundles: signer.bundles,
  get expiresAt() {
    return signer.expiresAt;
  },
  describe: () => signer.describe(),
  issue,
});

function downstreamSigner({ host, config, noteProblems }: SigningContext, spire: PlaneSpire): DownstreamSigner {
  const { trustDomain } = config;
  const { bundles, server } = spire;
  if (server === undefined) throw new MeshError("invalid", "--identity spire-downstream needs --spire-server");
  return new DownstreamSigner(host, {
    ...{ trustDomain, server, bundles },
    refresh: () => spire.refresh(),
    open: (authority) => new ThreadedSigner(host, authority, trustDomain, startSigningThread),
    onFaults: noteProblems,
  });
}
