import { createLocalJWKSet, errors, type JWTVerifyGetKey } from "jose";
import { MeshError, messageOf } from "../errors.ts";
import type { Host } from "../host.ts";
import { isHttps, type JsonKey, type JwtRule, parseKeySet } from "../jwt-rule.ts";
import { SparseLog } from "../sparse-log.ts";
import type { HttpsGet } from "./https-get.ts";

/** As istiod looks for new keys (contract identity.md 1.6: bounded in time and size, never inferred). */
const FRESH_MS = 20 * 60_000;
/** A key that its issuer has withdrawn is believed no longer than this, even if the issuer cannot be asked. */
const KEPT_MS = 24 * 3_600_000;
/** Strangers choose the key that a token names: what is not known is looked for no more often than this. */
const AGAIN_MS = 30_000;

type Find = ReturnType<typeof createLocalJWKSet>;

/** The public keys of one issuer: fetched when the first token comes, again when they are old or one is missing. */
export class IssuerKeys {
  readonly #host: Host;
  readonly #rule: JwtRule;
  readonly #get: HttpsGet;
  readonly #log: SparseLog;
  #found: { readonly find: Find; readonly atMs: number } | undefined;
  #triedMs = -Infinity;
  #why = "";
  #underWay: Promise<void> | undefined;

  constructor(host: Host, rule: JwtRule, get: HttpsGet) {
    this.#host = host;
    this.#rule = rule;
    this.#get = get;
    this.#log = new SparseLog(host.log.scope("ca"), host.clock);
    if (rule.keys.kind === "set") this.#found = { find: keySet(rule.keys.keys), atMs: Infinity };
  }

  /** For `jwtVerify`. @throws MeshError `unavailable` if there are no keys now; jose's own errors for a key that is none. */
  readonly find: JWTVerifyGetKey = async (header, token) => {
    const known = await this.#known();
    try {
      return await known(header, token);
    } catch (thrown) {
      if (!(thrown instanceof errors.JWKSNoMatchingKey) || !(await this.#renewed())) throw thrown;
      return (await this.#known())(header, token);
    }
  };

  async #known(): Promise<Find> {
    const age = this.#ageMs();
    // Those that are merely old serve once more, so that nobody waits for the issuer.
    if (age > FRESH_MS) void this.#renewed();
    if (age > KEPT_MS) await this.#underWay;
    if (this.#found !== undefined && this.#ageMs() <= KEPT_MS) return this.#found.find;
    throw new MeshError("unavailable", `the keys of issuer ${this.#rule.issuer} cannot be had now: ${this.#why}`);
  }

  #ageMs(): number {
    return this.#found === undefined ? Infinity : this.#host.clock.elapsedMs() - this.#found.atMs;
  }

  /** True if they were fetched anew. */
  async #renewed(): Promise<boolean> {
    const before = this.#found;
    const nowMs = this.#host.clock.elapsedMs();
    if (this.#underWay === undefined && nowMs - this.#triedMs >= AGAIN_MS && this.#rule.keys.kind !== "set") {
      this.#triedMs = nowMs;
      this.#underWay = this.#fetch().finally(() => (this.#underWay = undefined));
    }
    await this.#underWay;
    return this.#found !== before;
  }

  /** Never rejects. */
  async #fetch(): Promise<void> {
    const { issuer } = this.#rule;
    try {
      const url = await this.#url();
      const keys = parseKeySet(await this.#get(url), url);
      this.#found = { find: keySet(keys), atMs: this.#host.clock.elapsedMs() };
    } catch (thrown) {
      this.#why =
        thrown instanceof MeshError ? `${String(thrown.detail["field"])} ${thrown.message}` : messageOf(thrown);
      this.#log.warn("the keys of a token issuer cannot be had", { issuer, why: this.#why });
    }
  }

  /** OpenID Connect Discovery 4.3: whose keys they are must be said there, or anybody could lend his own. */
  async #url(): Promise<string> {
    const { issuer, keys } = this.#rule;
    if (keys.kind === "url") return keys.url;
    const at = `${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`;
    const { issuer: named, jwks_uri: url } = JSON.parse(await this.#get(at)) as Partial<Record<string, unknown>>;
    if (named !== issuer) throw new Error(`${at} is of another issuer`);
    if (!isHttps(url)) throw new Error(`${at} names no jwks_uri that begins with https://`);
    return url;
  }
}

const keySet = (keys: readonly JsonKey[]): Find => createLocalJWKSet({ keys: keys.map((key) => ({ ...key })) });
