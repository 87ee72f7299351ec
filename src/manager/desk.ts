import { readAuthorityRequest } from "../ca/authority-request.ts";
import { fingerprintOf } from "../ca/issued-list.ts";
import { MeshError } from "../errors.ts";
import type { Clock, Host, Logger } from "../host.ts";
import type { ClusterId } from "../names.ts";
import type { RelayDesk } from "../relay/desk.ts";
import type {
  Bound,
  ClusterReport,
  Fingerprint,
  Hello,
  IntermediateRequest,
  ManagerMessage,
  SignedIntermediate,
} from "../relay/messages.ts";
import type { ClusterLedger } from "./cluster-ledger.ts";
import { boundsIn } from "./tenancy/governance.ts";
import type { IntermediateOrder } from "./issuer.ts";
import { orderOf, shapeOf } from "./orders.ts";
import type { TrustPlan } from "./plan/plan.ts";
import { whyTrustDomainStays } from "./plan/plan-clusters.ts";
import type { EffectivePolicy, RegisteredCluster } from "./policy.ts";
import type { RootRotation } from "./rotation/rotation.ts";
import type { Sources } from "./sources.ts";
import { Tenancy } from "./tenancy/tenancy.ts";
import { LateTenants, type Tenants } from "./tenancy/tenants.ts";
import type { TrustView } from "./view.ts";

/** Of the last callers that were turned away. */
const REFUSALS_MAX = 32;
const ASK_AGAIN_MS = 30_000;

type Word = Extract<ManagerMessage, { kind: "order" | "refusal" }>;

export interface DeskParts {
  readonly sources: Pick<Sources, "issuerFor" | "trouble">;
  readonly rotation: RootRotation;
  readonly ledger: ClusterLedger;
  /** The trust domain that a cluster's intermediates were issued for so far; undefined before the first. */
  readonly issuedDomain: (cluster: ClusterId) => string | undefined;
  /** Called before an intermediate is handed out, and awaited. @throws MeshError `unavailable` */
  readonly noteIssued: (cluster: ClusterId, trustDomain: string, signed: SignedIntermediate) => Promise<void>;
  /** Called after a cluster said something, or went. */
  readonly onCluster: () => void;
}

/** What the relay tells clusters: of the last policy that counted, one order for each cluster that is registered. */
export class TrustDesk implements RelayDesk {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #parts: DeskParts;
  readonly #observers = new Set<() => void>();
  #plan: TrustPlan | undefined;
  /** The last that counted; undefined before the first. */
  #policy: EffectivePolicy | undefined;
  readonly #tenants: LateTenants;
  readonly #contests = new Map<ClusterId, string>();
  #refusals: TrustView["refused"] = [];
  #words: ReadonlyMap<ClusterId, Word> = new Map();

  constructor(host: Host, parts: DeskParts) {
    this.#clock = host.clock;
    this.#tenants = new LateTenants(host.clock);
    this.#log = host.log.scope("trust");
    this.#parts = parts;
  }

  /** What objects say now; `settle` is to follow, once it is remembered what comes of it. */
  planned(plan: TrustPlan): void {
    this.#plan = plan;
    this.#policy = plan.policy ?? this.#policy;
    const isKnown = (cluster: ClusterId): boolean => plan.clusters.has(cluster) || plan.doubtful.has(cluster);
    for (const [cluster] of this.#words) if (!isKnown(cluster)) this.#parts.ledger.forget(cluster);
    this.#tell();
  }

  /** Says anew what clusters are told: roots, objects or reports are others. */
  settle(): void {
    const words = new Map<ClusterId, Word>();
    const boundsOf = boundsBy(this.#plan && this.#tenants.of(this.#plan));
    for (const [cluster, registered] of this.#plan?.clusters ?? []) {
      const word = this.#wordOf(registered, boundsOf);
      if (word !== undefined) words.set(cluster, word);
    }
    for (const [cluster, doubt] of this.#plan?.doubtful ?? [])
      words.set(cluster, refusal("invalid", `cluster ${cluster} gets nothing new: ${doubt}`));
    this.#words = words;
    this.#tell();
  }

  #tell(): void {
    for (const observer of this.#observers) observer();
  }

  whyNot(cluster: ClusterId): string | undefined {
    if (this.#plan === undefined) return "the trust manager has not read its objects yet; call again in a moment";
    if (this.#plan.clusters.has(cluster) || this.#plan.doubtful.has(cluster)) return undefined;
    return (
      `cluster ${cluster} is not registered; apply a KubernetesCluster of that name in the trust manager's namespace, ` +
      "or correct the name that the cluster calls itself (--cluster, CLUSTER_ID)"
    );
  }

  wordFor(cluster: ClusterId): Word | undefined {
    return this.#words.get(cluster);
  }

  observe(observer: () => void): Disposable {
    this.#observers.add(observer);
    return { [Symbol.dispose]: () => void this.#observers.delete(observer) };
  }

  async sign(cluster: ClusterId, request: IntermediateRequest, signal: AbortSignal): Promise<SignedIntermediate> {
    const word = this.#words.get(cluster);
    const registered = this.#plan?.clusters.get(cluster);
    if (word?.kind !== "order" || registered === undefined || this.#policy === undefined)
      throw new MeshError("unavailable", this.whyNot(cluster) ?? `there is no order for cluster ${cluster} yet`);
    const { generation, signingRoot } = word.order;
    if (request.generation !== generation)
      throw new MeshError("conflict", `the order is ${generation} by now, and the request is by ${request.generation}`);
    if (signingRoot === undefined)
      throw new MeshError("unavailable", `cluster ${cluster} is to keep what it has, until all trust the next root`);
    const order = await this.#orderOf(registered, this.#policy, request.csr, signingRoot);
    const signed = await this.#signed(signingRoot, order, signal);
    if (fingerprintOf(signed.root) !== signingRoot)
      throw new MeshError("unavailable", "the source signs under another root by now; wait for the next order");
    const why = this.#parts.rotation.whyNotUnder(cluster, signed.root);
    if (why !== undefined) throw new MeshError("unavailable", why);
    await this.#parts.noteIssued(cluster, registered.trustDomain, signed);
    this.#log.info("signed an intermediate", { cluster, root: signingRoot.slice(0, 8), ca: order.commonName });
    return signed;
  }

  connected(cluster: ClusterId, hello: Hello, from: string): void {
    this.#parts.ledger.connected(cluster, hello, from);
    this.#parts.rotation.connected(cluster);
    this.#parts.onCluster();
  }

  reported(cluster: ClusterId, report: ClusterReport): void {
    this.#parts.ledger.reported(cluster, report);
    this.#parts.rotation.reported(cluster, report);
    this.#parts.onCluster();
  }

  disconnected(cluster: ClusterId): void {
    this.#parts.ledger.disconnected(cluster);
    this.#parts.onCluster();
  }

  refused(cluster: string, from: string, why: string): void {
    const at = this.#clock.now();
    this.#refusals = [{ cluster, from, at, why }, ...this.#refusals].slice(0, REFUSALS_MAX);
  }

  contested(cluster: ClusterId, why: string | undefined): void {
    if (why === undefined) this.#contests.delete(cluster);
    else this.#contests.set(cluster, why);
    this.#parts.onCluster();
  }

  /** The last first. */
  get refusals(): TrustView["refused"] {
    return this.#refusals;
  }

  contestOf(cluster: ClusterId): string | undefined {
    return this.#contests.get(cluster);
  }

  #wordOf(registered: RegisteredCluster, boundsOf: BoundsOf): Word | undefined {
    const { cluster } = registered;
    const before = this.#parts.issuedDomain(cluster);
    const why =
      before === undefined ? undefined : whyTrustDomainStays({ ...registered, trustDomain: before }, registered);
    if (why !== undefined) return refusal("conflict", why);
    const policy = this.#policy;
    if (policy === undefined) return refusal("absent", this.#plan?.whyNone ?? "there is no RootTrustPolicy; apply one");
    const crowd = this.#parts.rotation.whyNoStance(cluster);
    if (crowd !== undefined) return refusal("invalid", crowd);
    const stance = this.#parts.rotation.stanceOf(cluster);
    if (stance === undefined) {
      const { trouble } = this.#parts.sources;
      return trouble === undefined ? undefined : refusal("unavailable", trouble);
    }
    return { kind: "order", order: orderOf({ policy, registered, stance, bounds: boundsOf(cluster) }) };
  }

  /** Of the request only its key counts; that its names are the order's matters to those who obey them (R11). */
  async #orderOf(
    registered: RegisteredCluster,
    policy: EffectivePolicy,
    csr: string,
    signingRoot: Fingerprint,
  ): Promise<IntermediateOrder> {
    const { cluster, trustDomain } = registered;
    const { graceRatio: _, ...shape } = shapeOf(policy, registered);
    const { publicKey } = await readAuthorityRequest(csr, { ...shape, trustDomain });
    return { ...shape, cluster, trustDomain, csr, publicKey, signingRoot };
  }

  /** What keeps a source from signing is mended there, of which the cluster hears nothing: it asks again soon. */
  async #signed(root: Fingerprint, order: IntermediateOrder, signal: AbortSignal): Promise<SignedIntermediate> {
    const issuer = this.#issuerFor(root);
    try {
      return await issuer.sign(order, signal);
    } catch (thrown) {
      const { code, message, detail } = MeshError.from(thrown);
      throw new MeshError(code, message, { retryAfterMs: ASK_AGAIN_MS, ...detail }, { cause: thrown });
    }
  }

  #issuerFor(root: string): NonNullable<ReturnType<Sources["issuerFor"]>> {
    const issuer = this.#parts.sources.issuerFor(root);
    if (issuer !== undefined) return issuer;
    const why = this.#parts.sources.trouble ?? "it has another root by now";
    throw new MeshError("unavailable", `nobody signs under root ${root.slice(0, 8)} now: ${why}`);
  }
}

type BoundsOf = (cluster: ClusterId) => readonly Bound[] | undefined;

function boundsBy({ workspaces, settings, clusters }: Tenants = NOBODY): BoundsOf {
  const tenancy = new Tenancy(workspaces, settings);
  return (cluster) => (tenancy.workspaces.length === 0 ? undefined : boundsIn(tenancy, cluster, clusters));
}

const NOBODY: Tenants = { workspaces: [], settings: [], clusters: [] };

const refusal = (code: "conflict" | "absent" | "invalid" | "unavailable", reason: string): Word => ({
  kind: "refusal",
  id: "",
  code,
  reason,
  retryAfterMs: 0,
});
