import { hash, X509Certificate } from "node:crypto";
import type { EpochMs, Gauge, Host } from "../host.ts";
import type { AuthorityFault } from "./authority-keeper.ts";
import type { Authority } from "./authority.ts";
import { readCertificate } from "./certificate-fields.ts";
import { ListGauges, overdueLists, revokedAuthorities } from "./crl-life.ts";
import type { RevocationList } from "./crl.ts";
import { adviceOn, type Life, lifeOf } from "./remaining-life.ts";

const LOOK_MS = 60_000;

/** A certificate of the authority, as far as it is looked at. */
interface Watched {
  readonly role: "root" | "intermediate";
  readonly name: string;
  readonly notBefore: EpochMs;
  readonly notAfter: EpochMs;
}

interface Gauges {
  readonly timestamp: Gauge;
  readonly seconds: Gauge;
}

/** Tells, whether or not somebody asks for certificates, that an authority is about to end, or revoked, or a list overdue. */
export class ExpiryWatch {
  readonly #host: Host;
  readonly #onFaults: () => void;
  readonly #chain: Gauges;
  readonly #root: Gauges;
  readonly #roots: Gauge;
  readonly #listGauges: ListGauges;
  #notAfter: EpochMs = 0;
  #lists: readonly RevocationList[] = [];
  #revoked: readonly AuthorityFault[] = [];
  #watched: readonly Watched[] = [];
  #faults: readonly AuthorityFault[] = [];
  #shown = new Set<string>();
  #timer: Disposable | undefined;

  /** @param onFaults called after `faults` may have changed. */
  constructor(host: Host, onFaults: () => void) {
    const { metrics } = host;
    this.#host = host;
    this.#onFaults = onFaults;
    this.#chain = {
      timestamp: metrics.gauge("citadel_server_cert_chain_expiry_timestamp", "When the chain ends, in Unix seconds."),
      seconds: metrics.gauge("citadel_server_cert_chain_expiry_seconds", "Seconds until the chain ends."),
    };
    this.#root = {
      timestamp: metrics.gauge(
        "citadel_server_root_cert_expiry_timestamp",
        "When the first root ends, in Unix seconds.",
      ),
      seconds: metrics.gauge("citadel_server_root_cert_expiry_seconds", "Seconds until the first root ends."),
    };
    this.#roots = metrics.gauge("root_cert_expiry_timestamp_seconds", "When each root ends, in Unix seconds.", [
      "root",
    ]);
    this.#listGauges = new ListGauges(metrics);
  }

  get faults(): readonly AuthorityFault[] {
    return this.#faults;
  }

  /** What is in use from now on. */
  note({ chain, roots, notAfter, revocations }: Authority): void {
    this.#notAfter = notAfter;
    this.#lists = revocations;
    this.#revoked = revokedAuthorities(chain, revocations);
    this.#listGauges.show(revocations);
    this.#watched = [...chain.map((der) => watched(der, "intermediate")), ...roots.map((der) => watched(der, "root"))];
    const shown = new Set(roots.map(labelOf));
    for (const root of this.#shown) if (!shown.has(root)) this.#roots.remove({ root });
    this.#shown = shown;
    for (const der of roots) this.#roots.set(seconds(readCertificate(der).notAfter), { root: labelOf(der) });
    this.#look();
  }

  close(): void {
    this.#timer?.[Symbol.dispose]();
  }

  #look(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = this.#host.clock.after(LOOK_MS, () => this.#look());
    const now = this.#host.clock.now();
    show(this.#chain, this.#notAfter, now);
    const roots = this.#watched.filter(({ role }) => role === "root");
    show(this.#root, Math.min(...roots.map(({ notAfter }) => notAfter)), now);
    const ends = this.#watched.flatMap((certificate) => faultOf(certificate, now));
    this.#tell([...ends, ...this.#revoked, ...overdueLists(this.#lists, now)]);
  }

  #tell(faults: readonly AuthorityFault[]): void {
    const textOf = ({ severity, message }: AuthorityFault): string => `${severity} ${message}`;
    const known = new Set(this.#faults.map(textOf));
    const fresh = faults.filter((fault) => !known.has(textOf(fault)));
    const fewer = faults.length < this.#faults.length;
    this.#faults = faults;
    const log = this.#host.log.scope("ca");
    for (const { severity, message } of fresh) log[severity === "error" ? "error" : "warn"](message);
    if (fresh.length > 0 || fewer) this.#onFaults();
  }
}

function show({ timestamp, seconds: left }: Gauges, ends: EpochMs, now: EpochMs): void {
  timestamp.set(seconds(ends));
  left.set(seconds(ends - now));
}

const SEVERITIES: Readonly<Record<Life, AuthorityFault["severity"] | undefined>> = {
  good: undefined,
  future: undefined,
  due: "warning",
  urgent: "error",
  expired: "error",
};

function faultOf(certificate: Watched, now: EpochMs): readonly AuthorityFault[] {
  const { role, name, notAfter } = certificate;
  const life = lifeOf(certificate, now);
  const severity = SEVERITIES[life];
  if (severity === undefined) return [];
  const why = role === "root" ? "workloads trust it" : "nothing that it signs outlives it";
  const end = `${life === "expired" ? "ended" : "ends"} at ${new Date(notAfter).toISOString()}`;
  return [{ severity, message: `The authority's ${role} "${name}" ${end}, and ${why}: ${adviceOf(life, role)}.` }];
}

const adviceOf = (life: Life, role: Watched["role"]): string => adviceOn(life === "expired" ? "urgent" : life, role)!;

function watched(der: Uint8Array, role: Watched["role"]): Watched {
  const { notBefore, notAfter } = readCertificate(der);
  return { role, name: nameOf(der), notBefore, notAfter };
}

const seconds = (ms: number): number => Math.floor(ms / 1000);
const nameOf = (der: Uint8Array): string => new X509Certificate(der).subject.replace(/\n/g, ", ");
/** Two certificates of one name are two series. */
const labelOf = (der: Uint8Array): string => `${nameOf(der)} ${hash("sha256", der, "hex").slice(0, 8)}`;
