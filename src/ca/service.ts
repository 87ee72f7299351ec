import { istio } from "../../proto/gen/mesh.js";
import type { Authenticator, Caller, Credentials } from "../caller.ts";
import { MeshError, messageOf } from "../errors.ts";
import type { UnaryMethod } from "../grpc/method.ts";
import type { Host, Logger } from "../host.ts";
import { formatServiceAccountId, type ServiceAccountId } from "../spiffe.ts";
import { authorizeIdentity, type AuthorizationRules } from "./authorize.ts";
import { CaMetrics } from "./ca-metrics.ts";
import { parseCsr } from "./csr.ts";
import { toPem } from "./pem.ts";
import type { Signer } from "./signer.ts";

const { IstioCertificateRequest, IstioCertificateResponse } = istio.v1.auth;

export const CREATE_CERTIFICATE = "/istio.v1.auth.IstioCertificateService/CreateCertificate";

/** A request for an RSA 4096 key with a long identity has some 4 kB. */
const REQUEST_BYTES_MAX = 64 * 1024;
/** Seconds; the first two are istiod's (contract ztunnel.md 4.4). A shorter life would have ztunnel ask without pause. */
const TTL = { default: 86_400, max: 90 * 86_400, min: 60 };

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
  readonly #log: Logger;

  constructor(host: Host, options: CertificateServiceOptions) {
    this.#options = options;
    this.#metrics = new CaMetrics(host.metrics);
    this.#metrics.authority(host.clock, options.signer.expiresAt);
    this.#log = host.log.scope("ca");
  }

  async create(bytes: Uint8Array, credentials: Credentials, signal: AbortSignal): Promise<Uint8Array> {
    this.#metrics.requested();
    const caller = await this.#authenticate(credentials);
    const request = this.#decode(bytes, credentials);
    const identity = this.#authorize(caller, request.asked, credentials);
    const publicKey = this.#parseCsr(request.csr, caller);
    const chain = await this.#sign({ identity, publicKey, ttlSeconds: request.ttlSeconds }, caller, signal);
    this.#metrics.issued();
    this.#log.debug("issued", {
      identity: formatServiceAccountId(identity),
      to: nameOf(caller),
      ttl: request.ttlSeconds,
    });
    return IstioCertificateResponse.encode({ certChain: this.#withRoots(chain, identity.trustDomain) }).finish();
  }

  async #authenticate(credentials: Credentials): Promise<Caller> {
    try {
      return await this.#options.authenticator.authenticate(credentials);
    } catch (thrown) {
      this.#metrics.unauthenticated();
      this.#refused("authentication", messageOf(thrown), credentials);
      const error = MeshError.from(thrown);
      if (error.code === "unavailable" || error.code === "timeout") throw error;
      throw new MeshError("unauthenticated", "request authenticate failure", {}, { cause: thrown });
    }
  }

  #decode(bytes: Uint8Array, { remoteAddress }: Credentials): DecodedRequest {
    try {
      return decodeRequest(bytes);
    } catch (thrown) {
      this.#metrics.badCsr();
      const why = messageOf(thrown);
      this.#log.warn("certificate refused", { stage: "decoding", address: remoteAddress, why });
      throw new MeshError("invalid", `the message is not a certificate request: ${why}`, {}, { cause: thrown });
    }
  }

  #authorize(caller: Caller, asked: string | undefined, credentials: Credentials): ServiceAccountId {
    try {
      return authorizeIdentity(caller, asked, this.#options.rules);
    } catch (thrown) {
      // Why stays in our log: what a node runs is not the caller's to find out.
      this.#metrics.badIdentity();
      this.#refused("impersonation", messageOf(thrown), credentials, caller, asked);
      throw new MeshError("unauthenticated", "request impersonation authentication failure", {}, { cause: thrown });
    }
  }

  #parseCsr(csr: string, caller: Caller): Uint8Array {
    try {
      return parseCsr(csr);
    } catch (thrown) {
      this.#metrics.badCsr();
      const why = messageOf(thrown);
      this.#log.warn("certificate refused", { stage: "request", caller: nameOf(caller), why });
      throw new MeshError("invalid", `CSR signing error (${why})`, {}, { cause: thrown });
    }
  }

  async #sign(
    request: Parameters<Signer["sign"]>[0],
    caller: Caller,
    signal: AbortSignal,
  ): Promise<readonly Uint8Array[]> {
    try {
      return await this.#options.signer.sign(request, signal);
    } catch (thrown) {
      this.#metrics.unsigned();
      const error = MeshError.from(thrown);
      const identity = formatServiceAccountId(request.identity);
      this.#log.error("certificate not signed", { identity, caller: nameOf(caller), why: error.message });
      throw new MeshError(error.code, `CSR signing error (${error.message})`, {}, { cause: thrown });
    }
  }

  /** One certificate an element, and all roots in the last: what ztunnel reads (contract ztunnel.md 4.3). */
  #withRoots(chain: readonly Uint8Array[], trustDomain: string): string[] {
    const roots = this.#options.signer.bundles.get(trustDomain)?.roots ?? [];
    if (roots.length === 0) throw new MeshError("internal", `there is no root for trust domain ${trustDomain}`);
    const pem = (bytes: Uint8Array): string => toPem("CERTIFICATE", bytes);
    return [...chain.map(pem), roots.map(pem).join("")];
  }

  #refused(stage: string, why: string, { remoteAddress }: Credentials, caller?: Caller, asked?: string): void {
    this.#metrics.denied(stage);
    this.#log.warn("certificate refused", {
      stage,
      address: remoteAddress,
      caller: caller && nameOf(caller),
      asked: asked?.slice(0, 256),
      why,
    });
  }
}

const nameOf = ({ identity, pod }: Caller): string =>
  `${formatServiceAccountId(identity)}${pod === undefined ? "" : ` (pod ${pod.name})`}`;

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
