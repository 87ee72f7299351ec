import { MeshError, messageOf } from "../errors.ts";

/** Whole numbers are exact, however large: SPIFFE's sequence numbers have 64 bits. */
export type Json = null | boolean | number | bigint | string | readonly Json[] | JsonObject;
export type JsonObject = ReadonlyMap<string, Json>;

const TOKEN = /"(?:[^"\\]|\\.)*"|[[\]{}:,]|[^\s"[\]{}:,]+/g;
const DEPTH_MAX = 32;

/**
 * Reads JSON of which two readers must not understand two things: an object that has a name twice is refused.
 * @throws MeshError `invalid`, saying what is wrong.
 */
export function parseStrictJson(text: string): Json {
  try {
    JSON.parse(text);
  } catch (thrown) {
    throw new MeshError("invalid", `it is no JSON: ${messageOf(thrown)}`);
  }
  const tokens = text.matchAll(TOKEN);
  const next = (): string => tokens.next().value![0];
  return valueOf(next(), next, 0);
}

/** Of text that is known to be JSON. */
function valueOf(token: string, next: () => string, depth: number): Json {
  if (depth > DEPTH_MAX) throw new MeshError("invalid", `it is nested deeper than ${DEPTH_MAX}`);
  if (token === "{") return objectOf(next, depth + 1);
  if (token === "[") return listOf(next, depth + 1);
  return /^-?[0-9]+$/.test(token) ? BigInt(token) : (JSON.parse(token) as Json);
}

function objectOf(next: () => string, depth: number): JsonObject {
  const fields = new Map<string, Json>();
  for (let token = next(); token !== "}"; token = next()) {
    if (token === ",") continue;
    const name = JSON.parse(token) as string;
    if (fields.has(name)) throw new MeshError("invalid", `it has ${JSON.stringify(name.slice(0, 80))} twice`);
    next();
    fields.set(name, valueOf(next(), next, depth));
  }
  return fields;
}

function listOf(next: () => string, depth: number): readonly Json[] {
  const items: Json[] = [];
  for (let token = next(); token !== "]"; token = next()) if (token !== ",") items.push(valueOf(token, next, depth));
  return items;
}
