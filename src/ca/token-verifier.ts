import { hash, type KeyObject } from "node:crypto";
import { jwtVerify, type JWTPayload } from "jose";
import { LRUCache } from "lru-cache";
import type { Authenticator, Caller, Credentials } from "../caller.ts";
import { MeshError, messageOf } from "../errors.ts";
import type { Host } from "../host.ts";
import type { ClusterId } from "../names.ts";
import type { LivePods } from "./authorize.ts";
import { AUDIENCE, issuerName } from "./token-issuer.ts";

/** A Kubernetes token has 1 to 2 kB. */
const TOKEN_CHARACTERS_MAX = 16 * 1024;
/** Verified tokens that are remembered: two for each node of the largest mesh. */
const REMEMBERED_MAX = 10_000;
/** RFC 1123, as Kubernetes names are; nothing else may reach an identity. */
const NAME = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;

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
    this.#checkPod(caller);
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
    const [system, kind, namespace = "", serviceAccount = "", ...rest] = sub.split(":");
    const named = system === "system" && kind === "serviceaccount" && rest.length === 0;
    if (!named || !NAME.test(namespace) || namespace.includes(".") || !NAME.test(serviceAccount))
      throw new MeshError("unauthenticated", "the token is not of a service account");
    return {
      identity: { trustDomain: this.#options.trustDomain, namespace, serviceAccount },
      cluster: this.#options.cluster,
      via: "token",
      pod: boundPod(claims["kubernetes.io"]),
      expiresAt: exp * 1000,
    };
  }

  #checkPod({ identity, pod }: Caller): void {
    if (pod === undefined) return;
    const { cluster, pods } = this.#options;
    const live = pods.find(cluster, identity.namespace, pod.name, pod.uid);
    if (live?.serviceAccount === identity.serviceAccount) return;
    throw new MeshError(
      "unauthenticated",
      `the token is bound to pod ${identity.namespace}/${pod.name}, which is not live`,
    );
  }
}

/** @throws MeshError `unauthenticated` if there is none. */
function bearerToken(authorization: string | undefined): string {
  const [, token] = /^Bearer ([\x21-\x7e]+)$/.exec(authorization ?? "") ?? [];
  if (token === undefined) throw new MeshError("unauthenticated", "the request carries no bearer token");
  if (token.length <= TOKEN_CHARACTERS_MAX) return token;
  throw new MeshError("unauthenticated", `the token has over ${TOKEN_CHARACTERS_MAX} characters`);
}

function boundPod(claim: unknown): Caller["pod"] {
  if (claim === null || typeof claim !== "object" || !("pod" in claim)) return undefined;
  const { pod } = claim;
  if (pod !== null && typeof pod === "object" && "name" in pod && "uid" in pod)
    if (typeof pod.name === "string" && typeof pod.uid === "string") return { name: pod.name, uid: pod.uid };
  throw new MeshError("unauthenticated", "the token's binding to a pod cannot be read");
}
