import { hash, type KeyObject } from "node:crypto";
import { jwtVerify, type JWTPayload } from "jose";
import { LRUCache } from "lru-cache";
import type { Authenticator, Caller, Credentials } from "../caller.ts";
import { MeshError, messageOf } from "../errors.ts";
import type { Host } from "../host.ts";
import type { ClusterId } from "../names.ts";
import type { LivePods } from "./authorize.ts";
import { bearerToken } from "./bearer-token.ts";
import { accountOf, boundPod, requireLivePod } from "./token-holder.ts";
import { AUDIENCE, issuerName } from "./token-issuer.ts";

/** Verified tokens that are remembered: two for each node of the largest mesh. */
const REMEMBERED_MAX = 10_000;

export interface TokenVerifierOptions {
  readonly cluster: ClusterId;
  readonly trustDomain: string;
  readonly publicKey: KeyObject;
  readonly pods: LivePods;
}

/** Verifies the tokens of an embedded cluster. Whether the pod still lives is asked each time, whatever is remembered. */
export class TokenVerifier implements Authenticator {
  readonly #host: Host;
  readonly #options: TokenVerifierOptions;
  readonly #verified = new LRUCache<string, Caller>({ max: REMEMBERED_MAX });

  constructor(host: Host, options: TokenVerifierOptions) {
    this.#host = host;
    this.#options = options;
  }

  async authenticate({ authorization }: Credentials): Promise<Caller> {
    const token = bearerToken(authorization);
    const digest = hash("sha256", token, "base64url");
    const known = this.#verified.get(digest);
    const caller = known !== undefined && known.expiresAt > this.#host.clock.now() ? known : await this.#verify(token);
    requireLivePod(caller, this.#options.pods);
    this.#verified.set(digest, caller);
    return caller;
  }

  async #verify(token: string): Promise<Caller> {
    const { cluster, publicKey } = this.#options;
    try {
      const { payload } = await jwtVerify(token, publicKey, {
        algorithms: ["ES256"],
        audience: AUDIENCE,
        issuer: issuerName(cluster),
        requiredClaims: ["exp", "sub", "aud"],
        currentDate: new Date(this.#host.clock.now()),
      });
      return this.#toCaller(payload);
    } catch (thrown) {
      if (thrown instanceof MeshError) throw thrown;
      const message = `the token is not one that cluster ${cluster} accepts: ${messageOf(thrown)}`;
      throw new MeshError("unauthenticated", message, {}, { cause: thrown });
    }
  }

  #toCaller({ sub = "", exp = 0, ...claims }: JWTPayload): Caller {
    return {
      identity: { trustDomain: this.#options.trustDomain, ...accountOf(sub) },
      cluster: this.#options.cluster,
      via: "token",
      pod: boundPod(claims["kubernetes.io"]),
      expiresAt: exp * 1000,
    };
  }
}
