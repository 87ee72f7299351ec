import { LRUCache } from "lru-cache";
import type { Caller, Credentials } from "../caller.ts";
import { MeshError } from "../errors.ts";
import type { Clock, EpochMs, Gauge, Host, Labels } from "../host.ts";
import { type ClusterId, clusterId, isClusterId, type ObjectKey } from "../names.ts";
import { printable } from "../printable.ts";
import type { Collection } from "../registry/collection/collection.ts";
import { exportsTo } from "../registry/model/granted.ts";
import type { ClusterFacts, PeerGateway } from "../registry/model/peer.ts";
import type { PeerGrant } from "../registry/model/peer-grant.ts";
import { formatServiceAccountId } from "../spiffe.ts";
import type { Trust } from "../trust.ts";
import { checkNodeIdentity } from "../xds/identity-check.ts";
import type { PeerGate, PeerProof, PeerVisit, PeerVisitor } from "../xds/peer-gate.ts";
import { type ClientNode, FSDS_TYPE } from "../xds/resource.ts";
import { snapshotEnd } from "../xds/types/snapshot-end.ts";
import type { ExportLease, ExportLogs, ExportScope } from "./export.ts";
import { isNamedBy } from "./grants.ts";
import { contentsOf, type LinkContents } from "./link-contents.ts";
import { servicesGauge } from "./metrics.ts";
import { peerProof } from "./peer-proof.ts";
import { RefusalBook } from "./refusal-book.ts";
import { SendRate } from "./send-rate.ts";

/** Streams of one cluster: replicas that each have one, twice over while they reconnect. */
const STREAMS_MAX = 16;
/** Of how many clusters it is remembered how much they were sent. */
const RATES_MAX = 4_096;
/** How often it is looked whether a certificate has ended; longer timers than 24 days do not exist. */
const EXPIRY_CHECK_MS = 3_600_000;

/** Who may read what we share: every control plane that our roots verify, those that an object of ours names, or nobody. */
export type ServedPeers = "any" | "listed" | "none";

export interface AdmissionOptions {
  readonly localCluster: ClusterId;
  readonly served: ServedPeers;
  /** As `istio-system/istiod`: what control planes are called, here and in other trust domains. */
  readonly accounts: ReadonlySet<string>;
  readonly trust: Pick<Trust, "verify" | "observe">;
  /** Trust domains of which only clusters that an object of ours names may read, whoever else may; none by default. */
  readonly isGuarded?: (trustDomain: string) => boolean;
  /** The ones of our own cluster. */
  readonly gateways: Collection<ObjectKey, PeerGateway>;
  readonly grants: Collection<ObjectKey, PeerGrant>;
  /** What peers that we read, too, say of themselves. */
  readonly facts: Collection<ClusterId, ClusterFacts>;
  readonly exports: ExportLogs;
  /** Why what we share is not known yet; undefined once the local cluster has joined, and ever after. */
  readonly whyNotJoined: () => string | undefined;
  /** Told of each stream that is let in: whoever comes is there, and can be dialled. */
  readonly onEntered?: (cluster: ClusterId) => void;
}

/** A peer's stream, as debug pages show it. */
export interface ServedPeer {
  readonly cluster: ClusterId;
  readonly identity: string;
  readonly node: string;
  readonly remoteAddress: string;
  readonly since: EpochMs;
  readonly granted: ExportScope["granted"];
  readonly contents: LinkContents;
}

interface Guest {
  readonly cluster: ClusterId;
  readonly proof: PeerProof;
  readonly node: ClientNode;
  readonly visitor: PeerVisitor;
  readonly since: EpochMs;
  lease: ExportLease;
  scope: ExportScope;
}

/**
 * Lets control planes of other clusters in (contract peering.md 2.3): by certificate, under a name that is theirs, within
 * what is granted. What was allowed is looked at again whenever a Gateway or a grant of ours changes.
 */
export class PeerAdmission implements PeerGate {
  readonly #clock: Clock;
  readonly #options: AdmissionOptions;
  readonly #guests = new Set<Guest>();
  /** They outlast streams: who comes again has not got more for it. */
  readonly #rates = new LRUCache<ClusterId, SendRate>({ max: RATES_MAX });
  readonly #refusals: RefusalBook;
  readonly #streams: Gauge;
  readonly #shared: Gauge;
  /** Changes with each start. */
  readonly #epoch: string;
  readonly #observing: readonly Disposable[];

  constructor(host: Host, options: AdmissionOptions) {
    this.#clock = host.clock;
    this.#options = options;
    this.#refusals = new RefusalBook(host);
    this.#streams = host.metrics.gauge("peer_streams_served", "Streams of peers that read what we share.", ["peer"]);
    this.#shared = servicesGauge(host.metrics);
    this.#epoch = Buffer.from(host.random.bytes(8)).toString("hex");
    const { gateways, grants, facts, trust } = options;
    const anyone = (): boolean => true;
    this.#observing = [
      gateways.observe(() => this.#lookAgain(anyone)),
      grants.observe(() => this.#lookAgain(anyone)),
      facts.observe((batch) => {
        const clusters = new Set(batch.map(({ key }) => key));
        this.#lookAgain(({ cluster }) => clusters.has(cluster));
      }),
      trust.observe(() => {
        this.#verifyAgain();
        this.#lookAgain(anyone);
      }),
    ];
  }

  served(): readonly ServedPeer[] {
    return [...this.#guests].map(({ cluster, proof, node, since, scope, lease }) => ({
      cluster,
      identity: formatServiceAccountId(proof.identity),
      node: node.id.split("~")[2] ?? "",
      remoteAddress: proof.remoteAddress,
      since,
      granted: scope.granted,
      contents: contentsOf(lease.logs),
    }));
  }

  /** The last refusal of each cluster that was refused and not let in since. */
  refused(): ReturnType<RefusalBook["all"]> {
    return this.#refusals.all();
  }

  recognise(credentials: Credentials): PeerProof | undefined {
    const { trust, accounts } = this.#options;
    return peerProof(credentials, { trust, accounts, clock: this.#clock });
  }

  enter(proof: PeerProof, node: ClientNode, visitor: PeerVisitor): PeerVisit {
    const claimed = printable(node.metadata.get("CLUSTER_ID") ?? "", 128);
    try {
      const guest = this.#admit(proof, node, visitor);
      this.#refusals.forget(claimed);
      this.#options.onEntered?.(guest.cluster);
      return this.#visitOf(guest);
    } catch (thrown) {
      const error = MeshError.from(thrown);
      this.#refusals.note(claimed, proof, error);
      throw error;
    }
  }

  close(): void {
    for (const observing of this.#observing) observing[Symbol.dispose]();
  }

  #admit(proof: PeerProof, node: ClientNode, visitor: PeerVisitor): Guest {
    if (this.#options.served === "none")
      throw refusal(
        "PeeringOff",
        "peering is off here: ENABLE_PEERING_DISCOVERY is false; set it to true, or remove it",
      );
    const why = this.#options.whyNotJoined();
    if (why !== undefined)
      throw new MeshError("unavailable", `what is shared here is not known yet: ${why}`, { reason: "NotReady" });
    const cluster = this.#clusterOf(node);
    checkNodeIdentity(node, callerOf(proof, cluster));
    const scope = this.#scopeOf(cluster, proof);
    this.#checkName(cluster, proof);
    this.#succeed(cluster, proof);
    const lease = this.#options.exports.lease(scope);
    const guest = { cluster, proof, node, visitor, since: this.#clock.now(), lease, scope };
    this.#guests.add(guest);
    this.#countShared(guest);
    this.#count(cluster);
    return guest;
  }

  #visitOf(guest: Guest): PeerVisit {
    const { cluster, proof } = guest;
    const rate = this.#rates.get(cluster) ?? new SendRate(this.#clock);
    this.#rates.set(cluster, rate);
    let expiry = this.#watchExpiry(guest, (timer) => (expiry = timer));
    return {
      caller: callerOf(proof, cluster),
      logs: guest.lease.logs,
      marker: (digest) => snapshotEnd(this.#epoch, this.#clock.now(), digest),
      waitMs: () => rate.waitMs(),
      sent: (bytes) => rate.spend(bytes),
      leave: () => {
        expiry[Symbol.dispose]();
        this.#leave(guest);
      },
    };
  }

  #leave(guest: Guest): void {
    if (!this.#guests.delete(guest)) return;
    guest.lease[Symbol.dispose]();
    this.#count(guest.cluster);
  }

  /** A stream does not outlive what it was opened with. */
  #watchExpiry(guest: Guest, onTimer: (timer: Disposable) => void): Disposable {
    const leftMs = guest.proof.expiresAt - this.#clock.now();
    return this.#clock.after(Math.max(0, Math.min(leftMs, EXPIRY_CHECK_MS)), () => {
      if (guest.proof.expiresAt > this.#clock.now()) onTimer(this.#watchExpiry(guest, onTimer));
      else guest.visitor.expel(new MeshError("unauthenticated", "the certificate of this stream has ended; reconnect"));
    });
  }

  #clusterOf({ metadata }: ClientNode): ClusterId {
    const said = metadata.get("CLUSTER_ID") ?? "";
    const { localCluster } = this.#options;
    if (!isClusterId(said)) throw refusal("NoCluster", "node.metadata.CLUSTER_ID must name the peer's cluster");
    if (said !== localCluster) return clusterId(said);
    throw refusal("OwnCluster", `cluster ${said} is this one; give one of the two control planes another CLUSTER_ID`);
  }

  /** @throws MeshError `denied` if the peer may read nothing at all. */
  #scopeOf(cluster: ClusterId, { identity }: PeerProof): ExportScope {
    const { trustDomain } = identity;
    const gateway = this.#gatewayTo(cluster);
    if (gateway !== undefined && gateway.trustDomain !== trustDomain)
      throw refusal(
        "TrustDomainMismatch",
        `Gateway ${gateway.namespace}/${gateway.name} expects cluster ${cluster} in trust domain ${gateway.trustDomain}, ` +
          `and the certificate is of ${trustDomain}; correct annotation gateway.istio.io/trust-domain if that is right`,
      );
    const peer = { cluster, trustDomain };
    const grants = [...this.#options.grants.entries()].map(([, grant]) => grant);
    const isGuarded = this.#options.isGuarded?.(trustDomain) === true;
    // A cluster's name alone is what anybody there can say of itself.
    const names = (grant: PeerGrant): boolean =>
      isNamedBy(grant, peer) && (!isGuarded || grant.trustDomain !== undefined);
    const listed = gateway !== undefined || grants.some(names);
    if (!listed && (isGuarded || this.#options.served === "listed"))
      throw refusal(
        "NotListed",
        `no Gateway of class istio-remote leads to cluster ${cluster}, and no PeerGrant names it` +
          (isGuarded
            ? ` with its trust domain ${trustDomain}; create one of them: that SPIRE is federated with it lets no control plane in`
            : "; create one of them, or let any control plane in with --serve-peers any"),
      );
    return { granted: exportsTo(peer, grants), segment: this.#options.facts.get(cluster)?.segment };
  }

  #gatewayTo(cluster: ClusterId): PeerGateway | undefined {
    for (const [, gateway] of this.#options.gateways.entries())
      if (gateway.cluster === cluster && gateway.refused === undefined) return gateway;
    return undefined;
  }

  /** A cluster's name is whose stream of it lives: its trust domain's, and its own authority's (operations.md 3.4, fault 15). */
  #checkName(cluster: ClusterId, proof: PeerProof): void {
    const known = [...this.#guests].filter((guest) => guest.cluster === cluster);
    const other = known.find(({ proof: held }) => !isSame(held, proof) && !succeeds(proof, held));
    if (other !== undefined)
      throw refusal(
        "ClusterNameTaken",
        `cluster ${cluster} is ${describe(other.proof)} from ${other.proof.remoteAddress}, and ${describe(proof)} from ` +
          `${proof.remoteAddress} says that it is the same; give one of them another CLUSTER_ID`,
      );
    if (known.length >= STREAMS_MAX)
      throw new MeshError("exhausted", `cluster ${cluster} has ${STREAMS_MAX} streams open here; close one`, {
        reason: "TooManyStreams",
      });
  }

  /** Streams that were opened before the peer's authority was replaced come again with what the new one issued. */
  #succeed(cluster: ClusterId, proof: PeerProof): void {
    const error = new MeshError("unavailable", `another authority issues for cluster ${cluster} now; reconnect`, {
      reason: "Succeeded",
    });
    for (const guest of [...this.#guests])
      if (guest.cluster === cluster && !isSame(guest.proof, proof)) guest.visitor.expel(error);
  }

  #lookAgain(concerned: (guest: Guest) => boolean): void {
    for (const guest of [...this.#guests].filter(concerned))
      this.#orExpel(guest, () => {
        const before = guest.lease;
        guest.scope = this.#scopeOf(guest.cluster, guest.proof);
        guest.lease = this.#options.exports.lease(guest.scope);
        if (guest.lease.logs !== before.logs) guest.visitor.follow(guest.lease.logs);
        this.#countShared(guest);
        before[Symbol.dispose]();
      });
  }

  #verifyAgain(): void {
    for (const guest of [...this.#guests])
      this.#orExpel(guest, () => this.#options.trust.verify(guest.proof.chain, "client", this.#clock.now()));
  }

  #orExpel(guest: Guest, check: () => void): void {
    try {
      check();
    } catch (thrown) {
      const error = MeshError.from(thrown);
      this.#refusals.note(guest.cluster, guest.proof, error);
      guest.visitor.expel(error);
    }
  }

  /** After what is shared changed: how much of it each peer that is here may read. */
  recount(): void {
    for (const guest of this.#guests) this.#countShared(guest);
  }

  #countShared({ cluster, lease }: Guest): void {
    this.#shared.set(lease.logs.get(FSDS_TYPE)?.size ?? 0, this.#exportedTo(cluster));
  }

  #exportedTo(peer: ClusterId): Labels {
    return { source: this.#options.localCluster, peer, direction: "exported" };
  }

  #count(cluster: ClusterId): void {
    let count = 0;
    for (const guest of this.#guests) if (guest.cluster === cluster) count += 1;
    if (count === 0) {
      this.#streams.remove({ peer: cluster });
      this.#shared.remove(this.#exportedTo(cluster));
    } else this.#streams.set(count, { peer: cluster });
  }
}

const refusal = (reason: string, message: string): MeshError => new MeshError("denied", message, { reason });

const callerOf = ({ identity, expiresAt }: PeerProof, cluster: ClusterId): Caller => ({
  identity,
  cluster,
  via: "certificate",
  pod: undefined,
  expiresAt,
});

const isSame = (one: PeerProof, other: PeerProof): boolean =>
  one.authority.key === other.authority.key &&
  formatServiceAccountId(one.identity) === formatServiceAccountId(other.identity);

/** An authority that is replaced keeps its name, and what replaces it is younger (contract identity.md 1). */
const succeeds = ({ identity, authority }: PeerProof, { identity: before, authority: held }: PeerProof): boolean =>
  formatServiceAccountId(identity) === formatServiceAccountId(before) &&
  authority.subject === held.subject &&
  authority.notBefore > held.notBefore;

const describe = ({ identity, authority: { subject, key } }: PeerProof): string =>
  `${formatServiceAccountId(identity)} of authority "${subject}" with key ${key.slice(0, 16)}`;
