import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { readFile } from "node:fs/promises";
import { SignJWT } from "jose";
import { MeshError, messageOf } from "../errors.ts";
import type { Host } from "../host.ts";
import type { ClusterId } from "../names.ts";
import { writeFirst } from "../whole-file.ts";

/** The audience that ztunnel's tokens have (contract ztunnel.md 1.6). */
export const AUDIENCE = "istio-ca";
/** As a kubelet's projected token, by default; a day at most. */
const TTL_SECONDS = { default: 43_200, max: 86_400 };

export interface TokenSubject {
  readonly namespace: string;
  readonly serviceAccount: string;
  /** The pod to bind the token to: it is worth nothing once that has ended. */
  readonly pod: { readonly name: string; readonly uid: string; readonly node: string } | undefined;
}

export const issuerName = (cluster: ClusterId): string => `https://causeway.invalid/clusters/${cluster}`;

/** Issues service account tokens as the API server of an embedded cluster would. */
export class TokenIssuer {
  readonly #host: Host;
  readonly #cluster: ClusterId;
  readonly #key: KeyObject;

  private constructor(host: Host, cluster: ClusterId, key: KeyObject) {
    this.#host = host;
    this.#cluster = cluster;
    this.#key = key;
  }

  /**
   * Opens the issuer whose key is at `path`, and makes the key if there is none.
   * @throws MeshError `invalid` if what is there is no P-256 key; it is not replaced.
   */
  static async open(host: Host, cluster: ClusterId, path: string): Promise<TokenIssuer> {
    return new TokenIssuer(host, cluster, (await readKey(path)) ?? (await makeKey(path)));
  }

  /** What verifies its tokens. */
  get publicKey(): KeyObject {
    return createPublicKey(this.#key);
  }

  /** @param ttlSeconds 12 hours by default, a day at most. */
  issue({ namespace, serviceAccount, pod }: TokenSubject, ttlSeconds = TTL_SECONDS.default): Promise<string> {
    const now = Math.floor(this.#host.clock.now() / 1000);
    const bound = pod && { pod: { name: pod.name, uid: pod.uid }, node: { name: pod.node } };
    return new SignJWT({ "kubernetes.io": { namespace, serviceaccount: { name: serviceAccount }, ...bound } })
      .setProtectedHeader({ alg: "ES256" })
      .setIssuer(issuerName(this.#cluster))
      .setSubject(`system:serviceaccount:${namespace}:${serviceAccount}`)
      .setAudience(AUDIENCE)
      .setIssuedAt(now)
      .setNotBefore(now)
      .setExpirationTime(now + Math.min(ttlSeconds, TTL_SECONDS.max))
      .sign(this.#key);
  }
}

async function readKey(path: string): Promise<KeyObject | undefined> {
  try {
    const key = createPrivateKey(await readFile(path, "utf8"));
    if (key.asymmetricKeyDetails?.namedCurve !== "prime256v1") throw new Error("it is not a P-256 key");
    return key;
  } catch (thrown) {
    if (thrown instanceof Error && "code" in thrown && thrown.code === "ENOENT") return undefined;
    const what = `the key of the token issuer in ${path} cannot be used: ${messageOf(thrown)}`;
    throw new MeshError(
      "invalid",
      `${what}; remove it to have a new one made, and make new tokens`,
      {},
      { cause: thrown },
    );
  }
}

async function makeKey(path: string): Promise<KeyObject> {
  const { privateKey } = generateKeyPairSync("ec", {
    namedCurve: "P-256",
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
    publicKeyEncoding: { type: "spki", format: "pem" },
  });
  // A control plane and a command may both be the first; then they must have the same key.
  if (await writeFirst(path, privateKey, 0o600)) return createPrivateKey(privateKey);
  return (await readKey(path)) ?? makeKey(path);
}
