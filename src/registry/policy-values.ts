import { parseCidr } from "./ip.ts";
import type { Cidr, ServiceAccountMatch, StringMatch } from "./model/policy.ts";

// What stands in the lists of a policy's rules. Each reader gives undefined for a value that means nothing.

/** `*`, `*x`, `x*` or `x`: a star anywhere else would be taken for a letter, and match nothing. */
export function stringMatch(value: unknown): StringMatch | undefined {
  if (typeof value !== "string" || value === "" || value.length > 2048) return undefined;
  if (value === "*") return { kind: "presence" };
  const [kind, text] = value.startsWith("*")
    ? (["suffix", value.slice(1)] as const)
    : value.endsWith("*")
      ? (["prefix", value.slice(0, -1)] as const)
      : (["exact", value] as const);
  return text.includes("*") ? undefined : { kind, value: text };
}

/** Compared is what follows `spiffe://`; with it nothing would ever match (contract ztunnel.md section 7, 12). */
export const principal = (value: unknown): StringMatch | undefined =>
  stringMatch(typeof value === "string" ? value.replace(/^spiffe:\/\//, "") : value);

export const cidr = (value: unknown): Cidr | undefined => (typeof value === "string" ? parseCidr(value) : undefined);

export function port(value: unknown): number | undefined {
  const number = typeof value === "string" && /^[0-9]{1,5}$/.test(value) ? Number(value) : value;
  return typeof number === "number" && Number.isInteger(number) && number >= 1 && number <= 65_535 ? number : undefined;
}

/** `namespace/name`, or a name in the policy's own namespace. */
export function serviceAccount(value: unknown, own: string): ServiceAccountMatch | undefined {
  const [, namespace = own, name] = /^(?:([a-z0-9-]+)\/)?([a-z0-9.-]+)$/.exec(String(value)) ?? [];
  return name === undefined || typeof value !== "string" ? undefined : { namespace, serviceAccount: name };
}

export const EXPECTS = {
  wildcards: 'which no identity matches; use text with "*" only at one end',
  cidrs: "neither an IP address nor a CIDR range",
  ports: "not a port from 1 to 65535",
  accounts: "neither a service account nor <namespace>/<service account>",
};
