import { hash, X509Certificate } from "node:crypto";
import type { Config } from "../config.ts";
import type { Host } from "../host.ts";
import type { ClusterId } from "../names.ts";
import { PeerAdmission, type ServedPeer } from "../peering/admission.ts";
import { ExportLogs } from "../peering/export.ts";
import type { Refused } from "../peering/refusal-book.ts";
import type { Graph } from "../registry/collection/graph.ts";
import type { Registry } from "../registry/registry.ts";
import type { Refusal } from "../xds/publisher.ts";
import type { XdsServer } from "../xds/server.ts";
import type { Clusters } from "./clusters.ts";
import type { MeshTrust } from "./mesh-trust.ts";

/** The control plane that serves; not asked before it is whole. */
export interface ServingPlane {
  readonly localCluster: ClusterId;
  /** Not flushed yet. */
  readonly graph: Graph;
  readonly registry: Registry;
  readonly discovery: Pick<XdsServer, "changed">;
  /** A control plane of `cluster` has come, and was let in. */
  peerEntered(cluster: ClusterId): void;
}

type ServingTrust = Pick<MeshTrust, "bundles" | "ownBundle" | "isFederatedOnly">;

/** Who reads what we share, and who was not let in. */
export interface PeerClients {
  readonly served: readonly ServedPeer[];
  readonly refused: readonly Refused[];
}

/** What other control planes read of ours, and who may. */
export class PeerServing {
  readonly admission: PeerAdmission;
  readonly #trust: ServingTrust;
  readonly #plane: ServingPlane;
  readonly #exports: ExportLogs;
  readonly #following: Disposable;

  /** @param clusters of which ours is the first. */
  constructor(
    host: Host,
    config: Config,
    trust: ServingTrust,
    plane: ServingPlane,
    clusters: Pick<Clusters, "readiness">,
  ) {
    const { localCluster, graph, registry } = plane;
    const { enabled, served, accounts } = config.peering;
    this.#trust = trust;
    this.#plane = plane;
    this.#exports = new ExportLogs(graph, host.clock, registry.exports, () => {
      this.admission.recount();
      plane.discovery.changed("peering");
    });
    const whyNotJoined = (): string | undefined => clusters.readiness().flatMap(({ check }) => check() ?? [])[0];
    this.admission = new PeerAdmission(host, {
      ...{ localCluster, trust: trust.bundles, whyNotJoined, exports: this.#exports },
      isGuarded: (trustDomain) => trust.isFederatedOnly(trustDomain),
      onEntered: (cluster) => plane.peerEntered(cluster),
      served: enabled ? served : "none",
      accounts: new Set(accounts),
      gateways: registry.peerGateways,
      grants: registry.peerGrants,
      facts: registry.peers.facts,
    });
    this.#following = trust.bundles.observe(() => this.#tellRoots());
  }

  /** What could not be encoded: peers keep its last good state. */
  refusals(): readonly Refusal[] {
    return this.#exports.refusals();
  }

  clients(): PeerClients {
    return { served: this.admission.served(), refused: this.admission.refused() };
  }

  close(): void {
    this.#following[Symbol.dispose]();
    this.admission.close();
  }

  /** Peers see a change of our roots before it bites (contract peering.md 2.19). */
  #tellRoots(): void {
    const { registry, localCluster } = this.#plane;
    const { ownBundle } = this.#trust;
    if (ownBundle === undefined) return;
    const roots = ownBundle.map((der) => ({
      sha256: hash("sha256", der, "hex"),
      notAfterMs: Date.parse(new X509Certificate(der).validTo),
    }));
    registry.ownRoots.set(localCluster, roots);
  }
}
