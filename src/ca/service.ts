import { istio } from "../../proto/gen/mesh.js";
import type { Authenticator, Caller, Credentials } from "../caller.ts";
import { MeshError, messageOf } from "../errors.ts";
import type { UnaryMethod } from "../grpc/method.ts";
import type { Clock, EpochMs, Host, Logger } from "../host.ts";
import { formatServiceAccountId, type ServiceAccountId } from "../spiffe.ts";
import { authorizeIdentity, type AuthorizationRules } from "./authorize.ts";
import { CaMetrics } from "./ca-metrics.ts";
import { readCertificate } from "./certificate-fields.ts";
import { parseCsr } from "./csr.ts";
import { toPem } from "./pem.ts";
import { Quota, type QuotaLimits } from "./quota.ts";
import type { Signer, SigningRequest, TrustBundle } from "./signer.ts";

const { IstioCertificateRequest, IstioCertificateResponse } = istio.v1.auth;

export const CREATE_CERTIFICATE = "/istio.v1.auth.IstioCertificateService/CreateCertificate";

/** A request for an RSA 4096 key with a long identity has some 4 kB. */
const REQUEST_BYTES_MAX = 64 * 1024;
/** Seconds; the first two are istiod's (contract ztunnel.md 4.4). A shorter life would have ztunnel ask without pause. */
const TTL = { default: 86_400, max: 90 * 86_400, min: 60 };

/** Of one caller: a ztunnel that starts asks at once for every identity on its node, a few hundred at most. */
const REQUESTS: QuotaLimits = { burst: 1_000, perSecond: 20 };
/** Of one caller, or of one address that proved nothing. */
const REFUSAL_LINES: QuotaLimits = { burst: 20, perSecond: 1 / 6 };

export interface CertificateServiceOptions {
  readonly authenticator: Authenticator;
  readonly rules: AuthorizationRules;
  readonly signer: Signer;
}

/** The certificate service as istiod offers it: its texts, its codes, its order of the chain (contract ztunnel.md 4). */
export function certificateService(host: Host, options: CertificateServiceOptions): UnaryMethod {
  const service = new CertificateService(host, options);
  return {
    kind: "unary",
    path: CREATE_CERTIFICATE,
    requestBytesMax: REQUEST_BYTES_MAX,
    call: (request, credentials, signal) => service.create(request, credentials, signal),
  };
}

class CertificateService {
  readonly #options: CertificateServiceOptions;
  readonly #metrics: CaMetrics;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #requests: Quota;
  readonly #refusalLines: Quota;
  #bundle: TrustBundle | undefined;
  /** Of the bundle: what every answer ends with, and when the first of them ends. */
  #rootsPem = "";
  #rootEnds: EpochMs = 0;

  constructor(host: Host, options: CertificateServiceOptions) {
    this.#options = options;
    this.#metrics = new CaMetrics(host.metrics);
    this.#clock = host.clock;
    this.#log = host.log.scope("ca");
    this.#requests = new Quota(host.clock, REQUESTS);
    this.#refusalLines = new Quota(host.clock, REFUSAL_LINES);
    this.#noteAuthority();
  }

  async create(bytes: Uint8Array, credentials: Credentials, signal: AbortSignal): Promise<Uint8Array> {
    this.#metrics.requested();
    this.#noteAuthority();
    const asker = await this.#authenticate({ address: credentials.remoteAddress }, credentials);
    this.#admit(asker);
    const request = this.#decode(bytes, asker);
    const asking = { ...asker, asked: request.asked };
    const identity = this.#authorize(asking);
    const publicKey = this.#parseCsr(request.csr, asking);
    const chain = await this.#sign({ identity, publicKey, ttlSeconds: request.ttlSeconds }, asking, signal);
    this.#metrics.issued();
    this.#log.debug("issued", {
      identity: formatServiceAccountId(identity),
      to: nameOf(asker.caller),
      ttl: request.ttlSeconds,
    });
    return IstioCertificateResponse.encode({ certChain: this.#withRoots(chain) }).finish();
  }

  async #authenticate(asker: Asker, credentials: Credentials): Promise<KnownAsker> {
    try {
      return { ...asker, caller: await this.#options.authenticator.authenticate(credentials) };
    } catch (thrown) {
      this.#metrics.unauthenticated();
      this.#refused("authentication", thrown, asker);
      const error = MeshError.from(thrown);
      if (error.code === "unavailable" || error.code === "timeout") throw error;
      throw new MeshError("unauthenticated", "request authenticate failure", {}, { cause: thrown });
    }
  }

  #admit(asker: KnownAsker): void {
    if (this.#requests.take(keyOf(asker.caller))) return;
    const error = new MeshError("exhausted", "too many certificate requests; ask again in a minute");
    this.#refused("quota", error, asker);
    throw error;
  }

  #decode(bytes: Uint8Array, asker: KnownAsker): DecodedRequest {
    try {
      return decodeRequest(bytes);
    } catch (thrown) {
      this.#metrics.badCsr();
      this.#refused("decoding", thrown, asker);
      const message = `the message is not a certificate request: ${messageOf(thrown)}`;
      throw new MeshError("invalid", message, {}, { cause: thrown });
    }
  }

  #authorize(asker: KnownAsker): ServiceAccountId {
    try {
      return authorizeIdentity(asker.caller, asker.asked, this.#options.rules);
    } catch (thrown) {
      // Why stays in our log: what a node runs is not the caller's to find out.
      this.#metrics.badIdentity();
      this.#refused("impersonation", thrown, asker);
      throw new MeshError("unauthenticated", "request impersonation authentication failure", {}, { cause: thrown });
    }
  }

  #parseCsr(csr: string, asker: KnownAsker): Uint8Array {
    try {
      return parseCsr(csr);
    } catch (thrown) {
      this.#metrics.badCsr();
      this.#refused("request", thrown, asker);
      throw new MeshError("invalid", `CSR signing error (${messageOf(thrown)})`, {}, { cause: thrown });
    }
  }

  async #sign(request: SigningRequest, asker: KnownAsker, signal: AbortSignal): Promise<readonly Uint8Array[]> {
    try {
      return await this.#options.signer.sign(request, signal);
    } catch (thrown) {
      const error = MeshError.from(thrown);
      this.#metrics.unsigned(error.code);
      const identity = formatServiceAccountId(request.identity);
      this.#log.error("certificate not signed", { identity, caller: nameOf(asker.caller), why: error.message });
      throw new MeshError(error.code, `CSR signing error (${error.message})`, {}, { cause: thrown });
    }
  }

  #noteAuthority(): void {
    const { signer, rules } = this.#options;
    const bundle = signer.bundles.get(rules.trustDomain);
    if (bundle !== this.#bundle) {
      this.#bundle = bundle;
      const roots = bundle?.roots ?? [];
      this.#rootsPem = roots.map((root) => toPem("CERTIFICATE", root)).join("");
      this.#rootEnds = Math.min(...roots.map((root) => readCertificate(root).notAfter));
    }
    this.#metrics.expiry(this.#clock.now(), signer.expiresAt, this.#rootEnds);
  }

  /** One certificate an element, and all roots in the last: what ztunnel reads (contract ztunnel.md 4.3). */
  #withRoots(chain: readonly Uint8Array[]): string[] {
    // The authority may have changed while this was signed, and roots belong to the signature.
    this.#noteAuthority();
    const { trustDomain } = this.#options.rules;
    if (this.#rootsPem === "") throw new MeshError("internal", `there is no root for trust domain ${trustDomain}`);
    return [...chain.map((bytes) => toPem("CERTIFICATE", bytes)), this.#rootsPem];
  }

  /** A line for each, but only so many: nobody may fill the disk by being refused. The metric counts them all. */
  #refused(stage: string, thrown: unknown, { address, caller, asked }: Asker): void {
    this.#metrics.denied(stage);
    if (!this.#refusalLines.take(caller === undefined ? address.replace(/:\d+$/, "") : keyOf(caller))) return;
    this.#log.warn("certificate refused", {
      stage,
      address,
      caller: caller && nameOf(caller),
      asked: asked?.slice(0, 256),
      why: messageOf(thrown),
    });
  }
}

/** What is known, so far, of who asks for what. */
interface Asker {
  readonly address: string;
  readonly caller?: Caller;
  readonly asked?: string | undefined;
}
type KnownAsker = Asker & Required<Pick<Asker, "caller">>;

const nameOf = ({ identity, pod }: Caller): string =>
  `${formatServiceAccountId(identity)}${pod === undefined ? "" : ` (pod ${pod.name})`}`;

/** Each pod of an account has a quota of its own: a ztunnel is a pod on each node. */
const keyOf = ({ cluster, identity, pod }: Caller): string =>
  `${cluster} ${formatServiceAccountId(identity)} ${pod?.uid ?? ""}`;

interface DecodedRequest {
  readonly csr: string;
  readonly ttlSeconds: number;
  /** The identity to impersonate; undefined if the request names none. */
  readonly asked: string | undefined;
}

function decodeRequest(bytes: Uint8Array): DecodedRequest {
  const { csr, validityDuration, metadata } = IstioCertificateRequest.decode(bytes);
  const fields = new Map(Object.entries(metadata?.fields ?? {}));
  const signer = fields.get("CertSigner")?.stringValue ?? "";
  if (signer !== "") throw new MeshError("unsupported", `CertSigner ${signer.slice(0, 80)} is not served here`);
  const asked = fields.get("ImpersonatedIdentity");
  return {
    csr,
    ttlSeconds: ttlOf(validityDuration.toNumber()),
    // One that is there but no text must not mean "none".
    asked: asked === undefined ? undefined : (asked.stringValue ?? ""),
  };
}

function ttlOf(seconds: number): number {
  return seconds <= 0 ? TTL.default : Math.max(TTL.min, Math.min(seconds, TTL.max));
}
