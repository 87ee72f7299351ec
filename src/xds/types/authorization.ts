import { istio } from "../../../proto/gen/mesh.js";
import { MeshError } from "../../errors.ts";
import type { Cidr, Policy, PolicyMatch, ServiceAccountMatch, StringMatch } from "../../registry/model/policy.ts";
import { AUTHORIZATION_TYPE, type Resource } from "../resource.ts";
import { toResource } from "../wire.ts";
import { checkPrefixLength, ipField } from "./ip-field.ts";

const wads = istio.security;

const SCOPES = {
  global: wads.Scope.GLOBAL,
  namespace: wads.Scope.NAMESPACE,
  selector: wads.Scope.WORKLOAD_SELECTOR,
} as const;

/**
 * A policy as ztunnel stores it, under the resource name.
 * @throws MeshError `invalid` for what ztunnel would reject, or drop in silence so that the policy meant something
 * else (contract ztunnel.md 3.6 and 6.7), naming the field.
 */
export function encodePolicy(policy: Policy): Resource {
  const message = wads.Authorization.encode({
    name: policy.name,
    namespace: policy.namespace,
    scope: SCOPES[policy.scope],
    action: policy.action === "deny" ? wads.Action.DENY : wads.Action.ALLOW,
    rules: policy.rules.map(({ clauses }, rule) => ({
      clauses: clauses.map(({ matches }, clause) => ({
        matches: matches.map((match, at) => toMatch(match, `rules[${rule}].clauses[${clause}].matches[${at}]`)),
      })),
    })),
    dryRun: policy.dryRun,
  });
  return toResource(AUTHORIZATION_TYPE, policy.key, message.finish());
}

function toMatch(match: PolicyMatch, field: string): istio.security.IMatch {
  // ztunnel lets an empty match match nothing: an ALLOW would close, but a DENY would open (pitfall 13).
  if (Object.values(match).every((values: readonly unknown[] | undefined) => (values?.length ?? 0) === 0))
    throw new MeshError("invalid", `${field} is empty, and an empty match never matches at ztunnel`);
  const cidrs = (values: readonly Cidr[] | undefined, name: string) =>
    (values ?? []).map((cidr, at) => toAddress(cidr, `${field}.${name}[${at}]`));
  return {
    namespaces: toStrings(match.namespaces),
    notNamespaces: toStrings(match.notNamespaces),
    principals: toStrings(match.principals),
    notPrincipals: toStrings(match.notPrincipals),
    sourceIps: cidrs(match.sourceIps, "sourceIps"),
    notSourceIps: cidrs(match.notSourceIps, "notSourceIps"),
    destinationIps: cidrs(match.destinationIps, "destinationIps"),
    notDestinationIps: cidrs(match.notDestinationIps, "notDestinationIps"),
    destinationPorts: [...(match.destinationPorts ?? [])],
    notDestinationPorts: [...(match.notDestinationPorts ?? [])],
    serviceAccounts: toServiceAccounts(match.serviceAccounts),
    notServiceAccounts: toServiceAccounts(match.notServiceAccounts),
  };
}

function toStrings(matches: readonly StringMatch[] = []): istio.security.IStringMatch[] {
  return matches.map((match) => (match.kind === "presence" ? { presence: {} } : { [match.kind]: match.value }));
}

function toServiceAccounts(matches: readonly ServiceAccountMatch[] = []): istio.security.IServiceAccountMatch[] {
  return matches.map(({ namespace, serviceAccount }) => ({ namespace, serviceAccount }));
}

function toAddress({ ip, prefixLength }: Cidr, field: string): istio.security.IAddress {
  const address = ipField(ip, field);
  return { address, length: checkPrefixLength(prefixLength, address, field) };
}
