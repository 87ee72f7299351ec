import { generateKeyPair, type KeyObject } from "node:crypto";
import { promisify } from "node:util";

/** Keys that an authority of ours may have, the usual one first. */
export const KEY_TYPES = ["ec-p256", "ec-p384", "rsa-2048", "rsa-3072", "rsa-4096"] as const;
export type KeyType = (typeof KEY_TYPES)[number];

export const isKeyType = (text: string): text is KeyType => (KEY_TYPES as readonly string[]).includes(text);

const CURVES: Readonly<Record<string, string>> = { prime256v1: "ec-p256", secp384r1: "ec-p384" };

/** A new private key, and its public half. */
export async function makeKeyPair(
  type: KeyType,
): Promise<{ readonly publicKey: KeyObject; readonly privateKey: KeyObject }> {
  const [kind, size] = type.split("-") as [string, string];
  if (kind === "rsa") return promisify(generateKeyPair)("rsa", { modulusLength: Number(size) });
  return promisify(generateKeyPair)("ec", { namedCurve: size === "p384" ? "P-384" : "P-256" });
}

/** One of `KEY_TYPES`, or what else it is, as `rsa-1024` or `ed25519`. */
export function keyTypeOf({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): string {
  if (asymmetricKeyType === "rsa") return `rsa-${asymmetricKeyDetails?.modulusLength ?? 0}`;
  const curve = asymmetricKeyDetails?.namedCurve;
  return curve === undefined ? (asymmetricKeyType ?? "unknown") : (CURVES[curve] ?? `ec-${curve}`);
}
