import { hash, X509Certificate } from "node:crypto";
import type { BundleSource } from "../bundle-config.ts";
import { type Life, lifeOf } from "../ca/remaining-life.ts";
import type { EpochMs, Host, Metrics } from "../host.ts";
import type { BundleFollower, ReadBundle } from "./bundle-follower.ts";

/** A look that fails once or twice is nobody's business, as long as something good is there. */
const FAILURES_UNSAID = 2;

/** What is wrong with a bundle that is read, for people. */
export interface BundleFault {
  /** As `Trust bundle west.example`. */
  readonly object: string;
  readonly url: string;
  readonly message: string;
  readonly severity: "error" | "warning" | "info";
}

/** What is counted of bundles that are read. */
export class BundleMetrics {
  readonly #reads;
  readonly #age;
  readonly #roots;
  readonly #expiry;
  readonly #changes;

  constructor(metrics: Metrics) {
    const labels = ["trust_domain", "url"];
    this.#reads = metrics.counter("trust_bundle_reads_total", "Looks at the bundles of other trust domains.", [
      ...labels,
      "result",
    ]);
    this.#age = metrics.gauge("trust_bundle_age_seconds", "Since a bundle was read last.", labels);
    this.#roots = metrics.gauge("trust_bundle_roots", "Roots in a bundle.", labels);
    this.#expiry = metrics.gauge(
      "trust_bundle_expiry_timestamp_seconds",
      "When the last root of a bundle ends, in Unix seconds.",
      labels,
    );
    this.#changes = metrics.counter("trust_bundle_root_changes_total", "Changes of the roots in a bundle.", labels);
  }

  looked(source: BundleSource, ok: boolean): void {
    this.#reads.add(1, { ...labelsOf(source), result: ok ? "ok" : "failed" });
  }
  changed(source: BundleSource): void {
    this.#changes.add(1, labelsOf(source));
  }
  show(source: BundleSource, { document, readAt }: ReadBundle, now: EpochMs): void {
    const labels = labelsOf(source);
    this.#age.set(Math.max(0, now - readAt) / 1000, labels);
    this.#roots.set(document.authorities.length, labels);
    const last = lastEnd(document.authorities);
    if (last === undefined) this.#expiry.remove(labels);
    else this.#expiry.set(Math.floor(last.notAfter / 1000), labels);
  }
  forget(source: BundleSource): void {
    const labels = labelsOf(source);
    for (const gauge of [this.#age, this.#roots, this.#expiry, this.#changes]) gauge.remove(labels);
    for (const result of ["ok", "failed"]) this.#reads.remove({ ...labels, result });
  }
}

/** Who can add a root to a bundle can be anybody of it: each change is said, and one that leaves nothing as it was louder. */
export function logChange(host: Host, source: BundleSource, now: ReadBundle, before: ReadBundle | undefined): void {
  const log = host.log.scope("spire");
  const [after, old] = [now, before].map(
    (read) => new Map(read?.document.authorities.map((der) => [digestOf(der), der])),
  );
  const named = (roots: Map<string, Uint8Array>, without: Map<string, Uint8Array>): string | undefined =>
    [...roots].flatMap(([digest, der]) => (without.has(digest) ? [] : [`${nameOf(der)} (${digest})`])).join("; ") ||
    undefined;
  const fields = { trustDomain: nameOfSource(source), url: source.url, roots: after!.size, added: named(after!, old!) };
  if (before === undefined) return log.info("the bundle of another trust domain is read", fields);
  const removed = { ...fields, removed: named(old!, after!) };
  if (old!.size > 0 && [...old!.keys()].every((digest) => !after!.has(digest)))
    return log.error(
      "all roots of another trust domain have been replaced; ask its operators if that is theirs",
      removed,
    );
  log.warn("the roots of another trust domain have changed", removed);
}

export function faultsOf({ source, current, why, failures }: BundleFollower, now: EpochMs): readonly BundleFault[] {
  const name = nameOfSource(source);
  const fault = (severity: BundleFault["severity"], message: string): BundleFault => ({
    object: `Trust bundle ${name}`,
    url: source.url,
    message,
    severity,
  });
  if (current === undefined)
    return why === undefined
      ? []
      : [
          fault(
            "error",
            `The bundle of trust domain ${name} is not known, so nothing at ${source.url} vouches for it: ${why}.`,
          ),
        ];
  const { document, readAt } = current;
  const found: BundleFault[] = [];
  if (why !== undefined && failures > FAILURES_UNSAID)
    found.push(
      fault(
        "warning",
        `The bundle of trust domain ${name} was last read at ${new Date(readAt).toISOString()}, which stays in force, as ${source.url} cannot be read: ${why}.`,
      ),
    );
  if (document.authorities.length === 0)
    found.push(
      fault(
        "warning",
        `Trust domain ${name} says at ${source.url} that it has no roots, so none of its identities is believed.`,
      ),
    );
  const end = endOf(document.authorities, now);
  if (end !== undefined)
    found.push(
      fault(
        "error",
        `The last root of trust domain ${name} ${end}, and its bundle has no later one; ask its operators.`,
      ),
    );
  for (const note of document.notes) found.push(fault("info", `In the bundle of trust domain ${name}, ${note}.`));
  return found;
}

const SOON: ReadonlySet<Life> = new Set(["urgent", "expired"]);

function endOf(authorities: readonly Uint8Array[], now: EpochMs): string | undefined {
  const last = lastEnd(authorities);
  if (last === undefined) return undefined;
  const life = lifeOf({ role: "root", ...last }, now);
  return SOON.has(life)
    ? `${life === "expired" ? "ended" : "ends"} at ${new Date(last.notAfter).toISOString()}`
    : undefined;
}

function lastEnd(authorities: readonly Uint8Array[]): { notBefore: EpochMs; notAfter: EpochMs } | undefined {
  const lives = authorities.map((der) => {
    const { validFrom, validTo } = new X509Certificate(der);
    return { notBefore: Date.parse(validFrom), notAfter: Date.parse(validTo) };
  });
  return lives.sort((a, b) => b.notAfter - a.notAfter)[0];
}

const nameOfSource = ({ trustDomains }: BundleSource): string => trustDomains.join(" and ");
const labelsOf = (source: BundleSource) => ({ trust_domain: source.trustDomains.join(","), url: source.url });
const digestOf = (der: Uint8Array): string => hash("sha256", der, "hex").slice(0, 16);
const nameOf = (der: Uint8Array): string => new X509Certificate(der).subject?.replace(/\n/g, ", ") ?? "";
