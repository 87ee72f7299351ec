import type { ProxyPolicies, TokenRule } from "../../registry/model/proxy-policies.ts";
import { jwksCluster } from "./jwks-clusters.ts";
import { PAYLOAD_KEY } from "./jwt-claims.ts";
import { anyOf, durationOf, envoy } from "./message.ts";

type HttpFilter = envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter.$Properties;
type Provider = envoy.extensions.filters.http.jwt_authn.v3.JwtProvider.$Properties;

/**
 * Verifies the tokens that requests bring; one without a token passes, as a policy is to say who needs one. All of it is
 * in the filter, and so in the listener, not in routes: keys are there in any case, and what is required must change in
 * the same step as what can be verified.
 */
export function jwtFilters(policies: ProxyPolicies | undefined): HttpFilter[] {
  const providers = Object.fromEntries(
    (policies?.authentication ?? []).flatMap(({ name, rules }) =>
      rules.map((rule, index) => [`${name}[${index}]`, providerOf(rule)] as const),
    ),
  );
  const names = Object.keys(providers);
  if (names.length === 0) return [];
  const requirements = [...names.map((providerName) => ({ providerName })), { allowMissing: {} }];
  const typedConfig = anyOf(envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication, {
    providers,
    rules: [{ match: { prefix: "/" }, requires: { requiresAny: { requirements } } }],
  });
  return [{ name: "jwt", typedConfig }];
}

function providerOf(rule: TokenRule): Provider {
  return {
    issuer: rule.issuer,
    audiences: [...rule.audiences],
    ...keysOf(rule.keys),
    fromHeaders: rule.fromHeaders.map(({ name, prefix }) => ({ name, valuePrefix: prefix })),
    fromParams: [...rule.fromParams],
    fromCookies: [...rule.fromCookies],
    forward: rule.forwardToken,
    forwardPayloadHeader: rule.payloadHeader,
    claimToHeaders: rule.claimHeaders.map(({ header, claim }) => ({ headerName: header, claimName: claim })),
    payloadInMetadata: PAYLOAD_KEY,
    normalizePayloadInMetadata: { spaceDelimitedClaims: [...rule.spaceDelimitedClaims] },
  };
}

function keysOf(keys: TokenRule["keys"]): Pick<Provider, "localJwks" | "remoteJwks"> {
  if (keys.kind === "inline") return { localJwks: { inlineString: keys.jwks } };
  return {
    remoteJwks: {
      httpUri: { uri: keys.url, cluster: jwksCluster(keys.url).name, timeout: durationOf(keys.timeoutMs) },
      cacheDuration: durationOf(keys.refreshMs),
      // Fetched before the first token needs them; a server of keys that is down must not hold up the listener.
      asyncFetch: { fastListener: true },
    },
  };
}
