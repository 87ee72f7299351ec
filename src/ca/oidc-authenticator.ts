import { jwtVerify, type JWTPayload } from "jose";
import type { Authenticator, Caller, Credentials } from "../caller.ts";
import { MeshError, messageOf } from "../errors.ts";
import type { Host } from "../host.ts";
import type { JwtRule } from "../jwt-rule.ts";
import type { ClusterId } from "../names.ts";
import { bearerToken, unprovenClaims } from "./bearer-token.ts";
import { httpsGet, type HttpsGet } from "./https-get.ts";
import { IssuerKeys } from "./issuer-keys.ts";
import { accountOf, boundPod } from "./token-holder.ts";

/** Nothing symmetric, and not "none": whoever can verify that, can sign it. */
const ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"];

export interface OidcOptions {
  readonly trustDomain: string;
  /** What such callers count to: no other cluster vouches for them. */
  readonly localCluster: ClusterId;
  readonly get?: HttpsGet;
}

/**
 * Tokens of issuers outside of Kubernetes, as for machines. Who has one gets the identity of the service account that `sub`
 * names, and no other: no pod stands behind it, so it impersonates nobody (contract ztunnel.md 1.3 and 4.4).
 */
export class OidcAuthenticators {
  readonly #host: Host;
  readonly #options: OidcOptions;
  readonly #get: HttpsGet;
  #issuers: ReadonlyMap<string, Issuer> = new Map();

  constructor(host: Host, options: OidcOptions) {
    this.#host = host;
    this.#options = options;
    this.#get = options.get ?? httpsGet(host.clock);
  }

  /** From now on; of two rules for one issuer the first counts. An issuer whose rule is the same keeps its keys. */
  setRules(rules: readonly JwtRule[]): void {
    const issuers = new Map<string, Issuer>();
    for (const rule of rules) {
      if (issuers.has(rule.issuer)) continue;
      const known = this.#issuers.get(rule.issuer);
      const same = known !== undefined && JSON.stringify(known.rule) === JSON.stringify(rule);
      issuers.set(rule.issuer, same ? known : new Issuer(this.#host, rule, this.#options, this.#get));
    }
    this.#issuers = issuers;
  }

  /**
   * Who verifies a token; undefined for one of no issuer that is named here. A token that is bound to a pod is for the
   * API server of its cluster to verify, whoever issued it: nobody else knows whether the pod lives.
   * @throws MeshError `unauthenticated` for what is no token.
   */
  for({ authorization }: Pick<Credentials, "authorization">): Authenticator | undefined {
    if (this.#issuers.size === 0) return undefined;
    const claims = unprovenClaims(bearerToken(authorization));
    const issuer = this.#issuers.get(String(claims["iss"]));
    return issuer !== undefined && boundPod(claims["kubernetes.io"]) === undefined ? issuer : undefined;
  }
}

class Issuer implements Authenticator {
  readonly rule: JwtRule;
  readonly #host: Host;
  readonly #options: OidcOptions;
  readonly #keys: IssuerKeys;

  constructor(host: Host, rule: JwtRule, options: OidcOptions, get: HttpsGet) {
    this.rule = rule;
    this.#host = host;
    this.#options = options;
    this.#keys = new IssuerKeys(host, rule, get);
  }

  async authenticate({ authorization }: Credentials): Promise<Caller> {
    const { issuer, audiences } = this.rule;
    try {
      const { payload } = await jwtVerify(bearerToken(authorization), this.#keys.find, {
        algorithms: ALGORITHMS,
        audience: [...audiences],
        issuer,
        requiredClaims: ["exp", "sub", "aud"],
        currentDate: new Date(this.#host.clock.now()),
      });
      return this.#toCaller(payload);
    } catch (thrown) {
      if (thrown instanceof MeshError) throw thrown;
      const message = `the token is not one of issuer ${issuer} that is good here: ${messageOf(thrown)}`;
      throw new MeshError("unauthenticated", message, {}, { cause: thrown });
    }
  }

  #toCaller({ sub = "", exp = 0 }: JWTPayload): Caller {
    const { trustDomain, localCluster: cluster } = this.#options;
    const identity = { trustDomain, ...accountOf(sub) };
    return { identity, cluster, via: "token", pod: undefined, expiresAt: exp * 1000 };
  }
}
