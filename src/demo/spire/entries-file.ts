import { MeshError } from "../../errors.ts";
import type { SpireEntry } from "../../spire/spire.ts";

/** What an entry must have; the rest is as SPIRE has it by default. */
export type NewEntry = Pick<SpireEntry, "spiffeId" | "parentId" | "selectors"> & Partial<SpireEntry>;

type Kind = "a string" | "a number" | "true or false" | "a list of strings";

/** In the order in which they are written; nothing is stored here. */
const FIELDS: Readonly<Record<keyof Omit<SpireEntry, "storeSvid">, Kind>> = {
  id: "a string",
  spiffeId: "a string",
  parentId: "a string",
  selectors: "a list of strings",
  x509SvidTtlSeconds: "a number",
  federatesWith: "a list of strings",
  admin: "true or false",
  downstream: "true or false",
  expiresAt: "a number",
  dnsNames: "a list of strings",
  hint: "a string",
};
const NEEDED = ["spiffeId", "parentId", "selectors"] as const;

const isA: Readonly<Record<Kind, (value: unknown) => boolean>> = {
  "a string": (value) => typeof value === "string",
  "a number": (value) => typeof value === "number" && Number.isSafeInteger(value),
  "true or false": (value) => typeof value === "boolean",
  "a list of strings": (value) => Array.isArray(value) && value.every((item) => typeof item === "string"),
};

/** What `entries.json` says, as people write it. @throws MeshError `invalid` that names the entry, the field and what is right. */
export function parseEntries(text: string): readonly NewEntry[] {
  const value: unknown = JSON.parse(text);
  const list = isRecord(value) ? value["entries"] : undefined;
  if (!Array.isArray(list)) throw invalid(`it must be {"entries": [...]}`);
  const entries = list.map((entry: unknown, at) => entryOf(entry, at + 1));
  const ids = entries.flatMap(({ id }) => (id === undefined || id === "" ? [] : [id]));
  const twice = ids.find((id, at) => ids.indexOf(id) !== at);
  if (twice !== undefined) throw invalid(`two entries have the id ${twice}`);
  return entries;
}

export const formatEntries = (entries: readonly NewEntry[]): string =>
  `${JSON.stringify({ entries: entries.map(written) }, undefined, 2)}\n`;

/** True if a file would say the same of both. */
export const sameInFile = (one: NewEntry, other: NewEntry): boolean =>
  JSON.stringify(written(one)) === JSON.stringify(written(other));

const invalid = (why: string): MeshError => new MeshError("invalid", why);
const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null;

/** @param number of the entry in the file, for people. */
function entryOf(value: unknown, number: number): NewEntry {
  const refuse = (why: string): MeshError => invalid(`entry ${number}: ${why}`);
  if (!isRecord(value)) throw refuse("it must be an object");
  for (const [field, given] of Object.entries(value)) {
    const kind = (FIELDS as Readonly<Record<string, Kind | undefined>>)[field];
    if (kind === undefined) throw refuse(`there is no field ${field}, but ${Object.keys(FIELDS).join(", ")}`);
    if (!isA[kind](given)) throw refuse(`${field} must be ${kind}`);
  }
  const lacking = NEEDED.find((field) => value[field] === undefined);
  if (lacking !== undefined) throw refuse(`it lacks ${lacking}`);
  return value as unknown as NewEntry;
}

/** Neither what the server counts, nor what is as it is by default. */
function written(entry: NewEntry): Record<string, unknown> {
  const sorted: NewEntry = { ...entry, selectors: [...entry.selectors].sort() };
  const fields = Object.keys(FIELDS) as readonly (keyof SpireEntry)[];
  return Object.fromEntries(
    fields.map((field) => [field, sorted[field]] as const).filter(([, value]) => !usual(value)),
  );
}

const usual = (value: unknown): boolean =>
  value === undefined || value === 0 || value === "" || value === false || (Array.isArray(value) && value.length === 0);
