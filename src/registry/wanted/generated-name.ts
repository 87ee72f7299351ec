import { createHash } from "node:crypto";

const NAME_MAX = 253;
const DIGITS = 12;

/**
 * The name of a generated object (contract peering.md 2.5). Clusters can be called what no object can: what had to be
 * changed for that, or is too long, ends in digits that tell it apart.
 */
export function generatedName(...parts: readonly string[]): string {
  const told = parts.join(".");
  const name = told.toLowerCase().replaceAll(/[^a-z0-9.-]/g, "-");
  if (name === told && name.length <= NAME_MAX) return name;
  const digits = createHash("sha256").update(told).digest("hex").slice(0, DIGITS);
  return `${name.slice(0, NAME_MAX - DIGITS - 1)}-${digits}`;
}
