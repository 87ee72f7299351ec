import { createPrivateKey } from "node:crypto";
import { keyIdOf, organizationName, serialFrom } from "../../src/ca/certificate.ts";
import { readCertificate } from "../../src/ca/certificate-fields.ts";
import { parseCsr } from "../../src/ca/csr.ts";
import { ownCertificate } from "../../src/ca/own-certificate.ts";
import { toPem } from "../../src/pem.ts";
import type { MeshError } from "../../src/errors.ts";
import type { DownstreamCa } from "../../src/spire/spire.ts";
import type { TestHost } from "../kits/test-host.ts";
import { derOf, type TestAuthority } from "../kits/tls.ts";

const HOUR_MS = 3_600_000;

/** A SPIRE server that makes authorities for whatever key is sent, as it does. */
export class DownstreamServer {
  readonly host: TestHost;
  /** What signs: a root, unless `above` leads to one. */
  issuer: TestAuthority;
  /** Between the issuer and a root. */
  above: readonly TestAuthority[] = [];
  lifeMs = 24 * HOUR_MS;
  name: string;
  failure: MeshError | undefined;
  spoil = (chain: readonly Uint8Array[]): readonly Uint8Array[] => chain;
  readonly asked: number[] = [];

  constructor(host: TestHost, trustDomain: string, root: TestAuthority) {
    this.host = host;
    this.name = `spiffe://${trustDomain}`;
    this.issuer = root;
  }

  async newDownstreamCa(csr: Uint8Array, preferredTtlSeconds: number): Promise<DownstreamCa> {
    this.asked.push(preferredTtlSeconds);
    if (this.failure !== undefined) throw this.failure;
    const publicKey = await parseCsr(toPem("CERTIFICATE REQUEST", csr));
    const now = this.host.clock.now();
    const issuer = readCertificate(derOf(this.issuer.root));
    const template = {
      serial: serialFrom(this.host.random.bytes(16)),
      notBefore: now - 10_000,
      notAfter: now + this.lifeMs,
      subject: organizationName("SPIFFE", "downstream"),
      publicKey,
      purpose: "authority" as const,
      names: { uris: [this.name] },
    };
    const { subject, publicKey: above } = issuer;
    const privateKey = createPrivateKey(this.issuer.key);
    const certificate = ownCertificate(template, { subject, keyId: keyIdOf(above), privateKey }, issuer.notAfter);
    const between = this.above.length === 0 ? [] : [this.issuer, ...this.above];
    const chain = [certificate, ...between.map(({ root: pem }) => derOf(pem))];
    return { chain: this.spoil(chain), authorities: [derOf((this.above.at(-1) ?? this.issuer).root)] };
  }
}
