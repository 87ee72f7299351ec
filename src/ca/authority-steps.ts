import { createPublicKey, X509Certificate } from "node:crypto";
import { MeshError } from "../errors.ts";
import type { EpochMs } from "../host.ts";
import type { Authority } from "./authority.ts";
import { readCertificate } from "./certificate-fields.ts";
import { refuseOlder } from "./crl-check.ts";
import { pemBlocks } from "./pem.ts";

/** What signs and what is trusted now. */
export interface AuthorityStage {
  readonly authority: Authority;
  /** What is still to happen and why it waits; empty if all of what was offered holds. */
  readonly waits: readonly string[];
}

/** Milliseconds since the process began. */
type ElapsedMs = number;

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

  /** Whom workloads trusted before this process began, nobody knows: they are taken to trust all roots of `first`. */
  constructor(first: Authority, waitMs: number) {
    this.#waitMs = waitMs;
    this.#wanted = this.#signing = first;
    this.#trusted = new Map(byAnchor(first.roots).map(([anchor, ders]) => [anchor, { ders, ...ALWAYS }]));
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
    const under = [...this.#trusted.values()].filter(({ ders }) => isUnder(next, ders[0]));
    const readyMs = Math.min(...under.map(({ since }) => since)) + this.#waitMs;
    if (readyMs > elapsed && this.#signing.notAfter > now) {
      const who = under[0] ? nameOf(under[0].ders[0]) : "its root";
      const from = minuteOf(now + readyMs - elapsed);
      waits.push(`${who} is new to workloads, so the signing certificate under it is used from ${from} on`);
      return;
    }
    for (const root of this.#trusted.values()) if (isUnder(this.#signing, root.ders[0])) root.signed = elapsed;
    this.#signing = next;
  }

  /** Whether certificates that have not ended may lead to a root that was taken out. */
  #mayBeInUse({ ders: [der], signed }: Root, now: EpochMs, elapsed: ElapsedMs, waits: string[]): boolean {
    if (readCertificate(der).notAfter <= now) return false;
    if (isUnder(this.#signing, der)) return true;
    if (signed + this.#waitMs <= elapsed) return false;
    const until = minuteOf(now + signed + this.#waitMs - elapsed);
    waits.push(`${nameOf(der)} was taken out, and stays trusted until ${until}, as it signed until lately`);
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
  /** Its certificates, the one that ends last first. */
  readonly ders: Ders;
  /** When it was first published. */
  readonly since: ElapsedMs;
  /** When what is under it last signed, as far as that is over. */
  signed: ElapsedMs;
}

type Ders = readonly [Uint8Array, ...Uint8Array[]];
const ALWAYS = { since: -Infinity, signed: -Infinity };

const PARTING =
  "its roots replace those of before at once, and workloads would refuse each other; put the new root beside the old, " +
  "wait until every certificate was renewed, then change the signing certificate, and remove the old root last";

/** What makes two root certificates one to those who trust them. */
function anchorOf(der: Uint8Array): string {
  const { subject, publicKey } = readCertificate(der);
  return `${Buffer.from(subject).toString("base64")} ${Buffer.from(publicKey).toString("base64")}`;
}

function byAnchor(roots: readonly Uint8Array[]): readonly (readonly [string, Ders])[] {
  const found = new Map<string, Ders>();
  const end = (der: Uint8Array): EpochMs => readCertificate(der).notAfter;
  for (const der of roots) {
    const [first, ...more] = found.get(anchorOf(der)) ?? [];
    const ders: Ders =
      first === undefined ? [der] : end(der) > end(first) ? [der, first, ...more] : [first, ...more, der];
    found.set(anchorOf(der), ders);
  }
  return [...found];
}

function holds(outer: readonly Uint8Array[], inner: readonly Uint8Array[]): boolean {
  const anchors = new Set(outer.map(anchorOf));
  return inner.every((root) => anchors.has(anchorOf(root)));
}

/** Whether what an authority signs is verified by a root. */
function isUnder({ chain, privateKey }: Authority, der: Uint8Array): boolean {
  const root = new X509Certificate(der);
  const last = chain.at(-1);
  if (last === undefined) return createPublicKey(privateKey).equals(root.publicKey);
  const certificate = new X509Certificate(last);
  return certificate.raw.equals(root.raw) || (certificate.checkIssued(root) && certificate.verify(root.publicKey));
}

const nameOf = (der: Uint8Array): string => `root "${new X509Certificate(der).subject.replace(/\n/g, ", ")}"`;
const minuteOf = (time: EpochMs): string => `${new Date(time + 59_999).toISOString().slice(0, 16)}Z`;
