import type { ErrorCode } from "../errors.ts";
import type { Counter, Metrics } from "../host.ts";

/** Upstream's words for why nothing was signed (contract identity.md 3.7). */
const SIGNING_ERRORS: Readonly<Partial<Record<ErrorCode, string>>> = {
  unavailable: "CA_NOT_READY",
  timeout: "CA_NOT_READY",
  exhausted: "CA_NOT_READY",
  invalid: "CSR_ERROR",
  internal: "CERT_GEN_ERROR",
};

/** At which step a request was refused: all that there are. */
const DENIAL_REASONS = [
  "authentication",
  "authentication_unavailable",
  "quota",
  "decoding",
  "impersonation",
  "request",
  "entry",
  "signing",
] as const;
export type DenialReason = (typeof DENIAL_REASONS)[number];

/** Upstream's names (contract operations.md 1.4). */
export class CaMetrics {
  readonly #requested: Counter;
  readonly #issued: Counter;
  readonly #unauthenticated: Counter;
  readonly #badCsr: Counter;
  readonly #badIdentity: Counter;
  readonly #unsigned: Counter;
  readonly #denied: Counter;

  constructor(metrics: Metrics) {
    const counter = (name: string, help: string, labels: readonly string[] = []): Counter =>
      metrics.counter(`citadel_server_${name}`, help, labels);
    this.#requested = counter("csr_count", "Certificate requests received.");
    this.#issued = counter("success_cert_issuance_count", "Certificates issued.");
    this.#unauthenticated = counter("authentication_failure_count", "Requests whose caller proved nothing.");
    this.#badCsr = counter("csr_parsing_err_count", "Requests that could not be used.");
    this.#badIdentity = counter("id_extraction_err_count", "Requests for an identity that the caller may not have.");
    this.#unsigned = counter("csr_sign_err_count", "Requests that could not be signed.", ["error"]);
    this.#denied = metrics.counter("cert_issued_denied_total", "Certificates refused, by reason.", ["reason"]);
    // A series that begins with its first refusals has not grown, for who compares them with those before.
    for (const reason of DENIAL_REASONS) this.#denied.add(0, { reason });
  }

  requested(): void {
    this.#requested.add();
  }
  issued(): void {
    this.#issued.add();
  }
  unauthenticated(): void {
    this.#unauthenticated.add();
  }
  badCsr(): void {
    this.#badCsr.add();
  }
  badIdentity(): void {
    this.#badIdentity.add();
  }
  unsigned(code: ErrorCode): void {
    this.#unsigned.add(1, { error: SIGNING_ERRORS[code] ?? "UNKNOWN" });
  }
  denied(reason: DenialReason): void {
    this.#denied.add(1, { reason });
  }
}
