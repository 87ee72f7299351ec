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

/** A throw-away authority for tests that need TLS, made by a library that is not ours. */
export class TestAuthority {
  readonly root: string;
  readonly #certificate: x509.X509Certificate;
  readonly #keys: webcrypto.CryptoKeyPair;

  private constructor(certificate: x509.X509Certificate, keys: webcrypto.CryptoKeyPair) {
    this.#certificate = certificate;
    this.#keys = keys;
    this.root = certificate.toString("pem");
  }

  static async create(name = "CN=test root"): Promise<TestAuthority> {
    const keys = await webcrypto.subtle.generateKey(P256, true, ["sign", "verify"]);
    const certificate = await x509.X509CertificateGenerator.createSelfSigned({
      serialNumber: "01",
      name,
      keys,
      signingAlgorithm: P256,
      extensions: [new x509.BasicConstraintsExtension(true, undefined, true)],
    });
    return new TestAuthority(certificate, keys);
  }

  /** A certificate for `localhost` and 127.0.0.1, or for these URIs. */
  async issue(uris: readonly string[] = [], lifetimeMs = 3_600_000): Promise<Pair> {
    const keys = await webcrypto.subtle.generateKey(P256, true, ["sign", "verify"]);
    const names: x509.JsonGeneralNames =
      uris.length > 0
        ? uris.map((value) => ({ type: "url", value }))
        : [
            { type: "dns", value: "localhost" },
            { type: "ip", value: "127.0.0.1" },
          ];
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: "02",
      subject: "CN=leaf",
      issuer: this.#certificate.subject,
      notBefore: new Date(Date.now() - 2 * 3_600_000),
      notAfter: new Date(Date.now() + lifetimeMs),
      publicKey: keys.publicKey,
      signingKey: this.#keys.privateKey,
      signingAlgorithm: P256,
      extensions: [
        new x509.SubjectAlternativeNameExtension(names),
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
      ],
    });
    const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey));
    const key = x509.PemConverter.encode(pkcs8, "PRIVATE KEY");
    return { certificate: certificate.toString("pem"), key };
  }
}
