import type { Clock, Counter, EpochMs, Gauge, Metrics } from "../host.ts";

/** Upstream's names (contract operations.md 1.4). */
export class CaMetrics {
  readonly #requested: Counter;
  readonly #issued: Counter;
  readonly #unauthenticated: Counter;
  readonly #badCsr: Counter;
  readonly #badIdentity: Counter;
  readonly #unsigned: Counter;
  readonly #denied: Counter;
  readonly #chainEnds: Gauge;
  readonly #chainSeconds: Gauge;

  constructor(metrics: Metrics) {
    const counter = (name: string, help: string): Counter => metrics.counter(`citadel_server_${name}`, help);
    this.#requested = counter("csr_count", "Certificate requests received.");
    this.#issued = counter("success_cert_issuance_count", "Certificates issued.");
    this.#unauthenticated = counter("authentication_failure_count", "Requests whose caller proved nothing.");
    this.#badCsr = counter("csr_parsing_err_count", "Requests that could not be used.");
    this.#badIdentity = counter("id_extraction_err_count", "Requests for an identity that the caller may not have.");
    this.#unsigned = counter("csr_sign_err_count", "Requests that could not be signed.");
    this.#denied = metrics.counter("cert_issued_denied_total", "Certificates refused, by reason.", ["reason"]);
    const ends = "When the signing certificate or its chain ends, in seconds since 1970.";
    this.#chainEnds = metrics.gauge("citadel_server_cert_chain_expiry_timestamp", ends);
    const left = "Seconds from the start of this process until the signing certificate or its chain ends.";
    this.#chainSeconds = metrics.gauge("citadel_server_cert_chain_expiry_seconds", left);
  }

  authority(clock: Clock, expiresAt: EpochMs): void {
    this.#chainEnds.set(Math.floor(expiresAt / 1000));
    this.#chainSeconds.set(Math.floor((expiresAt - clock.now()) / 1000));
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
  unsigned(): void {
    this.#unsigned.add();
  }
  denied(reason: string): void {
    this.#denied.add(1, { reason });
  }
}
