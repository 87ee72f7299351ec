import { serialFrom } from "../../ca/certificate.ts";
import { makeKeyPair } from "../../ca/key-type.ts";
import type { EpochMs, Host } from "../../host.ts";
import { BACKDATE_MS, newSpireAuthority, type SpireAuthority } from "./authorities.ts";
import type { LeafFault } from "./faults.ts";
import { signSvid, subjectFor, type SvidShape } from "./svid-certificate.ts";
import type { SpireTrust } from "./trust.ts";

export interface SvidOrder {
  readonly spiffeId: string;
  /** SubjectPublicKeyInfo in DER. */
  readonly publicKey: Uint8Array;
  /** 0 for the server's default. */
  readonly ttlSeconds: number;
  readonly dns: readonly string[];
  /** In DER; empty for SPIRE's own. */
  readonly subject: Uint8Array;
}

/** A leaf and what follows it, in DER. */
export interface SignedSvid {
  readonly chain: readonly Uint8Array[];
  readonly expiresAt: EpochMs;
}

export interface MinterOptions {
  readonly trustDomain: string;
  readonly svidTtlSeconds: number;
}

const SECOND_MS = 1000;
const HOUR_SECONDS = 3_600;

/** Signs leaves as SPIRE's server does, or as none should. */
export class Minter {
  readonly #host: Host;
  readonly #trust: SpireTrust;
  readonly #options: MinterOptions;

  constructor(host: Host, trust: SpireTrust, options: MinterOptions) {
    this.#host = host;
    this.#trust = trust;
    this.#options = options;
  }

  async sign(order: SvidOrder, fault?: LeafFault): Promise<SignedSvid> {
    if (fault === "no-certificate")
      return { chain: [Buffer.from("no certificate")], expiresAt: this.#host.clock.now() };
    const issuer = fault === "other-issuer" ? await this.#stranger() : this.#trust.active;
    const shape = await this.#faulty(this.#shape(order, issuer), fault);
    const above = fault === "without-its-issuer" ? [] : this.#trust.active.chain;
    return { chain: [signSvid(shape, issuer), ...above], expiresAt: shape.notAfter };
  }

  #shape({ spiffeId, publicKey, ttlSeconds, dns, subject }: SvidOrder, issuer: SpireAuthority): SvidShape {
    const now = Math.floor(this.#host.clock.now() / SECOND_MS) * SECOND_MS;
    const ttl = ttlSeconds > 0 ? ttlSeconds : this.#options.svidTtlSeconds;
    return {
      serial: serialFrom(this.#host.random.bytes(16)),
      notBefore: now - BACKDATE_MS,
      notAfter: Math.min(now + ttl * SECOND_MS, issuer.notAfter),
      subject: subjectFor(subject, dns),
      publicKey,
      uris: [spiffeId],
      dns,
      authority: false,
    };
  }

  async #faulty(shape: SvidShape, fault: LeafFault | undefined): Promise<SvidShape> {
    const [uri = ""] = shape.uris;
    const { trustDomain } = this.#options;
    switch (fault) {
      case "other-identity":
        return { ...shape, uris: [`${uri}-2`] };
      case "other-trust-domain":
        return { ...shape, uris: [uri.replace(`//${trustDomain}/`, "//elsewhere.test/")] };
      case "other-key":
        return { ...shape, publicKey: await newPublicKey() };
      case "authority":
        return { ...shape, authority: true };
      case "two-names":
        return { ...shape, uris: [uri, `spiffe://${trustDomain}/ns/kube-system/sa/other`] };
      case "extra-dns-name":
        return { ...shape, dns: [...shape.dns, "istiod.istio-system.svc"] };
      case "expired":
        return { ...shape, notBefore: shape.notBefore - HOUR_SECONDS * SECOND_MS, notAfter: shape.notBefore };
      case "from-the-future":
        return { ...shape, notBefore: shape.notAfter - SECOND_MS };
      default:
        return shape;
    }
  }

  /** An authority of the same trust domain that is in no bundle. */
  #stranger(): Promise<SpireAuthority> {
    const { trustDomain } = this.#options;
    return newSpireAuthority(this.#host, { trustDomain, ttlSeconds: HOUR_SECONDS }, undefined, undefined);
  }
}

async function newPublicKey(): Promise<Uint8Array> {
  return (await makeKeyPair("ec-p256")).publicKey.export({ type: "spki", format: "der" });
}
