import { MeshError, messageOf } from "../../errors.ts";
import { anchorOf, type Ders } from "../../ca/root-anchor.ts";
import type { MomentMemory } from "./moment.ts";

/** The certificates of one root in base64 of DER, the one that ends last first. */
export type RootMemory = readonly [string, ...string[]];

/** What the next process needs of a `RootRotation`; nothing in it is secret. */
export interface RotationMemory {
  readonly version: 1;
  /** By their certificates: under which clusters are to sign, and under which they did while a change is under way. */
  readonly goal: RootMemory | null;
  readonly former: RootMemory | null;
  readonly opened: boolean;
  readonly mesh: readonly RootMemory[];
  readonly wanted: readonly RootMemory[];
  readonly dropped: readonly RootMemory[];
  readonly clusters: readonly ClusterMemory[];
}

export interface ClusterMemory {
  readonly name: string;
  readonly heard: MomentMemory;
  /** Whether it ever signed, as far as it said; null before it said anything. */
  readonly signedEver: boolean | null;
  /** How a root is named is `anchorOf`'s business. */
  readonly signing: string | null;
  readonly signingSha: string | null;
  readonly trusts: readonly (readonly [string, MomentMemory])[];
  readonly signed: readonly (readonly [string, MomentMemory])[];
  readonly given: readonly GivenMemory[];
  readonly own: readonly RootMemory[];
  readonly waitMs: number;
  readonly lowered: { readonly toMs: number; readonly at: MomentMemory } | null;
}

/** An intermediate that was handed out and that no report has shown yet. */
export interface GivenMemory {
  readonly anchor: string;
  readonly sha256: string;
  readonly notAfter: number;
}

export const rootMemoryOf = (ders: Ders): RootMemory =>
  ders.map((der) => Buffer.from(der).toString("base64")) as unknown as RootMemory;

export const dersOf = (memory: RootMemory): Ders =>
  memory.map((text) => Uint8Array.from(Buffer.from(text, "base64"))) as unknown as Ders;

/**
 * What `RootRotation.remembered` gave, from JSON.
 * @throws MeshError `invalid`: whoever read it must not go on without, as waits would be forgotten.
 */
export function rotationMemoryOf(text: string): RotationMemory {
  try {
    return memoryIn(JSON.parse(text));
  } catch (thrown) {
    const why = `it does not hold what is remembered of the roots of clusters: ${messageOf(thrown)}`;
    throw new MeshError("invalid", why, {}, { cause: thrown });
  }
}

type Fields = Readonly<Record<string, unknown>>;

function memoryIn(value: unknown): RotationMemory {
  const fields = fieldsIn(value, "it");
  if (fields["version"] !== 1) throw new Error(`version is ${JSON.stringify(fields["version"])}, not 1`);
  return {
    version: 1,
    goal: orNull(fields["goal"], rootIn),
    former: orNull(fields["former"], rootIn),
    opened: truthIn(fields["opened"], "opened"),
    mesh: listIn(fields["mesh"], "mesh", rootIn),
    wanted: listIn(fields["wanted"], "wanted", rootIn),
    dropped: listIn(fields["dropped"], "dropped", rootIn),
    clusters: listIn(fields["clusters"], "clusters", clusterIn),
  };
}

function clusterIn(value: unknown): ClusterMemory {
  const fields = fieldsIn(value, "a cluster");
  return {
    name: textIn(fields["name"], "name"),
    heard: momentIn(fields["heard"]),
    signedEver: orNull(fields["signedEver"], (ever) => truthIn(ever, "signedEver")),
    signing: orNull(fields["signing"], (anchor) => textIn(anchor, "signing")),
    signingSha: orNull(fields["signingSha"], (sha) => textIn(sha, "signingSha")),
    trusts: listIn(fields["trusts"], "trusts", namedMomentIn),
    signed: listIn(fields["signed"], "signed", namedMomentIn),
    given: listIn(fields["given"], "given", givenIn),
    own: listIn(fields["own"], "own", rootIn),
    waitMs: numberIn(fields["waitMs"], "waitMs"),
    lowered: orNull(fields["lowered"], (lowered) => {
      const { toMs, at } = fieldsIn(lowered, "lowered");
      return { toMs: numberIn(toMs, "toMs"), at: momentIn(at) };
    }),
  };
}

function givenIn(value: unknown): GivenMemory {
  const { anchor, sha256, notAfter } = fieldsIn(value, "what was given");
  return {
    anchor: textIn(anchor, "anchor"),
    sha256: textIn(sha256, "sha256"),
    notAfter: numberIn(notAfter, "notAfter"),
  };
}

function namedMomentIn(value: unknown): readonly [string, MomentMemory] {
  if (!Array.isArray(value) || value.length !== 2) throw new Error("a moment has no name");
  return [textIn(value[0], "name"), momentIn(value[1])];
}

function momentIn(value: unknown): MomentMemory {
  return orNull(value, (moment) => {
    const { ours, theirs, passedMs } = fieldsIn(moment, "a moment");
    return {
      ours: numberIn(ours, "ours"),
      theirs: numberIn(theirs, "theirs"),
      // What was yet to come has not passed.
      passedMs: Math.max(0, numberIn(passedMs, "passedMs")),
    };
  });
}

function rootIn(value: unknown): RootMemory {
  const texts = listIn(value, "a root", (text) => textIn(text, "certificate"));
  if (texts.length === 0) throw new Error("a root has no certificate");
  const memory = texts as unknown as RootMemory;
  for (const der of dersOf(memory)) anchorOf(der);
  return memory;
}

function fieldsIn(value: unknown, what: string): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Error(`${what} is no object`);
  return value as Fields;
}

function listIn<T>(value: unknown, what: string, read: (value: unknown) => T): readonly T[] {
  if (!Array.isArray(value)) throw new Error(`${what} is no list`);
  return value.map(read);
}

const orNull = <T>(value: unknown, read: (value: unknown) => T): T | null => (value === null ? null : read(value));

function textIn(value: unknown, what: string): string {
  if (typeof value !== "string") throw new Error(`${what} is no text`);
  return value;
}

function numberIn(value: unknown, what: string): number {
  if (typeof value !== "number" || !Number.isFinite(value)) throw new Error(`${what} is no number`);
  return value;
}

function truthIn(value: unknown, what: string): boolean {
  if (typeof value !== "boolean") throw new Error(`${what} is neither true nor false`);
  return value;
}
