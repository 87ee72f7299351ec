import { fingerprintOf } from "../../ca/issued-list.ts";
import { readCertificate } from "../../ca/certificate-fields.ts";
import { anchorOf, byAnchor, type Ders } from "../../ca/root-anchor.ts";
import type { Clock, EpochMs } from "../../host.ts";
import type { ClusterReport, Fingerprint, SignedIntermediate } from "../../relay/messages.ts";
import { type ClusterMemory, dersOf, type GivenMemory, rootMemoryOf } from "./memory.ts";
import { ALWAYS, type Moment, momentAt, rememberedMoment, resumedMoment, settled } from "./moment.ts";

/**
 * In bytes of DER, and in characters of names: roots of a cluster that are none of the mesh's, and those that it signed
 * under. All clusters are remembered in one document, which a Secret has to hold: what one says must not fill it.
 */
const OWN_BYTES_MAX = 24 * 1024;
/** Intermediates that were asked for and never shown; the last one under each root stands for those before it. */
const GIVEN_MAX = 16;

/** A root by what makes two certificates one root (`anchorOf`). */
export type Anchor = string;

/**
 * What is known of the roots of one cluster, by its own word: since when it trusts each, and until when it signed under
 * each. An intermediate that it was given counts as in use until a report shows that one or a later one.
 */
export class ClusterTrust {
  readonly #clock: Clock;
  readonly #trusts = new Map<Anchor, Moment>();
  readonly #signed = new Map<Anchor, Moment>();
  readonly #leaving = new Set<Anchor>();
  #given: GivenMemory[] = [];
  #own: ReadonlyMap<Anchor, Ders> = new Map();
  #heard: Moment | undefined;
  #signing: Anchor | undefined;
  #signingSha: Fingerprint | undefined;
  #signedEver: boolean | undefined;
  #crowded = false;
  #waitMs = 0;
  #lowered: { readonly toMs: number; readonly at: Moment } | undefined;
  /** Of a process before this one: the time between them is not yet counted. */
  #resumed = false;

  constructor(clock: Clock, memory?: ClusterMemory) {
    this.#clock = clock;
    if (memory !== undefined) this.#resume(memory);
  }

  /** Its last report; undefined before the first. */
  get heard(): Moment | undefined {
    return this.#heard;
  }
  /** Undefined if nothing signs there, or that was not said yet. */
  get signing(): Anchor | undefined {
    return this.#signing;
  }
  /** Of the certificate of that root that it named. */
  get signingSha(): Fingerprint | undefined {
    return this.#signingSha;
  }
  /** Roots that it came with, and that are none of the mesh's. */
  get own(): ReadonlyMap<Anchor, Ders> {
    return this.#own;
  }
  /** How long it takes until all workloads have what is published there, and what was signed there is dead. */
  get waitMs(): number {
    const lowered = this.#lowered;
    return lowered !== undefined && this.#ageMs(lowered.at) >= this.#waitMs ? lowered.toMs : this.#waitMs;
  }

  /** Whether it has more roots of its own than are kept: then nobody can tell it what to trust beside the mesh's. */
  get isCrowded(): boolean {
    return this.#crowded;
  }

  /** For how long it has said that workloads are told to trust the root; undefined if it does not. */
  trustsForMs(root: Anchor): number | undefined {
    const since = this.#trusts.get(root);
    return since && this.#ageMs(since);
  }

  /** How long ago it last signed under a root under which it does no more; undefined if that never was. */
  signedAgoMs(root: Anchor): number | undefined {
    const last = this.#signed.get(root);
    return last && this.#ageMs(last);
  }

  /** Whether it was given an intermediate under the root that may come into use yet. */
  wasGiven(root: Anchor): boolean {
    return this.#given.some(({ anchor, notAfter }) => anchor === root && notAfter > this.#clock.now());
  }

  /** Roots under which it signs or signed, or may. */
  get signers(): ReadonlySet<Anchor> {
    const now = this.#signing === undefined ? [] : [this.#signing];
    return new Set([...now, ...this.#given.map(({ anchor }) => anchor), ...this.#signed.keys()]);
  }

  /** @param mesh what all clusters are told to trust: other roots are its own. */
  report(report: ClusterReport, mesh: ReadonlyMap<Anchor, Ders>): void {
    const at = momentAt(this.#clock, report.clock);
    if (this.#resumed) this.#settle(at);
    const before = { signedEver: this.#signedEver, signing: this.#signing };
    const own = new Map([...this.#own, ...byAnchor(report.roots)].filter(([root]) => !mesh.has(root)));
    this.#crowded = bytesOf(own) > OWN_BYTES_MAX;
    const roots = new Map(byAnchor(report.roots).filter(([root]) => !this.#crowded || mesh.has(root)));
    this.#heard = at;
    this.#signing = signerOf({ ...report, roots: [...roots.values()].flat() }, mesh);
    this.#signingSha = report.signingRoot;
    const blank = report.chain.length === 0 && (before.signedEver === false || roots.size === 0);
    this.#signedEver = before.signedEver === true || !blank;
    // Where nothing ever signed, all who come learn all of it with their first certificate.
    this.#noteTrusted(roots, before.signedEver === false ? ALWAYS : at);
    if (before.signing !== undefined && before.signing !== this.#signing) this.#signed.set(before.signing, at);
    this.#noteLanded(report.chain[0], at);
    this.#boundSigned(mesh);
    this.#wait(report.rootWaitMs, at);
    if (this.#signing !== undefined && !mesh.has(this.#signing) && !this.#crowded) this.#own = own;
  }

  /** To be told before it leaves. */
  give({ chain, root }: SignedIntermediate): void {
    const [leaf] = chain;
    if (leaf === undefined) return;
    const { notAfter } = readCertificate(leaf);
    const given = { anchor: anchorOf(root), sha256: fingerprintOf(leaf), notAfter };
    this.#given.push(given);
    if (this.#given.length <= GIVEN_MAX) return;
    const covered = this.#given.findIndex(
      (other) => other !== given && other.anchor === given.anchor && other.notAfter <= notAfter,
    );
    if (covered >= 0) this.#given.splice(covered, 1);
  }

  /** It is told to trust the root no more: what it said of it before is of no use from now on. */
  drop(root: Anchor): void {
    this.#trusts.delete(root);
    this.#leaving.add(root);
  }

  /** Whether it was told to trust the root no more, and has not said since that it does not. */
  isLeaving(root: Anchor): boolean {
    return this.#leaving.has(root);
  }

  /** It has switched, and nothing under what it came with lives. */
  forgetOwn(): void {
    this.#own = new Map();
  }

  remembered(name: string): ClusterMemory {
    const moment = (at: Moment | undefined) => (at === undefined ? null : rememberedMoment(at, this.#clock));
    const moments = (map: ReadonlyMap<Anchor, Moment>) => Array.from(map, ([root, at]) => [root, moment(at)] as const);
    return {
      name,
      heard: moment(this.#heard),
      signedEver: this.#signedEver ?? null,
      signing: this.#signing ?? null,
      signingSha: this.#signingSha ?? null,
      trusts: moments(this.#trusts),
      signed: moments(this.#signed),
      given: [...this.#given],
      own: Array.from(this.#own.values(), rootMemoryOf),
      waitMs: this.#waitMs,
      lowered: this.#lowered ? { toMs: this.#lowered.toMs, at: moment(this.#lowered.at) } : null,
    };
  }

  #resume(memory: ClusterMemory): void {
    const moment = (at: ClusterMemory["heard"]): Moment => resumedMoment(at, this.#clock);
    this.#resumed = true;
    this.#heard = memory.heard === null ? undefined : moment(memory.heard);
    this.#signedEver = memory.signedEver ?? undefined;
    this.#signing = memory.signing ?? undefined;
    this.#signingSha = memory.signingSha ?? undefined;
    for (const [root, since] of memory.trusts) this.#trusts.set(root, moment(since));
    for (const [root, last] of memory.signed) this.#signed.set(root, moment(last));
    this.#given = [...memory.given];
    this.#own = new Map(byAnchor(memory.own.flatMap((root) => dersOf(root))));
    this.#waitMs = memory.waitMs;
    this.#lowered = memory.lowered ? { toMs: memory.lowered.toMs, at: moment(memory.lowered.at) } : undefined;
  }

  #settle(now: Moment): void {
    this.#resumed = false;
    for (const moments of [this.#trusts, this.#signed])
      for (const [root, at] of moments) moments.set(root, settled(at, now));
    if (this.#lowered) this.#lowered = { ...this.#lowered, at: settled(this.#lowered.at, now) };
  }

  #noteTrusted(roots: ReadonlyMap<Anchor, Ders>, since: Moment): void {
    for (const root of this.#leaving) if (!roots.has(root)) this.#leaving.delete(root);
    for (const root of this.#trusts.keys()) if (!roots.has(root)) this.#trusts.delete(root);
    for (const root of roots.keys()) if (!this.#trusts.has(root)) this.#trusts.set(root, since);
  }

  /** Those given before the one that signs may have signed since the last report, and will not any more. */
  #noteLanded(leaf: Uint8Array | undefined, at: Moment): void {
    const sha256 = leaf && fingerprintOf(leaf);
    const landed = this.#given.findIndex((given) => given.sha256 === sha256);
    for (const { anchor } of this.#given.splice(0, landed + 1)) this.#signed.set(anchor, at);
    const now: EpochMs = this.#clock.now();
    for (const { anchor, notAfter } of this.#given) if (notAfter <= now) this.#signed.set(anchor, at);
    this.#given = this.#given.filter(({ notAfter }) => notAfter > now);
    if (this.#signing !== undefined) this.#signed.delete(this.#signing);
  }

  /** Of roots that are none of the mesh's the oldest go: nothing that clusters are told to trust depends on them. */
  #boundSigned(mesh: ReadonlyMap<Anchor, Ders>): void {
    const foreign = [...this.#signed.keys()].filter((root) => !mesh.has(root));
    for (let size = foreign.join("").length; size > OWN_BYTES_MAX; size -= foreign.shift()!.length)
      this.#signed.delete(foreign[0]!);
  }

  /** What was signed while it was longer lives as long as was said then. */
  #wait(ms: number, at: Moment): void {
    if (ms >= this.waitMs) {
      [this.#waitMs, this.#lowered] = [ms, undefined];
    } else if (this.#lowered?.toMs !== ms) {
      [this.#waitMs, this.#lowered] = [this.waitMs, { toMs: ms, at }];
    }
  }

  #ageMs({ elapsed }: Moment): number {
    return this.#clock.elapsedMs() - elapsed;
  }
}

const bytesOf = (roots: ReadonlyMap<Anchor, Ders>): number =>
  [...roots.values()].flat().reduce((sum, der) => sum + der.length, 0);

/** The root that a report says its chain leads to. One that nobody knows has a name that no root has. */
function signerOf({ chain, roots, signingRoot }: ClusterReport, mesh: ReadonlyMap<Anchor, Ders>): Anchor | undefined {
  if (chain.length === 0) return undefined;
  const root = [...roots, ...[...mesh.values()].flat()].find((der) => fingerprintOf(der) === signingRoot);
  return root === undefined ? `sha256 ${signingRoot ?? "unknown"}` : anchorOf(root);
}
