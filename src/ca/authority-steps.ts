import { MeshError } from "../errors.ts";
import type { EpochMs } from "../host.ts";
import type { Authority } from "./authority.ts";
import { readCertificate } from "./certificate-fields.ts";
import { refuseOlder } from "./crl-check.ts";
import { pemBlocks } from "../pem.ts";
import type { RememberedRoot } from "./remembered-roots.ts";
import { anchorOf, byAnchor, type Ders, holds, isUnder, minuteOf, rootName } from "./root-anchor.ts";

/** What signs and what is trusted now. */
export interface AuthorityStage {
  readonly authority: Authority;
  /** What is still to happen and why it waits; empty if all of what was offered holds. */
  readonly waits: readonly string[];
}

/** Milliseconds since the process began. */
type ElapsedMs = number;

/** What was remembered, and when it was read. */
export interface Before {
  readonly roots: readonly RememberedRoot[];
  readonly now: EpochMs;
  readonly elapsed: ElapsedMs;
}

/**
 * What may take the place of an authority, and when. Workloads learn of roots with their next certificate: so a new root
 * is published at once, but signs only after a wait, and an old one stays published for as long after it last signed
 * (contract identity.md 3.3, 6 no. 16; operations.md 3.4 fault 20). A root is its name and its key: one whose certificate
 * was renewed is the same.
 */
export class AuthoritySteps {
  readonly #waitMs: number;
  /** What was last offered and allowed. */
  #wanted: Authority;
  #signing: Authority;
  #trusted: ReadonlyMap<string, Root>;

  /**
   * Whom workloads trusted before this process began, nobody knows unless it is remembered: they are taken to trust all
   * roots of `first` then. A root that is not remembered where others are is new.
   */
  constructor(first: Authority, waitMs: number, before?: Before) {
    this.#waitMs = waitMs;
    this.#wanted = this.#signing = first;
    const known = new Map((before?.roots ?? []).map((root) => [anchorOf(root.ders[0]), root]));
    const roots = byAnchor(first.roots).map(([anchor, ders]) => {
      const root = known.get(anchor);
      const since = before?.elapsed ?? -Infinity;
      return [
        anchor,
        root === undefined ? { ders, since, signed: -Infinity } : this.#resumed(root, ders, before!),
      ] as const;
    });
    const others = [...known].filter(([anchor]) => !roots.some(([own]) => own === anchor));
    const kept = others.map(([anchor, root]) => [anchor, this.#resumed(root, root.ders, before!)] as const);
    this.#trusted = new Map([...roots, ...kept]);
  }

  /** What was last offered and allowed. */
  get wanted(): Authority {
    return this.#wanted;
  }

  /**
   * Why workloads would refuse what `first` signs: its root is new to them, and they know another. A running process goes
   * on with what signed before; one that begins has it no more.
   */
  whyNotYet(now: EpochMs, elapsed: ElapsedMs): string | undefined {
    const under = [...this.#trusted.values()].filter(({ ders }) => isUnder(this.#signing, ders));
    const others = [...this.#trusted.values()].filter(
      (root) =>
        !under.includes(root) && root.since + this.#waitMs <= elapsed && readCertificate(root.ders[0]).notAfter > now,
    );
    const readyMs = Math.min(...under.map(({ since }) => since)) + this.#waitMs;
    if (readyMs <= elapsed || under[0] === undefined || others[0] === undefined) return undefined;
    return (
      `${rootName(under[0].ders[0])} is new to workloads, which trust ${rootName(others[0].ders[0])}, so nothing may sign ` +
      `under it before ${minuteOf(now + readyMs - elapsed)}; put the signing certificate of before back until then, or ` +
      "start with --root-wait 0"
    );
  }

  /** What the next process needs to know. */
  remembered(now: EpochMs, elapsed: ElapsedMs): readonly RememberedRoot[] {
    const at = (when: ElapsedMs): EpochMs | undefined => (when === -Infinity ? undefined : now - (elapsed - when));
    return [...this.#trusted.values()].map(({ ders, since, signed }) => {
      const signing = isUnder(this.#signing, ders);
      return { ders, since: at(since), signed: signing ? undefined : at(signed), signing };
    });
  }

  #resumed({ since, signed, signing }: RememberedRoot, ders: Ders, { now, elapsed }: Before): Root {
    // Of a time that is still to come, a clock was wrong.
    const at = (when: EpochMs | undefined): ElapsedMs =>
      when === undefined ? -Infinity : elapsed - Math.max(0, now - when);
    // Until when a process signed that is no more, nobody knows.
    const untilNow = signing && !isUnder(this.#signing, ders);
    return { ders, since: at(since), signed: untilNow ? elapsed : at(signed) };
  }

  /** @throws MeshError `conflict`, with what would work, if roots would replace roots, or older lists newer ones. */
  offer(next: Authority, now: EpochMs): void {
    const before = this.#wanted.roots.filter((root) => readCertificate(root).notAfter > now);
    if (!holds(next.roots, before) && !holds(before, next.roots)) throw new MeshError("conflict", PARTING);
    refuseOlder(this.#wanted.revocations, next.revocations);
    this.#wanted = next;
  }

  stage(now: EpochMs, elapsed: ElapsedMs): AuthorityStage {
    const waits: string[] = [];
    const wanted = byAnchor(this.#wanted.roots).map(([anchor, ders]) => {
      return [anchor, { ...ALWAYS, since: elapsed, ...this.#trusted.get(anchor), ders }] as const;
    });
    const names = new Set(wanted.map(([anchor]) => anchor));
    const others = [...this.#trusted].filter(([anchor]) => !names.has(anchor));
    this.#trusted = new Map([...wanted, ...others]);
    this.#sign(now, elapsed, waits);
    const kept = others.filter(([, root]) => this.#mayBeInUse(root, now, elapsed, waits));
    this.#trusted = new Map([...wanted, ...kept]);
    const roots = [...this.#trusted.values()].flatMap(({ ders }) => ders);
    // What was taken back is taken back at once.
    return { authority: { ...this.#signing, roots, revocations: this.#wanted.revocations }, waits };
  }

  #sign(now: EpochMs, elapsed: ElapsedMs, waits: string[]): void {
    const next = this.#wanted;
    if (next === this.#signing) return;
    const under = [...this.#trusted.values()].filter(({ ders }) => isUnder(next, ders));
    const readyMs = Math.min(...under.map(({ since }) => since)) + this.#waitMs;
    if (readyMs > elapsed && this.#signing.notAfter > now) {
      const who = under[0] ? rootName(under[0].ders[0]) : "its root";
      const from = minuteOf(now + readyMs - elapsed);
      waits.push(`${who} is new to workloads, so the signing certificate under it is used from ${from} on`);
      return;
    }
    for (const root of this.#trusted.values()) if (isUnder(this.#signing, root.ders)) root.signed = elapsed;
    this.#signing = next;
  }

  /** Whether certificates that have not ended may lead to a root that was taken out. */
  #mayBeInUse({ ders, signed }: Root, now: EpochMs, elapsed: ElapsedMs, waits: string[]): boolean {
    const [der] = ders;
    if (readCertificate(der).notAfter <= now) return false;
    if (isUnder(this.#signing, ders)) return true;
    if (signed + this.#waitMs <= elapsed) return false;
    const until = minuteOf(now + signed + this.#waitMs - elapsed);
    waits.push(`${rootName(der)} was taken out, and stays trusted until ${until}, as it signed until lately`);
    return true;
  }
}

/**
 * Whether those who trust `published` would trust none of `roots`: then these take the place of others at once, though this
 * process does not know those.
 * @param published root certificates in PEM, whoever wrote them.
 */
export function partsMesh(published: string, roots: readonly Uint8Array[], now: EpochMs): boolean {
  const known = pemBlocks(published, "CERTIFICATE").filter((der) => endOf(der) > now);
  return known.length > 0 && !known.some((der) => holds(roots, [der]));
}

/** What is no certificate verifies nobody. */
function endOf(der: Uint8Array): EpochMs {
  try {
    return readCertificate(der).notAfter;
  } catch {
    return 0;
  }
}

interface Root {
  readonly ders: Ders;
  /** When it was first published. */
  readonly since: ElapsedMs;
  /** When what is under it last signed, as far as that is over. */
  signed: ElapsedMs;
}

const ALWAYS = { since: -Infinity, signed: -Infinity };

const PARTING =
  "its roots replace those of before at once, and workloads would refuse each other; put the new root beside the old, " +
  "wait until every certificate was renewed, then change the signing certificate, and remove the old root last";
