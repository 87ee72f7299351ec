import type { ObjectKey, ServiceName } from "../../names.ts";
import { byCodeUnit, type Collection } from "../collection/collection.ts";
import { derive } from "../collection/derive.ts";
import type { Graph } from "../collection/graph.ts";
import { Index } from "../collection/index-by.ts";
import type { Objects } from "../kube/objects.ts";
import type { ProxyPolicies, RequestPolicy, TokenPolicy } from "../model/proxy-policies.ts";
import { bindingsAt, type BoundPolicy } from "./policy-bindings.ts";
import type { RegistryOptions } from "../options.ts";
import { requestPolicies } from "./request-policies.ts";
import { tokenPolicies } from "./token-policies.ts";

/** What the registry makes of policies that are for waypoints. */
export interface PolicyInputs {
  readonly authorization: Collection<ObjectKey, BoundPolicy<RequestPolicy>>;
  readonly authentication: Collection<ObjectKey, BoundPolicy<TokenPolicy>>;
  /** Which object has each service's name, as `Service east/shop/cart`. */
  readonly owners: Collection<ServiceName, string>;
}

export function policyInputs(
  graph: Graph,
  objects: Objects,
  owners: PolicyInputs["owners"],
  options: RegistryOptions,
): PolicyInputs {
  return {
    authorization: requestPolicies(graph, objects, options),
    authentication: tokenPolicies(graph, objects, options),
    owners,
  };
}

/** One service at one waypoint, of all that `ProxyService` says of it. */
export interface ServedService {
  readonly gateway: ObjectKey;
  readonly service: ServiceName;
  readonly ports: readonly unknown[];
}

/** Each port has all policies of its service: a few objects could be more than we, or any proxy, can hold. */
const BYTES_MAX = 64 * 1024 * 1024;

/** What holds in place of more than that. */
export const TOO_MUCH: RequestPolicy = {
  name: "too-much-for-all-ports",
  action: "deny",
  dryRun: false,
  rules: [{ from: [], to: [], when: [] }],
};

/** Who may do what with each of `services`; the keys are theirs. Before the graph's first flush. */
export function proxyPolicies(
  graph: Graph,
  { gateways }: Pick<Objects, "gateways">,
  services: Collection<string, ServedService>,
  { authorization, authentication, owners }: PolicyInputs,
): Collection<string, ProxyPolicies> {
  const bindings = ({ bindings }: { readonly bindings: readonly string[] }): readonly string[] => bindings;
  return derive(graph, {
    name: "proxy-policies",
    from: services,
    reads: {
      authorization: new Index(graph, authorization, "binding", bindings),
      authentication: new Index(graph, authentication, "binding", bindings),
      owners,
      gateways,
    },
    distinct: true,
    to: ({ gateway, service, ports }, reads, key): readonly (readonly [string, ProxyPolicies])[] => {
      const className = reads.gateways.get(gateway)?.className;
      const all = bindingsAt(gateway, service, reads.owners.get(service), className);
      const requests = distinct(all.flatMap((each) => reads.authorization.get(each)));
      const tokens = distinct(all.flatMap((each) => reads.authentication.get(each)));
      if (requests.length + tokens.length === 0) return [];
      const bytes = [...requests, ...tokens].reduce((sum, policy) => sum + bytesOf(policy), 0);
      if (bytes * ports.length > BYTES_MAX)
        return [[key, { gateway, service, authorization: [TOO_MUCH], authentication: [] }]];
      const value = {
        gateway,
        service,
        authorization: requests.sort(denyingFirst),
        authentication: tokens.sort(byName),
      };
      return [[key, value]];
    },
  });
}

const sizes = new WeakMap<object, number>();

/** About as many as its encoding has. */
function bytesOf(policy: RequestPolicy | TokenPolicy): number {
  let bytes = sizes.get(policy);
  if (bytes === undefined) sizes.set(policy, (bytes = JSON.stringify(policy).length));
  return bytes;
}

/** One policy may name several of what leads to a service. */
function distinct<P extends RequestPolicy | TokenPolicy>(found: readonly { readonly policy: P | undefined }[]): P[] {
  return [...new Set(found.flatMap(({ policy }) => policy ?? []))];
}

const byName = (a: { readonly name: string }, b: { readonly name: string }): number => byCodeUnit(a.name, b.name);
const denyingFirst = (a: RequestPolicy, b: RequestPolicy): number =>
  Number(a.action === "allow") - Number(b.action === "allow") || byName(a, b);
