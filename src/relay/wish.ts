import { hash } from "node:crypto";
import type { Fingerprint, Order } from "./messages.ts";

export const fingerprintOf = (der: Uint8Array): Fingerprint => hash("sha256", der, "hex");

/** The same for orders that one certificate fits. */
export function wishOf({ trustDomain, signingRoot, intermediate }: Order): string {
  const { organization, commonName, pathLength, lifetimeMs, keyType } = intermediate;
  const shape = [trustDomain, signingRoot, organization, commonName, pathLength, lifetimeMs, keyType];
  return hash("sha256", JSON.stringify(shape), "base64url");
}
