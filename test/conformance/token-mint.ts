import { type CryptoKey, exportJWK, generateKeyPair, SignJWT } from "jose";
import type { TokenPolicy } from "../../src/registry/model/proxy-policies.ts";
import { ISSUERS, type SampleToken } from "./policy-samples.ts";

/** Issues tokens for two issuers, good ones and others. */
export class TokenMint {
  readonly policy: TokenPolicy;
  readonly #keys: ReadonlyMap<string, CryptoKey>;
  readonly #forger: CryptoKey;
  readonly #made = new Map<string, string>();

  private constructor(keys: ReadonlyMap<string, CryptoKey>, forger: CryptoKey, policy: TokenPolicy) {
    this.#keys = keys;
    this.#forger = forger;
    this.policy = policy;
  }

  static async open(): Promise<TokenMint> {
    const keys = new Map<string, CryptoKey>();
    const rules: TokenPolicy["rules"][number][] = [];
    for (const issuer of ISSUERS) {
      const pair = await generateKeyPair("ES256", { extractable: true });
      keys.set(issuer, pair.privateKey);
      const jwks = JSON.stringify({ keys: [{ ...(await exportJWK(pair.publicKey)), kid: issuer, alg: "ES256" }] });
      rules.push({
        issuer,
        audiences: ["shop"],
        keys: { kind: "inline", jwks },
        fromHeaders: [],
        fromParams: [],
        fromCookies: [],
        forwardToken: true,
        payloadHeader: "",
        claimHeaders: [],
        spaceDelimitedClaims: ["scope", "permission"],
      });
    }
    const forger = await generateKeyPair("ES256");
    return new TokenMint(keys, forger.privateKey, { name: "shop/tokens", rules });
  }

  /** What a request with `token` carries. */
  async headers(token: SampleToken): Promise<readonly (readonly [string, string])[]> {
    if (token.kind === "none") return [];
    const key = JSON.stringify(token);
    if (!this.#made.has(key)) this.#made.set(key, await this.#sign(token));
    return [["authorization", `Bearer ${this.#made.get(key)!}`]];
  }

  #sign({ kind, issuer, subject, claims }: SampleToken): Promise<string> {
    const now = Math.floor(Date.now() / 1000);
    return new SignJWT({ ...claims })
      .setProtectedHeader({ alg: "ES256", kid: issuer })
      .setIssuer(kind === "unknown-issuer" ? "https://c.example" : issuer)
      .setSubject(subject)
      .setAudience(kind === "wrong-audience" ? "other" : "shop")
      .setExpirationTime(kind === "expired" ? now - 3_600 : now + 3_600)
      .sign(kind === "forged" ? this.#forger : this.#keys.get(issuer)!);
  }
}
