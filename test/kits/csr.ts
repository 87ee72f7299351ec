import "reflect-metadata";
import { webcrypto } from "node:crypto";
import * as x509 from "@peculiar/x509";

x509.cryptoProvider.set(globalThis.crypto);
const P256 = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

export interface CsrShape {
  readonly uris: readonly string[];
  readonly dns?: readonly string[];
  readonly subject?: string;
}

export interface MadeCsr {
  readonly der: Buffer;
  readonly pem: string;
  /** PEM. */
  readonly key: string;
  /** SubjectPublicKeyInfo in DER. */
  readonly publicKey: Buffer;
}

/** A PKCS#10 request by a library that is not ours, with its key. */
export async function makeCsr({ uris, dns = [], subject }: CsrShape): Promise<MadeCsr> {
  const keys = (await webcrypto.subtle.generateKey(P256, true, ["sign", "verify"])) as webcrypto.CryptoKeyPair;
  const names: x509.JsonGeneralNames = [
    ...uris.map((value) => ({ type: "url" as const, value })),
    ...dns.map((value) => ({ type: "dns" as const, value })),
  ];
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    keys,
    signingAlgorithm: P256,
    ...(subject !== undefined && { name: subject }),
    extensions: names.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(names)],
  });
  const key = x509.PemConverter.encode(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey), "PRIVATE KEY");
  const publicKey = Buffer.from(request.publicKey.rawData);
  return { der: Buffer.from(request.rawData), pem: request.toString("pem"), key, publicKey };
}
