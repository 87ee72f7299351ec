import type { ObjectKey, ServiceName } from "../../names.ts";
import type { Cidr, StringMatch } from "./policy.ts";

/**
 * Who may do what with one service at one waypoint; key is `proxyKey(gateway, service)`. A service without any has no
 * value. Policies that name the Gateway or its class are in the value of every service.
 */
export interface ProxyPolicies {
  readonly gateway: ObjectKey;
  readonly service: ServiceName;
  /** Denying ones first, then by name. One that denies and matches decides; then, if any allows, one must match. */
  readonly authorization: readonly RequestPolicy[];
  readonly authentication: readonly TokenPolicy[];
}

/** An AuthorizationPolicy as a waypoint enforces it. */
export interface RequestPolicy {
  /** As `shop/read-only`. */
  readonly name: string;
  readonly action: "allow" | "deny";
  /** Logged, not enforced. */
  readonly dryRun: boolean;
  /** Any that matches, matches; without rules nothing does. */
  readonly rules: readonly RequestRule[];
}

/** Matches if each of the three does; one that is empty matches anything. */
export interface RequestRule {
  /** Any of them. */
  readonly from: readonly SourceMatch[];
  /** Any of them. */
  readonly to: readonly OperationMatch[];
  /** All of them. */
  readonly when: readonly Condition[];
}

/** Any of `values`, and none of `notValues`. Empty `values` match anything; never are both empty. */
export interface Matches<V> {
  readonly values: readonly V[];
  readonly notValues: readonly V[];
}

/** All that is present must match; never is it empty. */
export interface SourceMatch {
  /** Identities without `spiffe://`. */
  readonly principals?: Matches<StringMatch>;
  /** `<issuer>/<subject>` of a token. */
  readonly requestPrincipals?: Matches<StringMatch>;
  /** Of the caller's identity. */
  readonly namespaces?: Matches<StringMatch>;
  readonly serviceAccounts?: Matches<{ readonly namespace: string; readonly serviceAccount: string }>;
  /** Of the connection. */
  readonly ipBlocks?: Matches<Cidr>;
  /** Of the client, as trusted proxies say; the connection's without. */
  readonly remoteIpBlocks?: Matches<Cidr>;
}

/** Likewise. */
export interface OperationMatch {
  /** Lower case, compared without regard to case. One without a port matches with any, and with none. */
  readonly hosts?: Matches<StringMatch>;
  /** Of the service. */
  readonly ports?: Matches<number>;
  readonly methods?: Matches<StringMatch>;
  /** May be templates with `{*}` for one segment and `{**}` for any, as kind `template`. */
  readonly paths?: Matches<StringMatch | PathTemplate>;
}

export interface PathTemplate {
  readonly kind: "template";
  readonly value: string;
}

/** A `when`: one attribute and its values. */
export type Condition =
  | { readonly on: "source"; readonly match: SourceMatch }
  | { readonly on: "operation"; readonly match: OperationMatch }
  /** `name` is lower case. */
  | { readonly on: "header"; readonly name: string; readonly match: Matches<StringMatch> }
  /** Of a token's payload; `path` as `["groups"]` or `["nested", "key"]`, `iss`, `sub`, `aud`, `azp` among them. */
  | { readonly on: "claim"; readonly path: readonly string[]; readonly match: Matches<StringMatch> }
  | { readonly on: "destinationIp"; readonly match: Matches<Cidr> }
  /** The server name that the caller asked for in TLS. */
  | { readonly on: "serverName"; readonly match: Matches<StringMatch> };

/**
 * A RequestAuthentication: tokens of these issuers are checked; a request without any passes, and one with a token that
 * no rule takes does not. Of several rules for one issuer, in one policy or more, each that takes the token will do.
 */
export interface TokenPolicy {
  /** As `shop/tokens`. */
  readonly name: string;
  readonly rules: readonly TokenRule[];
}

export interface TokenRule {
  readonly issuer: string;
  /** Any of them must be in `aud`; empty takes all. */
  readonly audiences: readonly string[];
  readonly keys:
    /** At least one key that Envoy takes; one that nobody has the secret of if the rule could not be used as it is written. */
    | { readonly kind: "inline"; readonly jwks: string }
    /** `https` or `http`; fetched by the proxy, and again after `refreshMs`. */
    | { readonly kind: "url"; readonly url: string; readonly timeoutMs: number; readonly refreshMs: number };
  /** Where tokens are looked for; empty for `Authorization: Bearer` and the query parameter `access_token`. */
  readonly fromHeaders: readonly { readonly name: string; readonly prefix: string }[];
  readonly fromParams: readonly string[];
  readonly fromCookies: readonly string[];
  /** The token goes on with the request. */
  readonly forwardToken: boolean;
  /** The header that gets the payload in base64url; empty for none. */
  readonly payloadHeader: string;
  readonly claimHeaders: readonly { readonly header: string; readonly claim: string }[];
  /** Claims whose text is a list with spaces between. */
  readonly spaceDelimitedClaims: readonly string[];
}
