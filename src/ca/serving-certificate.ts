import { createPublicKey, generateKeyPairSync } from "node:crypto";
import { isIP } from "node:net";
import { MeshError, messageOf } from "../errors.ts";
import type { Host } from "../host.ts";
import { ipBytes } from "../ip-bytes.ts";
import { formatServiceAccountId, type ServiceAccountId } from "../spiffe.ts";
import type { Authority } from "./authority.ts";
import { EMPTY_NAME, serialFrom } from "./certificate.ts";
import { ownCertificate } from "./own-certificate.ts";
import { toPem } from "../pem.ts";

/** Short enough that renewal is exercised, long enough to survive a week without us. */
const LIFE_MS = 30 * 86_400_000;
/** Half of what is left of an authority becomes ever shorter; renewals, and attempts at one, keep this apart. */
const RENEWAL_MS_MIN = 60_000;

/** What the TLS port shows, in PEM. */
export interface ServingCertificateMaterial {
  /** Leaf first, root left out. */
  readonly chain: string;
  readonly key: string;
}

/** The names under which clients reach a control plane (contract ztunnel.md 4.6). */
export function servingNames(namespace: string, revision: string, clusterDomain: string): readonly string[] {
  const services = [
    "istiod",
    "istiod-remote",
    "istio-pilot",
    ...(revision === "default" ? [] : [`istiod-${revision}`]),
  ];
  const full = services.flatMap((service) => [
    `${service}.${namespace}.svc`,
    `${service}.${namespace}.svc.${clusterDomain}`,
    `${service}.${namespace}`,
  ]);
  return [...full, "istiod", "localhost"];
}

/** Keeps a control plane's certificate, by which it serves and calls its peers, and replaces it at half of its life. */
export class ServingCertificates {
  readonly #host: Host;
  readonly #names: readonly string[];
  readonly #identity: ServiceAccountId;
  #authority: Authority;
  #current: ServingCertificateMaterial | undefined;
  readonly #observers = new Set<(material: ServingCertificateMaterial) => void>();
  #timer: Disposable | undefined;

  /**
   * @param names DNS names and IP addresses.
   * @param identity what peers know us by (contract peering.md 2.3).
   */
  constructor(host: Host, authority: Authority, names: readonly string[], identity: ServiceAccountId) {
    this.#host = host;
    this.#authority = authority;
    this.#names = names;
    this.#identity = identity;
  }

  /**
   * Gives the first at once, and `onRenewed` each later one.
   * @throws MeshError `unavailable` if the authority has ended; later than now that is logged, and tried again.
   */
  start(onRenewed: (material: ServingCertificateMaterial) => void): ServingCertificateMaterial {
    this.#observers.add(onRenewed);
    return this.#next();
  }

  /** What we prove ourselves with; undefined before `start`. */
  get current(): ServingCertificateMaterial | undefined {
    return this.#current;
  }

  /** Calls `observer` with each one that replaces the current. */
  observe(observer: (material: ServingCertificateMaterial) => void): Disposable {
    this.#observers.add(observer);
    return { [Symbol.dispose]: () => void this.#observers.delete(observer) };
  }

  /** Has this authority sign from now on, beginning with a certificate for `onRenewed`. @throws as `start`. */
  rotate(authority: Authority): void {
    this.#authority = authority;
    this.#renew();
  }

  close(): void {
    this.#timer?.[Symbol.dispose]();
  }

  #renew(): void {
    const material = this.#next();
    for (const observer of this.#observers) observer(material);
  }

  #next(): ServingCertificateMaterial {
    const { material, lifeMs } = this.#issue();
    this.#renewAfter(lifeMs / 2);
    return (this.#current = material);
  }

  #renewAfter(delayMs: number): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = this.#host.clock.after(Math.max(delayMs, RENEWAL_MS_MIN), () => {
      try {
        this.#renew();
      } catch (thrown) {
        // Streams that are open live on, so we must, too.
        this.#host.log.scope("ca").error("the serving certificate was not renewed", { why: messageOf(thrown) });
        this.#renewAfter(RENEWAL_MS_MIN);
      }
    });
  }

  #issue(): { readonly material: ServingCertificateMaterial; readonly lifeMs: number } {
    const { clock, random } = this.#host;
    const now = clock.now();
    const notAfter = Math.min(now + LIFE_MS, this.#authority.notAfter);
    if (notAfter <= now) throw new MeshError("unavailable", "the signing certificate has ended; renew cacerts");
    const { privateKey: key } = generateKeyPairSync("ec", {
      namedCurve: "P-256",
      privateKeyEncoding: { type: "pkcs8", format: "pem" },
      publicKeyEncoding: { type: "spki", format: "pem" },
    });
    const ips = this.#names.filter((name) => isIP(name) !== 0);
    const template = {
      serial: serialFrom(random.bytes(16)),
      notBefore: now - 120_000,
      notAfter,
      subject: EMPTY_NAME,
      publicKey: createPublicKey(key).export({ type: "spki", format: "der" }),
      purpose: "control-plane" as const,
      names: {
        uris: [formatServiceAccountId(this.#identity)],
        dns: this.#names.filter((name) => !ips.includes(name)),
        ips: ips.flatMap((ip) => ipBytes(ip) ?? []),
      },
    };
    const leaf = ownCertificate(template, this.#authority, this.#authority.notAfter);
    const chain = [leaf, ...this.#authority.chain].map((bytes) => toPem("CERTIFICATE", bytes)).join("");
    return { material: { chain, key }, lifeMs: notAfter - now };
  }
}
