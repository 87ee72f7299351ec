import { parseCidr } from "./ip.ts";
import type { PolicyMatch, ServiceAccountMatch, StringMatch } from "./model/policy.ts";

/** Something a policy can look at: read by ztunnel, or `l7` and for waypoints only. */
export type Attribute = L4Attribute | "l7";

export interface L4Attribute {
  /** Undefined if the value means nothing. */
  readonly read: (value: unknown, namespace: string) => unknown;
  /** A match on values that `read` returned. */
  readonly match: (values: readonly unknown[]) => PolicyMatch;
  /** Continues "is <value>, ". */
  readonly expects: string;
}

function attribute<K extends keyof PolicyMatch>(
  key: K,
  read: (value: unknown, namespace: string) => NonNullable<PolicyMatch[K]>[number] | undefined,
  expects: string,
): L4Attribute {
  return { read, match: (values) => ({ [key]: values }), expects };
}

/** `*`, `*x`, `x*` or `x`: a star anywhere else would be taken for a letter, and match nothing. */
function stringMatch(value: unknown): StringMatch | undefined {
  if (typeof value !== "string" || value === "" || value.length > 2048) return undefined;
  if (value === "*") return { kind: "presence" };
  const [kind, text] = value.startsWith("*")
    ? (["suffix", value.slice(1)] as const)
    : value.endsWith("*")
      ? (["prefix", value.slice(0, -1)] as const)
      : (["exact", value] as const);
  return text.includes("*") ? undefined : { kind, value: text };
}

/** ztunnel compares what follows `spiffe://`; with it nothing would ever match (contract ztunnel.md section 7, 12). */
const principal = (value: unknown): StringMatch | undefined =>
  stringMatch(typeof value === "string" ? value.replace(/^spiffe:\/\//, "") : value);

const cidr = (value: unknown) => (typeof value === "string" ? parseCidr(value) : undefined);

function port(value: unknown): number | undefined {
  const number = typeof value === "string" && /^[0-9]{1,5}$/.test(value) ? Number(value) : value;
  return typeof number === "number" && Number.isInteger(number) && number >= 1 && number <= 65_535 ? number : undefined;
}

/** `namespace/name`, or a name in the policy's own namespace. */
function serviceAccount(value: unknown, own: string): ServiceAccountMatch | undefined {
  const [, namespace = own, name] = /^(?:([a-z0-9-]+)\/)?([a-z0-9.-]+)$/.exec(String(value)) ?? [];
  return name === undefined || typeof value !== "string" ? undefined : { namespace, serviceAccount: name };
}

const WILDCARDS = 'which no identity matches; use text with "*" only at one end';
const CIDRS = "neither an IP address nor a CIDR range";
const PORTS = "not a port from 1 to 65535";
const ACCOUNTS = "neither a service account nor <namespace>/<service account>";

const L4 = {
  principals: attribute("principals", principal, WILDCARDS),
  notPrincipals: attribute("notPrincipals", principal, WILDCARDS),
  namespaces: attribute("namespaces", stringMatch, WILDCARDS),
  notNamespaces: attribute("notNamespaces", stringMatch, WILDCARDS),
  sourceIps: attribute("sourceIps", cidr, CIDRS),
  notSourceIps: attribute("notSourceIps", cidr, CIDRS),
  destinationIps: attribute("destinationIps", cidr, CIDRS),
  notDestinationIps: attribute("notDestinationIps", cidr, CIDRS),
  destinationPorts: attribute("destinationPorts", port, PORTS),
  notDestinationPorts: attribute("notDestinationPorts", port, PORTS),
  serviceAccounts: attribute("serviceAccounts", serviceAccount, ACCOUNTS),
  notServiceAccounts: attribute("notServiceAccounts", serviceAccount, ACCOUNTS),
};

const l7 = (...names: readonly string[]): [string, Attribute][] => names.map((name) => [name, "l7"]);

/** Fields of `from[].source`. */
export const SOURCE: ReadonlyMap<string, Attribute> = new Map<string, Attribute>([
  ["principals", L4.principals],
  ["notPrincipals", L4.notPrincipals],
  ["namespaces", L4.namespaces],
  ["notNamespaces", L4.notNamespaces],
  ["ipBlocks", L4.sourceIps],
  ["notIpBlocks", L4.notSourceIps],
  ["serviceAccounts", L4.serviceAccounts],
  ["notServiceAccounts", L4.notServiceAccounts],
  ...l7("requestPrincipals", "notRequestPrincipals", "remoteIpBlocks", "notRemoteIpBlocks"),
]);

/** Fields of `to[].operation`. */
export const OPERATION: ReadonlyMap<string, Attribute> = new Map<string, Attribute>([
  ["ports", L4.destinationPorts],
  ["notPorts", L4.notDestinationPorts],
  ...l7("hosts", "notHosts", "methods", "notMethods", "paths", "notPaths"),
]);

const condition = (values: Attribute, notValues: Attribute): ReadonlyMap<string, Attribute> =>
  new Map([
    ["values", values],
    ["notValues", notValues],
  ]);

/** Keys of `when` that L4 knows; all others need HTTP. */
export const CONDITIONS: ReadonlyMap<string, ReadonlyMap<string, Attribute>> = new Map([
  ["source.ip", condition(L4.sourceIps, L4.notSourceIps)],
  ["source.namespace", condition(L4.namespaces, L4.notNamespaces)],
  ["source.principal", condition(L4.principals, L4.notPrincipals)],
  ["source.serviceAccount", condition(L4.serviceAccounts, L4.notServiceAccounts)],
  ["destination.ip", condition(L4.destinationIps, L4.notDestinationIps)],
  ["destination.port", condition(L4.destinationPorts, L4.notDestinationPorts)],
]);
