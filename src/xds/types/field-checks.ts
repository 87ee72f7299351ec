import { MeshError } from "../../errors.ts";
import { printable } from "../../printable.ts";

/** Characters of a name, a label or a reason that a peer may send. */
export const TEXT_MAX = 253;
/** SPIFFE-ID 2.3. */
const SPIFFE_ID_MAX = 2048;
/** As Kubernetes names namespaces and objects: a slash in one would move it in our keys. */
const OBJECT_NAME = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;
const LABEL = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const SPIFFE_ID = /^spiffe:\/\/[a-z0-9._-]{1,255}(\/[a-zA-Z0-9._-]+)+$/;

/** A value that `field` cannot have. Bytes of another come in here, so it is shortened and escaped. */
export const badField = (field: string, value: unknown, why: string): MeshError =>
  new MeshError("invalid", `${field} is ${printable(JSON.stringify(value) ?? "undefined", 120)}; ${why}`);

/** @throws MeshError `invalid` for a text that is too long, or holds characters that are not to be seen. */
export function checkText(text: string, field: string, charactersMax = TEXT_MAX): string {
  if (text.length > charactersMax)
    throw new MeshError("invalid", `${field} has ${text.length} characters; ${charactersMax} is the most`);
  if (/[\p{Cc}\p{Cf}\p{Cs}]/u.test(text)) throw badField(field, text, "control characters are not allowed");
  return text;
}

/** Without a slash: it stands between slashes in keys and names of resources. */
export function checkSegmentOfKey(text: string, field: string): string {
  if (checkText(text, field).includes("/")) throw badField(field, text, "it must not hold a slash");
  return text;
}

/** Of a Service or a Namespace: with a dot in it, it would make a host name that is another service's. */
export function checkLabel(text: string, field: string): string {
  if (!LABEL.test(text)) throw badField(field, text, "it must be a DNS label, as Kubernetes has them");
  return text;
}

export function checkObjectName(text: string, field: string): string {
  if (!OBJECT_NAME.test(text)) throw badField(field, text, "it must be a name as Kubernetes has them");
  return text;
}

export function checkSpiffeId(text: string, field: string): string {
  if (text.length > SPIFFE_ID_MAX)
    throw new MeshError("invalid", `${field} has ${text.length} characters; ${SPIFFE_ID_MAX} is the most`);
  if (!SPIFFE_ID.test(text)) throw badField(field, text, "it must be spiffe://<trust domain>/<path>");
  return text;
}

/** A whole number from `least` to `most`, both included. */
export function checkWhole(value: number, field: string, least: number, most: number): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw badField(field, value, `a whole number from ${least} to ${most} is wanted`);
}

export function checkCount<T>(items: readonly T[], field: string, most: number): readonly T[] {
  if (items.length <= most) return items;
  throw new MeshError("invalid", `${field} has ${items.length} entries; ${most} is the most`);
}

/** Each once, by what `keyOf` says. */
export function checkDistinct<T>(items: readonly T[], field: string, keyOf: (item: T) => string | number): void {
  const seen = new Set<string | number>();
  for (const item of items) {
    const key = keyOf(item);
    if (seen.has(key)) throw badField(field, key, "it is there twice");
    seen.add(key);
  }
}

/** The name of an enum's number, from the table that encodes it. @throws MeshError `invalid` for a number of the future. */
export function nameOf<Name extends string>(table: Readonly<Record<Name, number>>, value: number, field: string): Name {
  for (const name in table) if (table[name] === value) return name;
  throw badField(field, value, `known are ${Object.keys(table).join(", ")}`);
}

/** @throws MeshError `invalid` for bytes that are no message of `what`, or more than `bytesMax`. */
export function decodeBounded<T>(what: string, body: Uint8Array, bytesMax: number, decode: () => T): T {
  if (body.length > bytesMax)
    throw new MeshError("invalid", `${what} has ${body.length} bytes; ${bytesMax} is the most`);
  try {
    return decode();
  } catch (thrown) {
    throw new MeshError("invalid", `the bytes are no ${what}`, {}, { cause: thrown });
  }
}
