import "reflect-metadata";
import { webcrypto } from "node:crypto";
import * as x509 from "@peculiar/x509";
import { SIGNS_LISTS, type TestAuthority } from "./tls.ts";

x509.cryptoProvider.set(globalThis.crypto);
const P256 = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

/** A PKI engine of the stand-in for Vault: its issuer, and what the mount holds of the way to the root. */
export interface VaultEngineShape {
  readonly issuer: TestAuthority;
  /** From the issuer's own issuer on; without the root the mount does not know it. */
  readonly above?: readonly TestAuthority[];
  /** Of the mount, as `max-lease-ttl` says. */
  readonly maxLeaseSeconds?: number;
  /** Roles by name, as reading one gives them. */
  readonly roles?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** As before Vault 1.11: the chain begins after the certificate, and a root that signs is not in its own. */
  readonly old?: boolean;
}

type Body = Readonly<Record<string, unknown>>;
export interface EngineAnswer {
  readonly status: number;
  readonly data?: Body;
  readonly warnings?: readonly string[];
  readonly errors?: readonly string[];
}

const YEAR_SECONDS = 365 * 86_400;

/** Signs as the engine does, at a time. */
export class VaultEngine {
  readonly shape: VaultEngineShape;
  readonly #now: () => number;
  #serial = 16;

  constructor(shape: VaultEngineShape, now: () => number) {
    this.shape = shape;
    this.#now = now;
  }

  /** PEM, the issuer first. */
  get chain(): readonly string[] {
    const { issuer, above = [], old = false } = this.shape;
    return old && above.length === 0 ? [] : [issuer, ...above].map(({ root }) => root.trim());
  }

  /** `root/sign-intermediate`: the names are the body's, and nothing but the issuer's own path length of 0 is in its way. */
  async signIntermediate(body: Body): Promise<EngineAnswer> {
    const issuer = new x509.X509Certificate(this.shape.issuer.root);
    if (issuer.getExtension(x509.BasicConstraintsExtension)?.pathLength === 0)
      return refused("signing certificate has a max path length of zero, and cannot issue further CA certificates");
    const { seconds, warnings } = this.#life(body);
    const max = Number(body["max_path_length"] ?? -1);
    const usage = new x509.KeyUsagesExtension(SIGNS_LISTS, true);
    const made = await this.#certify(body, seconds, [
      new x509.BasicConstraintsExtension(true, max < 0 ? undefined : max, true),
      usage,
    ]);
    if (made === undefined) return refused("csr contains no data");
    const outlives = issuer.notAfter.getTime() < this.#now() + seconds * 1000;
    return this.#answer(made, [...(outlives ? [OUTLIVES] : []), ...(max === 0 ? [ENDS_HERE] : []), ...warnings]);
  }

  /** `sign/<role>`: a leaf, whatever is asked for. */
  async signLeaf(body: Body): Promise<EngineAnswer> {
    const { seconds, warnings } = this.#life(body);
    const usage = new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true);
    const made = await this.#certify(body, seconds, [usage]);
    return made === undefined ? refused("csr contains no data") : this.#answer(made, warnings);
  }

  #life(body: Body): { readonly seconds: number; readonly warnings: readonly string[] } {
    const asked = Number(/^(\d+)s?$/.exec(String(body["ttl"]))?.[1] ?? 2_764_800);
    const max = this.shape.maxLeaseSeconds ?? 10 * YEAR_SECONDS;
    if (asked <= max) return { seconds: asked, warnings: [] };
    return {
      seconds: max,
      warnings: [`TTL "${hms(asked)}" is longer than permitted maxTTL "${hms(max)}", so maxTTL is being used`],
    };
  }

  async #certify(body: Body, seconds: number, extensions: readonly x509.Extension[]): Promise<string | undefined> {
    let csr: x509.Pkcs10CertificateRequest;
    try {
      csr = new x509.Pkcs10CertificateRequest(String(body["csr"]));
      if (!(await csr.verify())) return undefined;
    } catch {
      return undefined;
    }
    const issuer = new x509.X509Certificate(this.shape.issuer.root);
    const pkcs8 = x509.PemConverter.decodeFirst(this.shape.issuer.key);
    const organization = [body["organization"] ?? []].flat().map((name) => ({ O: [String(name)] }));
    const uris = [body["uri_sans"] ?? []].flat().map((value) => ({ type: "url" as const, value: String(value) }));
    const back = Number(/^(\d+)s?$/.exec(String(body["not_before_duration"]))?.[1] ?? 30);
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: (this.#serial++).toString(16),
      subject: [...organization, { CN: [String(body["common_name"])] }],
      issuer: issuer.subject,
      notBefore: new Date(this.#now() - back * 1000),
      notAfter: new Date(this.#now() + seconds * 1000),
      publicKey: csr.publicKey,
      signingKey: await webcrypto.subtle.importKey("pkcs8", pkcs8, P256, false, ["sign"]),
      signingAlgorithm: P256,
      extensions: [
        ...extensions,
        await x509.SubjectKeyIdentifierExtension.create(csr.publicKey),
        await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
        ...(uris.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(uris)]),
      ],
    });
    return certificate.toString("pem");
  }

  #answer(certificate: string, warnings: readonly string[]): EngineAnswer {
    const { issuer, above = [], old = false } = this.shape;
    const chain = old ? above.map(({ root }) => root) : [certificate, issuer.root, ...above.map(({ root }) => root)];
    return {
      status: 200,
      data: {
        certificate,
        issuing_ca: issuer.root,
        ...(chain.length > 0 && { ca_chain: chain }),
        serial_number: "10:11",
        expiration: Math.floor(new x509.X509Certificate(certificate).notAfter.getTime() / 1000),
      },
      warnings: [NO_AIA, ...warnings],
    };
  }
}

const hms = (seconds: number): string =>
  `${Math.floor(seconds / 3600)}h${Math.floor(seconds / 60) % 60}m${seconds % 60}s`;
const refused = (error: string): EngineAnswer => ({ status: 400, errors: [error] });

const OUTLIVES =
  "The expiration time for the signed certificate is after the CA's expiration time. If the new certificate is not treated as a root, " +
  "validation paths with the certificate past the issuing CA's expiration time will fail.";
const NO_AIA =
  "This mount hasn't configured any authority information access (AIA) fields; this may make it harder for systems to find missing " +
  "certificates in the chain or to validate revocation status of certificates.";
const ENDS_HERE =
  "Max path length of the signed certificate is zero. This certificate cannot be used to issue intermediate CA certificates.";
