import { createHash } from "node:crypto";
import type { ClusterId } from "../../names.ts";

/**
 * The uid of an object in an embedded cluster: a UUID that follows from what the object is called, so that it outlives
 * restarts and a token bound to a pod can be made without asking the cluster. A manifest that states a uid keeps it.
 */
export function objectUid(cluster: ClusterId, kind: string, namespace: string, name: string): string {
  const bytes = digest(`${cluster}/${kind}/${namespace}/${name}`);
  // RFC 9562 5.8: version 8 is a UUID by a rule of one's own.
  bytes[6] = (bytes[6]! & 0x0f) | 0x80;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return bytes.toString("hex", 0, 16).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** No vowels, so that no suffix is a word. */
const SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789";

/** `length` characters (at most 32) fit for the end of an object's name; the same for the same text. */
export function nameSuffix(text: string, length: number): string {
  return [...digest(text).subarray(0, length)].map((byte) => SUFFIX_ALPHABET[byte % SUFFIX_ALPHABET.length]).join("");
}

/** A number in [0, 2^32) that is the same for the same text, and even over all texts. */
export function hashNumber(text: string): number {
  return digest(text).readUInt32BE(0);
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
