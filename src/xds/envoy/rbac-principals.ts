import type { Cidr, StringMatch } from "../../registry/model/policy.ts";
import type { Matches, RequestPolicy, SourceMatch } from "../../registry/model/proxy-policies.ts";
import { DESTINATION_ADDRESS } from "./filter-state.ts";
import { envoy, wrapped } from "./message.ts";
import { type Clause, type Principal, principals } from "./rbac-clauses.ts";
import type { Needs } from "./rbac-layer.ts";
import { requestPrincipal } from "./request-principals.ts";
import { literal, patternOf, regexMatcher, type StringMatcher } from "./text-matchers.ts";

/** Filter state that `connect_terminate` puts there: the caller as its certificate proves it, and whence it came. */
export const PRINCIPAL_KEY = "io.causeway.principal";
export const SOURCE_KEY = "envoy.filters.listener.original_dst.remote_ip";

/** Who calls. */
export function sourcePrincipal(match: SourceMatch, needs: Needs): Clause<Principal> {
  return principals.every([
    principals.matches(match.principals, (value) => identity(principalPattern(value))),
    principals.matches(match.namespaces, (value) => identity(accountPattern(patternOf(value, "[^/]"), "[^/]+"))),
    principals.matches(match.serviceAccounts, ({ namespace, serviceAccount }) =>
      identity(accountPattern(literal(namespace), literal(serviceAccount))),
    ),
    principals.matches(match.ipBlocks, addressIn(SOURCE_KEY)),
    // No proxy before us is trusted to name another client, so whoever opened the connection is the client.
    principals.matches(match.remoteIpBlocks, addressIn(SOURCE_KEY)),
    needs("http", match.requestPrincipals !== undefined, () =>
      principals.matches(match.requestPrincipals, (value) => requestPrincipal(value)),
    ),
  ]);
}

const identity = (stringMatch: StringMatcher): Principal => ({ filterState: { key: PRINCIPAL_KEY, stringMatch } });

/** `match` is of what follows `spiffe://`, and so is what it may end with. */
function principalPattern(match: StringMatch): StringMatcher {
  switch (match.kind) {
    case "exact":
      return { exact: `spiffe://${match.value}` };
    case "prefix":
      return { prefix: `spiffe://${match.value}` };
    case "suffix":
      return regexMatcher(`spiffe://.*${literal(match.value)}`);
    case "presence":
      return regexMatcher("spiffe://.+");
  }
}

const accountPattern = (namespace: string, account: string): StringMatcher =>
  regexMatcher(`spiffe://[^/]+/ns/${namespace}/sa/${account}`);

/**
 * Which address was called. That is no question of who calls, but Envoy looks at filter state for principals alone. Where
 * a tunnel named a host nobody knows: whoever may name either must not choose what holds, so nothing is allowed by it then,
 * and what denies by it denies.
 */
export function destinationIp(match: Matches<Cidr>, action: RequestPolicy["action"]): Clause<Principal> {
  const within = addressIn(DESTINATION_ADDRESS);
  const known = principals.some(ANY_ADDRESS.map(within));
  const matched = principals.matches(match, within);
  return action === "deny" ? principals.some([principals.not(known), matched]) : principals.every([known, matched]);
}

const ANY_ADDRESS: readonly Cidr[] = ["0.0.0.0", "::"].map((ip) => ({ ip, prefixLength: 0 }));

/**
 * Of the connection as `connect_terminate` saw it. Envoy's own `remote_ip` is what any caller writes into
 * X-Forwarded-For, and its `direct_remote_ip` is not an IP within an internal listener.
 */
function addressIn(key: string): (cidr: Cidr) => Principal {
  const { CidrRange } = envoy.config.core.v3;
  return ({ ip, prefixLength }) => {
    const range = CidrRange.encode({ addressPrefix: ip, prefixLen: wrapped(prefixLength) }).finish();
    // Field 3, `address_match`, is younger than our definitions: an AddressMatcher whose field 1 are such ranges.
    const addressMatch = Uint8Array.of(0x1a, range.length + 2, 0x0a, range.length, ...range);
    return { filterState: { key, $unknowns: [addressMatch] } };
  };
}
