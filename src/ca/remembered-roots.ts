import { MeshError, messageOf } from "../errors.ts";
import type { EpochMs } from "../host.ts";
import { anchorOf, type Ders } from "./root-anchor.ts";

/** What is known of one root from before a process began: waits between roots go on where it left them. */
export interface RememberedRoot {
  readonly ders: Ders;
  /** When it was first published; undefined for one that was there before anything was remembered. */
  readonly since: EpochMs | undefined;
  /** When what is under it last signed, as far as that is over; undefined if it never did. */
  readonly signed: EpochMs | undefined;
  /** True while what is under it signs. */
  readonly signing: boolean;
}

/** Keeps them for the next process. */
export interface RootMemory {
  /** Undefined if nothing is remembered. */
  readonly remembered: readonly RememberedRoot[] | undefined;
  /** Told of all that is to be kept, each time that other roots are trusted or sign. */
  remember(roots: readonly RememberedRoot[]): void;
}

/** The same for what needs no new entry: times are as the first who saw it said. */
export const shapeOf = (roots: readonly RememberedRoot[]): string =>
  JSON.stringify(
    roots
      .map(({ ders, since, signed, signing }) => [
        anchorOf(ders[0]),
        ders.length,
        since === undefined,
        signed === undefined,
        signing,
      ])
      .sort(),
  );

/** What several processes saw, of the roots that `own` has: a root was published when the first published it. */
export function mergedRoots(
  known: readonly RememberedRoot[],
  own: readonly RememberedRoot[],
): readonly RememberedRoot[] {
  const before = new Map(known.map((root) => [anchorOf(root.ders[0]), root]));
  return own.map((root) => {
    const other = before.get(anchorOf(root.ders[0]));
    if (other === undefined) return root;
    const since = root.since === undefined || other.since === undefined ? undefined : Math.min(root.since, other.since);
    const signed = Math.max(root.signed ?? 0, other.signed ?? 0);
    return { ...root, since, signed: signed === 0 ? undefined : signed };
  });
}

/** As JSON, for people, too. */
export function writeRoots(roots: readonly RememberedRoot[]): string {
  const timeOf = (time: EpochMs | undefined): string | undefined =>
    time === undefined ? undefined : new Date(time).toISOString();
  const entries = roots.map(({ ders, since, signed, signing }) => ({
    certificates: ders.map((der) => Buffer.from(der).toString("base64")),
    published_at: timeOf(since),
    last_signed_at: timeOf(signed),
    signs: signing,
  }));
  return `${JSON.stringify({ roots: entries }, undefined, 2)}\n`;
}

/** @throws MeshError `invalid` for what `writeRoots` has not written. */
export function readRoots(text: string): readonly RememberedRoot[] {
  try {
    const { roots } = JSON.parse(text) as { readonly roots: readonly Readonly<Record<string, unknown>>[] };
    return roots.map(({ certificates, published_at, last_signed_at, signs }) => {
      const [first, ...more] = (certificates as readonly string[]).map((base64) => Buffer.from(base64, "base64"));
      const ders: Ders = [first!, ...more];
      for (const der of ders) anchorOf(der);
      return { ders, since: timeIn(published_at), signed: timeIn(last_signed_at), signing: signs === true };
    });
  } catch (thrown) {
    throw new MeshError("invalid", `it does not hold what is remembered of roots: ${messageOf(thrown)}`);
  }
}

function timeIn(value: unknown): EpochMs | undefined {
  if (value === undefined) return undefined;
  const time = Date.parse(String(value));
  if (Number.isNaN(time)) throw new MeshError("invalid", `${JSON.stringify(value)} is no time`);
  return time;
}
