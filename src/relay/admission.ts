import { hash } from "node:crypto";
import { parseCsr } from "../ca/csr.ts";
import { Quota } from "../ca/quota.ts";
import type { Credentials } from "../caller.ts";
import { MeshError } from "../errors.ts";
import type { UnaryMethod } from "../grpc/method.ts";
import type { EpochMs, Host, Logger } from "../host.ts";
import type { ClusterId } from "../names.ts";
import { type CertificateBook, provenCluster, whyVoid } from "./client-proof.ts";
import type { RelayDesk } from "./desk.ts";
import { refusal, type TokenBook, type TokenRecord, tokenUsed, whyNotEnroll } from "./enrollment.ts";
import { RELAY_LIMITS } from "./message-rules.ts";
import type { ClientCredentials, EnrollRequest } from "./messages.ts";
import { RELAY_METHODS } from "./methods.ts";
import type { RelayAuthority } from "./relay-authority.ts";
import { addressOf, type RelayMetrics } from "./relay-metrics.ts";
import { parseToken } from "./token.ts";
import { decodeEnrollRequest, decodeRenewRequest, encodeClientCredentials } from "./wire.ts";

/** Of one address, which many clusters may share, and of all: a secret of 256 bits is not guessed, but looking costs. */
const ENROLLMENTS = { burst: 20, perSecond: 1 / 3 };
const ALL_ENROLLMENTS = { burst: 200, perSecond: 10 };
/** Of one cluster, which needs one in two weeks. */
const RENEWALS = { burst: 10, perSecond: 1 / 60 };

export interface AdmissionOptions {
  readonly desk: RelayDesk;
  readonly authority: RelayAuthority;
  readonly tokens: TokenBook;
  readonly certificates: CertificateBook;
  readonly metrics: RelayMetrics;
}

/** TrustRelay.Enroll and Renew: who gets a client certificate, and for what. */
export class Admission {
  readonly #host: Host;
  readonly #options: AdmissionOptions;
  readonly #log: Logger;
  readonly #byAddress: Quota;
  readonly #all: Quota;
  readonly #renewals: Quota;

  constructor(host: Host, options: AdmissionOptions) {
    this.#host = host;
    this.#options = options;
    this.#log = host.log.scope("trust");
    this.#byAddress = new Quota(host.clock, ENROLLMENTS);
    this.#all = new Quota(host.clock, ALL_ENROLLMENTS);
    this.#renewals = new Quota(host.clock, RENEWALS);
  }

  readonly methods: readonly UnaryMethod[] = [
    unary(RELAY_METHODS.enroll, (bytes, credentials) => this.#enroll(bytes, credentials)),
    unary(RELAY_METHODS.renew, (bytes, credentials) => this.#renew(bytes, credentials)),
  ];

  async #enroll(bytes: Uint8Array, { remoteAddress: from }: Credentials): Promise<Uint8Array> {
    let claimed = "";
    try {
      const address = addressOf(from);
      if (!this.#byAddress.take(address) || !this.#all.take(""))
        throw refusal("exhausted", "TooMany", `too many calls of Enroll, as from ${address}; come back in a minute`);
      const request = decodeEnrollRequest(bytes);
      claimed = request.cluster;
      return encodeClientCredentials(await this.#enrolled(request, from));
    } catch (thrown) {
      throw this.#refused(claimed, from, thrown);
    }
  }

  async #enrolled(request: EnrollRequest, from: string): Promise<ClientCredentials> {
    const { cluster, csr, clock } = request;
    const { tokens, desk, authority } = this.#options;
    const token = parseToken(request.token);
    const key = hash("sha256", await parseCsr(csr), "hex");
    const now = this.#host.clock.now();
    const record = await tokens.find(token.id);
    const why = whyNotEnroll({ token, cluster, key, clock, now }, record);
    if (why !== undefined) throw this.#loud(why, from);
    // The token is not spent on a cluster that nobody has registered yet.
    const unregistered = desk.whyNot(cluster);
    if (unregistered !== undefined) throw refusal("denied", "NotRegistered", unregistered);
    await this.#redeem(record!, key, { at: now, from });
    const answer = await authority.certify(cluster, csr, await this.#renounce(cluster, token.id, record?.use?.at));
    this.#options.metrics.enrollment(record?.use === undefined ? "enrolled" : "again");
    this.#log.info("a cluster enrolled; client certificates that it had are void", { cluster, from, token: token.id });
    return answer;
  }

  async #redeem(
    record: TokenRecord,
    key: string,
    { at, from }: { readonly at: EpochMs; readonly from: string },
  ): Promise<void> {
    const use = record.use ?? (await this.#options.tokens.redeem(record.id, { at, from, key }));
    // Taken back, or cleaned up, since it was looked at.
    if (use === undefined)
      throw refusal("denied", "TokenRevoked", `bootstrap token ${record.id} of cluster ${record.cluster} was revoked`);
    if (use.key !== key) throw this.#loud(tokenUsed(record, use), from);
  }

  /** @param since when the token was used; undefined if that is now. */
  async #renounce(cluster: ClusterId, cause: string, since: EpochMs | undefined): Promise<EpochMs> {
    const from = await this.#options.certificates.renounce(cluster, cause, since);
    return Math.max(from, this.#host.clock.now());
  }

  async #renew(bytes: Uint8Array, credentials: Credentials): Promise<Uint8Array> {
    const { remoteAddress: from } = credentials;
    let claimed = "";
    try {
      const proven = provenCluster(credentials, this.#options.authority, this.#host.clock);
      const { cluster } = proven;
      claimed = cluster;
      // Whoever has a void one takes nothing from the cluster itself.
      const known = whyVoid(proven, this.#options.certificates.lastVoidBefore(cluster) ?? 0);
      if (known !== undefined) throw known;
      if (!this.#renewals.take(cluster))
        throw refusal("exhausted", "TooMany", `cluster ${cluster} renews its client certificate too often`);
      const { csr } = decodeRenewRequest(bytes);
      // Unlike for a stream, what cannot be asked now is refused: this would outlive the outage.
      const voidBefore = await this.#options.certificates.voidBefore(cluster);
      const why = whyVoid(proven, voidBefore);
      if (why !== undefined) throw why;
      const unregistered = this.#options.desk.whyNot(cluster);
      if (unregistered !== undefined) throw refusal("denied", "NotRegistered", unregistered);
      const issuedAt = Math.max(voidBefore, this.#host.clock.now());
      const answer = await this.#options.authority.certify(cluster, csr, issuedAt);
      this.#options.metrics.enrollment("renewed");
      this.#log.info("renewed the client certificate of a cluster", { cluster, from });
      return encodeClientCredentials(answer);
    } catch (thrown) {
      throw this.#refused(claimed, from, thrown);
    }
  }

  /** A token that comes twice may be stolen: whoever reads the log is to see it each time. */
  #loud(why: MeshError, from: string): MeshError {
    if (why.detail["reason"] === "TokenUsed")
      this.#log.error("a bootstrap token came a second time: it may be stolen", { from, why: why.message });
    return why;
  }

  #refused(cluster: string, from: string, thrown: unknown): unknown {
    const error = MeshError.from(thrown);
    this.#options.metrics.enrollment(error.code);
    this.#options.metrics.refused(error);
    this.#options.desk.refused(cluster, from, error.message);
    return thrown;
  }
}

const unary = (path: string, call: UnaryMethod["call"]): UnaryMethod => ({
  kind: "unary",
  path,
  requestBytesMax: RELAY_LIMITS.requestBytes,
  call,
});
