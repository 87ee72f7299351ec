import { istio } from "../../proto/gen/mesh.js";
import type { Authenticator, Credentials } from "../caller.ts";
import { type ErrorCode, MeshError, messageOf } from "../errors.ts";
import type { UnaryMethod } from "../grpc/method.ts";
import type { Host, Random } from "../host.ts";
import { formatServiceAccountId } from "../spiffe.ts";
import { type Asker, type IssuanceLog, keyOf } from "./issuance-log.ts";
import { type Authorized, authorizeIdentity, type AuthorizationRules } from "./authorize.ts";
import type { CaMetrics } from "./ca-metrics.ts";
import { toPem } from "../pem.ts";
import { Quota, type QuotaLimits } from "./quota.ts";
import { spreadLife } from "./spread-life.ts";
import type { CsrOrder, IssuedSvid, Signer, SvidChain, TrustBundle } from "./signer.ts";

const { IstioCertificateRequest, IstioCertificateResponse } = istio.v1.auth;

export const CREATE_CERTIFICATE = "/istio.v1.auth.IstioCertificateService/CreateCertificate";

/** A request for an RSA 4096 key with a long identity has some 4 kB. */
const REQUEST_BYTES_MAX = 64 * 1024;
/** Seconds; the first two are istiod's (contract ztunnel.md 4.4). A shorter life would have ztunnel ask without pause. */
const TTL = { default: 86_400, max: 90 * 86_400, min: 60 };
/** Of one caller: a ztunnel that starts asks at once for every identity on its node, a few hundred at most. */
const REQUESTS: QuotaLimits = { burst: 1_000, perSecond: 20 };

export interface CertificateServiceOptions {
  readonly authenticator: Authenticator;
  readonly rules: AuthorizationRules;
  readonly signer: Signer;
  /** What workloads are to trust, if not only what verifies the signer's own certificates. */
  readonly trusted?: () => TrustBundle;
  /** Its books. */
  readonly issuances: IssuanceLog;
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
  readonly #issuances: IssuanceLog;
  readonly #metrics: CaMetrics;
  readonly #requests: Quota;
  readonly #random: Random;
  #bundle: TrustBundle | undefined;
  /** Of the bundle: what every answer ends with. */
  #rootsPem = "";
  readonly #between = new WeakMap<Uint8Array, string>();

  constructor(host: Host, options: CertificateServiceOptions) {
    this.#options = options;
    this.#issuances = options.issuances;
    this.#metrics = options.issuances.metrics;
    this.#requests = new Quota(host.clock, REQUESTS);
    this.#random = host.random;
    this.#noteAuthority();
  }

  async create(bytes: Uint8Array, credentials: Credentials, signal: AbortSignal): Promise<Uint8Array> {
    this.#metrics.requested();
    this.#noteAuthority();
    const asker = await this.#authenticate({ address: credentials.remoteAddress }, credentials);
    this.#admit(asker);
    const request = this.#decode(bytes, asker);
    const asking = { ...asker, asked: request.asked };
    const { identity, bearer } = this.#authorize(asking);
    const ttlSeconds = spread(request.ttlSeconds, this.#random);
    const order = { identity, csr: request.csr, ttlSeconds, bearer };
    const issued = await this.#issue(order, asking, signal);
    const certChain = this.#withRoots(issued.chain);
    this.#issuances.issued(identity, issued, this.#options.signer.describe().kind, { ...asker, node: bearer?.node });
    return IstioCertificateResponse.encode({ certChain }).finish();
  }

  async #authenticate(asker: Asker, credentials: Credentials): Promise<KnownAsker> {
    try {
      return { ...asker, caller: await this.#options.authenticator.authenticate(credentials) };
    } catch (thrown) {
      const { code } = MeshError.from(thrown);
      // A verifier that cannot be asked is no reason to doubt the caller, who is to ask again.
      const unavailable = code === "unavailable" || code === "timeout";
      this.#metrics.unauthenticated();
      this.#issuances.refused(unavailable ? "authentication_unavailable" : "authentication", thrown, asker);
      throw new MeshError(
        unavailable ? code : "unauthenticated",
        "request authenticate failure",
        {},
        { cause: thrown },
      );
    }
  }

  #admit(asker: KnownAsker): void {
    if (this.#requests.take(keyOf(asker.caller))) return;
    const error = new MeshError("exhausted", "too many certificate requests; ask again in a minute");
    this.#issuances.refused("quota", error, asker);
    throw error;
  }

  #decode(bytes: Uint8Array, asker: KnownAsker): DecodedRequest {
    try {
      return decodeRequest(bytes);
    } catch (thrown) {
      this.#metrics.badCsr();
      this.#issuances.refused("decoding", thrown, asker);
      const message = `the message is not a certificate request: ${messageOf(thrown)}`;
      throw new MeshError("invalid", message, {}, { cause: thrown });
    }
  }

  #authorize(asker: KnownAsker): Authorized {
    try {
      return authorizeIdentity(asker.caller, asker.asked, this.#options.rules);
    } catch (thrown) {
      // Why stays in our log: what a node runs is not the caller's to find out.
      this.#metrics.badIdentity();
      this.#issuances.refused("impersonation", thrown, asker);
      throw new MeshError("unauthenticated", "request impersonation authentication failure", {}, { cause: thrown });
    }
  }

  async #issue(order: CsrOrder, asker: KnownAsker, signal: AbortSignal): Promise<IssuedSvid> {
    try {
      return await this.#options.signer.issue(order, signal);
    } catch (thrown) {
      const error = MeshError.from(thrown);
      this.#metrics.unsigned(error.code);
      if (error.detail["stage"] === "request") {
        this.#metrics.badCsr();
        this.#issuances.refused("request", thrown, asker);
        throw new MeshError("invalid", `CSR signing error (${error.message})`, {}, { cause: thrown });
      }
      const told = error.detail["told"];
      const unvouched = error.code === "denied" && told !== undefined;
      const asked = { ...asker, asked: formatServiceAccountId(order.identity), node: order.bearer?.node };
      this.#issuances.refused(unvouched ? "entry" : "signing", thrown, asked);
      // The node is to say in its own log which identity lacks what; istiod's words have no place for it.
      if (unvouched) throw new MeshError("denied", `CSR signing error (${told})`, {}, { cause: thrown });
      const [status, words] = UNSIGNED[error.code] ?? UNSIGNED.internal;
      throw new MeshError(status, `CSR signing error (${words})`, {}, { cause: thrown });
    }
  }

  #noteAuthority(): void {
    const { signer, rules, trusted = () => signer.bundles.get(rules.trustDomain) } = this.#options;
    const bundle = trusted();
    if (bundle !== this.#bundle) {
      this.#bundle = bundle;
      const roots = bundle?.roots ?? [];
      this.#rootsPem = roots.map((root) => toPem("CERTIFICATE", root)).join("");
    }
  }

  /** One certificate an element, and all roots in the last: what ztunnel reads (contract ztunnel.md 4.3). */
  #withRoots(chain: SvidChain): string[] {
    // The authority may have changed while this was signed, and roots belong to the signature.
    this.#noteAuthority();
    const { trustDomain } = this.#options.rules;
    if (this.#rootsPem === "") throw new MeshError("internal", `there is no root for trust domain ${trustDomain}`);
    const [leaf, ...between] = chain;
    return [toPem("CERTIFICATE", leaf), ...between.map((bytes) => this.#pemBetween(bytes)), this.#rootsPem];
  }

  /** Of a certificate between leaf and root: they are the same ones in every answer. */
  #pemBetween(bytes: Uint8Array): string {
    const known = this.#between.get(bytes);
    if (known !== undefined) return known;
    const pem = toPem("CERTIFICATE", bytes);
    this.#between.set(bytes, pem);
    return pem;
  }
}

type KnownAsker = Asker & Required<Pick<Asker, "caller">>;

const NOT_NOW = ["unavailable", "the authority cannot sign now; ask again"] as const;
/** What is told of why nothing was signed: what our authority is like is not the caller's to find out. */
const UNSIGNED: Readonly<Partial<Record<ErrorCode, readonly [ErrorCode, string]>>> & {
  readonly internal: readonly [ErrorCode, string];
} = {
  unavailable: NOT_NOW,
  timeout: NOT_NOW,
  exhausted: NOT_NOW,
  invalid: ["invalid", "the key cannot be certified"],
  internal: ["internal", "certificate generation failed"],
};

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

/** Never longer than was asked for, unless that was no time at all. */
const spread = (seconds: number, random: Random): number => Math.max(TTL.min, spreadLife(seconds, random));
