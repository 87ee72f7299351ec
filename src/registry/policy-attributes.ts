import type { PolicyMatch } from "./model/policy.ts";
import type { Attribute, ReadableAttribute, Vocabulary } from "./policy-rules.ts";
import { cidr, EXPECTS, port, principal, serviceAccount, stringMatch } from "./policy-values.ts";

function attribute<K extends keyof PolicyMatch>(
  key: K,
  read: (value: unknown, namespace: string) => NonNullable<PolicyMatch[K]>[number] | undefined,
  expects: string,
): ReadableAttribute<PolicyMatch> {
  return { read, match: (values) => ({ [key]: values }), expects };
}

const { wildcards: WILDCARDS, cidrs: CIDRS, ports: PORTS, accounts: ACCOUNTS } = EXPECTS;

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

type L4Attribute = Attribute<PolicyMatch>;
const l7 = (...names: readonly string[]): [string, L4Attribute][] => names.map((name) => [name, "l7"]);

/** Fields of `from[].source`. */
const SOURCE: ReadonlyMap<string, L4Attribute> = new Map<string, L4Attribute>([
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
const OPERATION: ReadonlyMap<string, L4Attribute> = new Map<string, L4Attribute>([
  ["ports", L4.destinationPorts],
  ["notPorts", L4.notDestinationPorts],
  ...l7("hosts", "notHosts", "methods", "notMethods", "paths", "notPaths"),
]);

type Readable = ReadableAttribute<PolicyMatch>;
const condition = (values: Readable, notValues: Readable): ReadonlyMap<string, Readable> =>
  new Map([
    ["values", values],
    ["notValues", notValues],
  ]);

const CONDITIONS: ReadonlyMap<string, ReadonlyMap<string, Readable>> = new Map([
  ["source.ip", condition(L4.sourceIps, L4.notSourceIps)],
  ["source.namespace", condition(L4.namespaces, L4.notNamespaces)],
  ["source.principal", condition(L4.principals, L4.notPrincipals)],
  ["source.serviceAccount", condition(L4.serviceAccounts, L4.notServiceAccounts)],
  ["destination.ip", condition(L4.destinationIps, L4.notDestinationIps)],
  ["destination.port", condition(L4.destinationPorts, L4.notDestinationPorts)],
]);

/** What ztunnel can look at; all other keys of `when` need HTTP. */
export const L4_VOCABULARY: Vocabulary<PolicyMatch> = {
  source: SOURCE,
  operation: OPERATION,
  condition: (key) => CONDITIONS.get(key) ?? "l7",
};
