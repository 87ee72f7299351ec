import "reflect-metadata";
import { webcrypto } from "node:crypto";
import * as x509 from "@peculiar/x509";

x509.cryptoProvider.set(globalThis.crypto);
const P256 = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

/** A certificate with its key, in PEM. */
export interface Pair {
  readonly certificate: string;
  readonly key: string;
}

export interface AuthorityShape {
  readonly name?: string;
  /** False for what only looks like an authority. */
  readonly ca?: boolean;
  readonly pathLength?: number;
  readonly notBeforeMs?: number;
  readonly notAfterMs?: number;
  readonly usages?: x509.KeyUsageFlags;
  readonly algorithm?: keyof typeof ALGORITHMS;
  /** BasicConstraints in DER, instead of `ca` and `pathLength`. */
  readonly constraints?: Uint8Array<ArrayBuffer>;
  /** Of the extended key usage, as object identifiers; none by default. */
  readonly purposes?: readonly string[];
  /** Alternative names of its own. */
  readonly uris?: readonly string[];
  /** In hexadecimal; 01 by default. */
  readonly serial?: string;
  /** Whose key it has: a root that was renewed. */
  readonly keyOf?: TestAuthority;
  /** The subject key identifier in hexadecimal; by default it follows from the key. */
  readonly keyId?: string;
}

export interface ListShape {
  /** Serial numbers in hexadecimal. */
  readonly revoked?: readonly string[];
  /** An hour ago by default. */
  readonly fromMs?: number;
  /** In an hour by default; null for a list that does not say. */
  readonly dueMs?: number | null;
  readonly number?: number;
  readonly extensions?: readonly x509.Extension[];
}

/** Of an authority that signs certificates and lists of revoked ones. */
export const SIGNS_LISTS = x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign;

function rsa(modulusLength: number) {
  return {
    name: "RSASSA-PKCS1-v1_5",
    hash: "SHA-256",
    publicExponent: new Uint8Array([1, 0, 1]),
    modulusLength,
  } as const;
}

const ALGORITHMS = {
  "P-256": P256,
  "P-384": { name: "ECDSA", namedCurve: "P-384", hash: "SHA-384" },
  RSA: rsa(2048),
  "RSA-4096": rsa(4096),
  "RSA-1024": rsa(1024),
} as const;

/** A throw-away authority for tests, made by a library that is not ours. */
export class TestAuthority {
  /** Its certificate in PEM. */
  readonly root: string;
  readonly key: string;
  readonly #certificate: x509.X509Certificate;
  readonly #keys: webcrypto.CryptoKeyPair;
  readonly #algorithm: (typeof ALGORITHMS)[keyof typeof ALGORITHMS];

  private constructor(
    certificate: x509.X509Certificate,
    keys: webcrypto.CryptoKeyPair,
    algorithm: (typeof ALGORITHMS)[keyof typeof ALGORITHMS],
    key: string,
  ) {
    this.#certificate = certificate;
    this.#keys = keys;
    this.#algorithm = algorithm;
    this.root = certificate.toString("pem");
    this.key = key;
  }

  static async create(shape: AuthorityShape | string = {}, issuer?: TestAuthority): Promise<TestAuthority> {
    const {
      name,
      ca,
      pathLength,
      notBeforeMs,
      notAfterMs,
      usages,
      algorithm,
      uris = [],
      constraints,
      purposes = [],
      serial = "01",
      keyOf,
      keyId,
    } = typeof shape === "string" ? ({ name: shape } as AuthorityShape) : shape;
    const own = ALGORITHMS[algorithm ?? "P-256"];
    const keys =
      keyOf === undefined
        ? ((await webcrypto.subtle.generateKey(own, true, ["sign", "verify"])) as webcrypto.CryptoKeyPair)
        : keyOf.#keys;
    const subject = name ?? "CN=test root";
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: serial,
      subject,
      issuer: issuer === undefined ? subject : issuer.#certificate.subject,
      notBefore: new Date(notBeforeMs ?? Date.now() - 3 * 3_600_000),
      notAfter: new Date(notAfterMs ?? Date.now() + 7_200_000),
      publicKey: keys.publicKey,
      signingKey: (issuer === undefined ? keys : issuer.#keys).privateKey,
      signingAlgorithm: issuer === undefined ? own : issuer.#algorithm,
      extensions: [
        constraints === undefined
          ? new x509.BasicConstraintsExtension(ca ?? true, pathLength, true)
          : new x509.Extension("2.5.29.19", true, constraints),
        ...(purposes.length > 0 ? [new x509.ExtendedKeyUsageExtension([...purposes])] : []),
        new x509.KeyUsagesExtension(usages ?? x509.KeyUsageFlags.keyCertSign, true),
        keyId === undefined
          ? await x509.SubjectKeyIdentifierExtension.create(keys.publicKey)
          : new x509.SubjectKeyIdentifierExtension(keyId),
        await x509.AuthorityKeyIdentifierExtension.create((issuer === undefined ? keys : issuer.#keys).publicKey),
        ...(uris.length > 0 ? [new x509.SubjectAlternativeNameExtension(uris.map(urlName))] : []),
      ],
    });
    return new TestAuthority(certificate, keys, own, await privatePem(keys.privateKey));
  }

  /** A list of what it revoked, in PEM. */
  async list({ revoked = [], fromMs, dueMs, number, extensions = [] }: ListShape = {}): Promise<string> {
    const thisUpdate = new Date(fromMs ?? Date.now() - 3_600_000);
    const list = await x509.X509CrlGenerator.create({
      issuer: this.#certificate.subject,
      thisUpdate,
      ...(dueMs !== null && { nextUpdate: new Date(dueMs ?? Date.now() + 3_600_000) }),
      signingAlgorithm: this.#algorithm,
      signingKey: this.#keys.privateKey,
      entries: revoked.map((serialNumber) => ({ serialNumber, revocationDate: thisUpdate })),
      extensions: [
        ...(number === undefined ? [] : [new x509.Extension("2.5.29.20", false, Uint8Array.of(2, 1, number))]),
        ...extensions,
      ],
    });
    return `${x509.PemConverter.encode(list.rawData, "X509 CRL")}\n`;
  }

  /** A certificate for these URIs, or else for 127.0.0.1 and the DNS name. */
  async issue(
    uris: readonly string[] = [],
    lifetimeMs = 3_600_000,
    serial = "02",
    dnsName = "localhost",
  ): Promise<Pair> {
    const keys = await webcrypto.subtle.generateKey(P256, true, ["sign", "verify"]);
    const names: x509.JsonGeneralNames =
      uris.length > 0
        ? uris.map(urlName)
        : [
            { type: "dns", value: dnsName },
            { type: "ip", value: "127.0.0.1" },
          ];
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: serial,
      subject: "CN=leaf",
      issuer: this.#certificate.subject,
      notBefore: new Date(Date.now() - 2 * 3_600_000),
      notAfter: new Date(Date.now() + lifetimeMs),
      publicKey: keys.publicKey,
      signingKey: this.#keys.privateKey,
      signingAlgorithm: this.#algorithm,
      extensions: [
        new x509.SubjectAlternativeNameExtension(names),
        // Without it no validator of SVIDs takes it (SPIFFE X.509-SVID 4.3), Envoy's among them.
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
      ],
    });
    return { certificate: certificate.toString("pem"), key: await privatePem(keys.privateKey) };
  }
}

export const derOf = (pem: string): Buffer => Buffer.from(pem.replace(/-----.*-----/g, ""), "base64");

const urlName = (value: string) => ({ type: "url" as const, value });

async function privatePem(key: webcrypto.CryptoKey): Promise<string> {
  return x509.PemConverter.encode(await webcrypto.subtle.exportKey("pkcs8", key), "PRIVATE KEY");
}
