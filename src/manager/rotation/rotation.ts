import { readCertificate } from "../../ca/certificate-fields.ts";
import { fingerprintOf } from "../../ca/issued-list.ts";
import { anchorOf, byAnchor, type Ders } from "../../ca/root-anchor.ts";
import type { Clock } from "../../host.ts";
import { type ClusterId, clusterId } from "../../names.ts";
import type { ClusterReport, Fingerprint, SignedIntermediate } from "../../relay/messages.ts";
import { type Anchor, ClusterTrust } from "./cluster.ts";
import { Leavers } from "../leavers.ts";
import { ROTATION_GATES, type RotationGates } from "./gates.ts";
import { dersOf, rootMemoryOf, type RotationMemory } from "./memory.ts";
import { rotationNotes } from "./notes.ts";
import { refusalOf } from "./refusal.ts";
import type { DroppedRoot, RotationState } from "./state.ts";
import { certificateOf, holdsSwitch, isInUse, longestWaitMs, signerFor, stillTrusting } from "./state.ts";
import { titleOf } from "./title.ts";
import { whyNotUnder } from "./under.ts";
import type { RootView, RotationView } from "../view.ts";

export { type RotationMemory, rotationMemoryOf } from "./memory.ts";

/** What the source and the policy say, in DER. */
export interface WantedRoots {
  /** Verifies what the source signs from now on. */
  readonly signing: Uint8Array;
  /** What else the source wants trusted. */
  readonly beside: readonly Uint8Array[];
  /** The policy's passiveCertificateAuthorities. */
  readonly passive: readonly Uint8Array[];
}

/** What a cluster is to be told of roots. */
export interface RootStance {
  /** In DER: what it is to trust, all of it. */
  readonly roots: readonly Uint8Array[];
  /** Under which it is to sign; undefined while it is to keep what it has. */
  readonly signingRoot: Fingerprint | undefined;
}

/** A root that was taken out is not put back before what was said of it, in both directions, has arrived. */
const SETTLED_MS = 60_000;
/** A wall clock may be set: what depends on it is looked at again this often. */
const LOOK_MS = 3_600_000;

/**
 * One root for all clusters, and the way from one to the next (contract identity.md 4.2 R8, 3.3; operations.md 3.4 fault
 * 20): ADD, everybody trusts both; SWITCH, each cluster gets an intermediate under the new one; WAIT, until nothing under
 * the old one lives; REMOVE. Each step waits for what each cluster itself reports. A cluster counts from its first call
 * until nobody registers it: one that is away blocks.
 *
 * It relies on clusters for this: they carry out orders one after the other, report each change of what is so in that
 * order, and after a lost connection say what is so before they carry out another order.
 *
 * It does no I/O: whoever has it calls `advance` after `nextChangeMs`, and keeps `remembered` before it sends what
 * `stanceOf` says, or the intermediate that `given` was told of.
 */
export class RootRotation {
  readonly #clusters = new Map<ClusterId, ClusterTrust>();
  readonly #observers = new Set<() => void>();
  readonly #leavers: Leavers;
  #state: RotationState;
  #asked: WantedRoots | undefined;
  #refusal = "";
  #seen: string;

  constructor(clock: Clock, memory?: RotationMemory, gates: RotationGates = ROTATION_GATES) {
    this.#leavers = new Leavers(clock);
    const nothing = { wanted: new Map(), mesh: new Map(), dropped: new Map() } as const;
    const state = {
      clock,
      gates,
      clusters: this.#clusters,
      ...nothing,
      goal: undefined,
      goalDer: undefined,
      former: undefined,
      opened: true,
      registered: undefined,
    };
    this.#state = memory === undefined ? state : { ...state, ...rootsIn(memory, clock) };
    for (const cluster of memory?.clusters ?? [])
      this.#clusters.set(clusterId(cluster.name), new ClusterTrust(clock, cluster));
    for (const root of this.#state.dropped.keys()) for (const cluster of this.#clusters.values()) cluster.drop(root);
    this.#seen = this.#digest();
  }

  /** Why what was wanted last is not done, with the plan that would work; empty if it is. */
  get refusal(): string {
    return this.#refusal;
  }

  /** To be called whenever the source and the policy were read. Of what would part the mesh nothing is done. */
  want(roots: WantedRoots): void {
    this.#asked = roots;
    this.advance();
  }

  /** A cluster's own word of what is so there. */
  reported(cluster: ClusterId, report: ClusterReport): void {
    this.#known(cluster).report(report, this.#state.mesh);
    this.advance();
  }

  /** From now on it counts. */
  connected(cluster: ClusterId): void {
    this.#known(cluster);
    this.advance();
  }

  /** All that are registered; others are forgotten two minutes later. Not to be called before the registrations were read. */
  registered(clusters: ReadonlySet<ClusterId>): void {
    this.#state = { ...this.#state, registered: new Set(clusters) };
    this.advance();
  }

  /** A cluster is about to be sent an intermediate: from now on it may sign with it. */
  given(cluster: ClusterId, signed: SignedIntermediate): void {
    this.#known(cluster).give(signed);
    this.advance();
  }

  /** Undefined until there is a root, and the cluster has said what it has: what that is must not go by an order. */
  stanceOf(cluster: ClusterId): RootStance | undefined {
    const { goal, goalDer, mesh } = this.#state;
    const known = this.#clusters.get(cluster);
    if (goal === undefined || goalDer === undefined || known?.heard === undefined) return undefined;
    const own = [...known.own].filter(([root]) => !mesh.has(root));
    const signer = signerFor(this.#state, known);
    // Of several certificates of one root the source names one, or else the cluster does.
    const named = known.signing === signer ? known.signingSha : undefined;
    const der = certificateOf(this.#state, signer);
    return {
      roots: [...this.#ordered(), ...own].flatMap(([, certificates]) => certificates),
      signingRoot: signer === goal && mesh.has(goal) ? fingerprintOf(goalDer) : (named ?? (der && fingerprintOf(der))),
    };
  }

  /** Why a cluster may not have an intermediate under a root now, in a sentence that says when; undefined if it may. */
  whyNotUnder(cluster: ClusterId, root: Uint8Array): string | undefined {
    return whyNotUnder(this.#state, cluster, root);
  }

  /** Why a cluster cannot be told anything of roots; undefined if it can. */
  whyNoStance(cluster: ClusterId): string | undefined {
    if (this.#clusters.get(cluster)?.isCrowded !== true) return undefined;
    return (
      `cluster ${cluster} trusts more roots of its own than can be kept beside the mesh's: it keeps all that it has, and gets ` +
      "nothing new, until those that nobody needs are taken out of its cacerts"
    );
  }

  /** Whether certificates that live may lead to the root, or a change needs it: what a source has of it is to be kept. */
  needs(root: Uint8Array): boolean {
    const anchor = anchorOf(root);
    const { goal, former, mesh } = this.#state;
    return anchor === goal || anchor === former || (mesh.has(anchor) && isInUse(this.#state, anchor));
  }

  get view(): RotationView {
    return rotationNotes(this.#state, this.#refusal);
  }

  /** Those that all clusters are told to trust. */
  get roots(): readonly RootView[] {
    const { goal, former, opened, wanted } = this.#state;
    return this.#ordered().map(([root, [der]]) => {
      const signs = root === goal || (root === former && !opened);
      const role = signs ? "signing" : root === former || !wanted.has(root) ? "leaving" : "passive";
      return { sha256: fingerprintOf(der), subject: titleOf(der), notAfter: readCertificate(der).notAfter, role };
    });
  }

  remembered(): RotationMemory {
    const { goalDer, former, opened, mesh, wanted, dropped } = this.#state;
    const formerDer = certificateOf(this.#state, former);
    return {
      version: 1,
      goal: goalDer ? rootMemoryOf([goalDer]) : null,
      former: formerDer ? rootMemoryOf([formerDer]) : null,
      opened,
      mesh: Array.from(mesh.values(), rootMemoryOf),
      wanted: Array.from(wanted.values(), rootMemoryOf),
      dropped: Array.from(dropped.values(), ({ ders }) => rootMemoryOf(ders)),
      clusters: Array.from(this.#clusters, ([name, cluster]) => cluster.remembered(name)),
    };
  }

  /** In how many milliseconds time alone may change something, at most an hour; undefined if it cannot. */
  nextChangeMs(): number | undefined {
    const { clock, mesh, dropped } = this.#state;
    const waitMs = longestWaitMs(this.#state);
    const waits = [...this.#clusters.values()].flatMap((cluster) =>
      [...mesh.keys(), ...cluster.signers].flatMap((root) => [
        waitMs - (cluster.trustsForMs(root) ?? Infinity),
        waitMs - (cluster.signedAgoMs(root) ?? Infinity),
      ]),
    );
    const settles = [...dropped.values()].map(({ at }) => SETTLED_MS - (clock.elapsedMs() - at));
    const ends = [...mesh.values()].map(([der]) => readCertificate(der).notAfter - clock.now());
    const next = Math.min(...[...waits, ...settles, ...this.#leavers.restMs, ...ends].filter((ms) => ms > 0));
    return next === Infinity ? undefined : Math.min(next, LOOK_MS);
  }

  /** Takes the steps that are due. */
  advance(): void {
    this.#forget();
    this.#expire();
    if (this.#asked !== undefined) this.#judge(this.#asked);
    this.#publish();
    this.#open();
    this.#drop();
    this.#finish();
    const seen = this.#digest();
    if (seen === this.#seen) return;
    this.#seen = seen;
    for (const observer of this.#observers) observer();
  }

  /** Calls `observer` after what `stanceOf`, `view`, `roots`, or `remembered` say may have changed. */
  observe(observer: () => void): Disposable {
    this.#observers.add(observer);
    return { [Symbol.dispose]: () => void this.#observers.delete(observer) };
  }

  #known(name: ClusterId): ClusterTrust {
    const cluster = this.#clusters.get(name) ?? new ClusterTrust(this.#state.clock);
    this.#clusters.set(name, cluster);
    return cluster;
  }

  #forget(): void {
    const { registered } = this.#state;
    if (registered === undefined) return;
    for (const name of this.#leavers.over(this.#clusters.keys(), registered)) this.#clusters.delete(name);
  }

  /** Nothing under a root lives longer than the root. */
  #expire(): void {
    const now = this.#state.clock.now();
    const alive = (ders: Ders): readonly Uint8Array[] => ders.filter((der) => readCertificate(der).notAfter > now);
    const mesh = new Map(byAnchor([...this.#state.mesh.values()].flatMap(alive)));
    const dropped = new Map([...this.#state.dropped].filter(([, { ders }]) => alive(ders).length > 0));
    const { former } = this.#state;
    const ended = former !== undefined && !mesh.has(former) && !dropped.has(former);
    this.#state = { ...this.#state, mesh, dropped, ...(ended && { former: undefined, opened: true }) };
  }

  #judge({ signing, beside, passive }: WantedRoots): void {
    const wanted = new Map(byAnchor([signing, ...beside, ...passive]));
    const next = anchorOf(signing);
    this.#refusal = refusalOf(this.#state, signing, wanted);
    if (this.#refusal !== "") return;
    const { goal, mesh } = this.#state;
    this.#state = { ...this.#state, wanted, goalDer: signing };
    if (next === goal) return;
    const former = goal !== undefined && mesh.has(goal) && this.#clusters.size > 0 ? goal : undefined;
    // Whoever turns back before anybody could switch finds all as it was: no cluster may begin under what is given up.
    const unbegun = next === this.#state.former && !this.#state.opened;
    this.#state = { ...this.#state, goal: next, former, opened: former === undefined || unbegun };
  }

  /** A root that was renewed keeps the certificates that it had: what was issued under one may name that one. */
  #publish(): void {
    const { clock, mesh, wanted, dropped } = this.#state;
    const added = [...wanted].filter(([root]) => !dropped.has(root)).flatMap(([, ders]) => ders);
    const alive = added.filter((der) => readCertificate(der).notAfter > clock.now());
    const ders = new Map([...alive, ...[...mesh.values()].flat()].map((der) => [fingerprintOf(der), der]));
    this.#state = { ...this.#state, mesh: new Map(byAnchor([...ders.values()])) };
  }

  #open(): void {
    if (this.#state.opened) return;
    const opened = ![...this.#clusters.values()].some((cluster) => holdsSwitch(this.#state, cluster));
    this.#state = { ...this.#state, opened };
  }

  #drop(): void {
    const { clock, mesh, wanted, goal, former, opened, dropped } = this.#state;
    const leaves = [...mesh].filter(
      ([root]) => !wanted.has(root) && root !== goal && (root !== former || opened) && !isInUse(this.#state, root),
    );
    const at = clock.elapsedMs();
    for (const [root] of leaves) for (const cluster of this.#clusters.values()) cluster.drop(root);
    this.#state = {
      ...this.#state,
      mesh: new Map([...mesh].filter(([root]) => !leaves.some(([leaving]) => leaving === root))),
      dropped: new Map<Anchor, DroppedRoot>([
        ...dropped,
        ...leaves.map(([root, ders]) => [root, { ders, at }] as const),
      ]),
    };
    for (const cluster of this.#clusters.values()) this.#dropOwn(cluster);
  }

  /** What a cluster came with goes when it signs under the mesh's root, and nobody that came with the same needs it. */
  #dropOwn(cluster: ClusterTrust): void {
    const { signing, own } = cluster;
    const { mesh } = this.#state;
    if (own.size === 0 || signing === undefined || !mesh.has(signing)) return;
    // One that became the mesh's since is everybody's.
    if (![...own.keys()].some((root) => !mesh.has(root) && isInUse(this.#state, root))) cluster.forgetOwn();
  }

  #finish(): void {
    const { clock, former, opened, wanted, mesh, dropped } = this.#state;
    const gone = (root: Anchor): boolean => !mesh.has(root) && stillTrusting(this.#state, root).length === 0;
    const over =
      former !== undefined && opened && !isInUse(this.#state, former) && (wanted.has(former) || gone(former));
    const settled = [...dropped].filter(([root, { at }]) => gone(root) && clock.elapsedMs() - at >= SETTLED_MS);
    this.#state = {
      ...this.#state,
      ...(over && { former: undefined }),
      dropped: new Map([...dropped].filter(([root]) => !settled.some(([other]) => other === root))),
    };
  }

  /** The one that signs first. */
  #ordered(): readonly (readonly [Anchor, Ders])[] {
    const { goal, former, mesh } = this.#state;
    const rank = (root: Anchor): number => (root === goal ? 0 : root === former ? 1 : 2);
    return [...mesh].sort(([one], [other]) => rank(one) - rank(other));
  }

  /** Of all that observers are told of: times are not. */
  #digest(): string {
    const times = new Set(["ours", "theirs", "passedMs"]);
    const stances = Array.from(this.#clusters.keys(), (cluster) => this.stanceOf(cluster)?.signingRoot);
    return JSON.stringify([this.remembered(), stances, this.view], (key, value: unknown) =>
      times.has(key) ? undefined : value,
    );
  }
}

function rootsIn(memory: RotationMemory, clock: Clock) {
  const rootsOf = (roots: RotationMemory["mesh"]): ReadonlyMap<Anchor, Ders> =>
    new Map(byAnchor(roots.flatMap((root) => dersOf(root))));
  const anchor = (root: RotationMemory["goal"]): Anchor | undefined => root?.[0] && anchorOf(dersOf(root)[0]);
  // When exactly it was taken out does not matter: all say again what they trust.
  const at = clock.elapsedMs();
  return {
    mesh: rootsOf(memory.mesh),
    wanted: rootsOf(memory.wanted),
    dropped: new Map(Array.from(rootsOf(memory.dropped), ([root, ders]) => [root, { ders, at }] as const)),
    goal: anchor(memory.goal),
    goalDer: memory.goal ? dersOf(memory.goal)[0] : undefined,
    former: anchor(memory.former),
    opened: memory.opened,
  };
}
