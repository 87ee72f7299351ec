import "reflect-metadata";
import { createPrivateKey, webcrypto } from "node:crypto";
import * as x509 from "@peculiar/x509";
import { MeshError } from "../../src/errors.ts";
import type { EpochMs } from "../../src/host.ts";
import type { EntryFilter, MintedSvid, SpireAgent, SpireEntry, SpireServer } from "../../src/spire/spire.ts";
import { derOf, TestAuthority } from "../kits/tls.ts";

x509.cryptoProvider.set(globalThis.crypto);
const P256 = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

/** What a leaf is to have instead of what was asked for. */
export interface LeafShape {
  readonly uris?: readonly string[];
  readonly publicKey?: Uint8Array;
  readonly subject?: string;
  readonly notBefore?: EpochMs;
  readonly notAfter?: EpochMs;
  readonly ca?: boolean;
  readonly usages?: x509.KeyUsageFlags;
  readonly purposes?: readonly string[];
  readonly extensions?: readonly x509.Extension[];
}

/** A SPIRE server without sockets, which signs as SPIRE does with a library that is not ours. */
export class SigningSpireServer implements SpireServer {
  held: SpireEntry[] = [];
  nodes: SpireAgent[] = [];
  /** In the order in which they came, as `mint` or `entries spiffe://…`. */
  readonly calls: string[] = [];
  /** What every call, or every one of a name, ends with. */
  readonly failures = new Map<string, MeshError>();
  /** What each call waits for. */
  gate: Promise<unknown> = Promise.resolve();
  shape: LeafShape = {};
  /** What a leaf gets that is asked for with no time. */
  defaultSeconds = 3600;
  /** Who signs first, and those above it but for the root. */
  signers: readonly TestAuthority[];
  /** As sent after the leaf; by default the signers. */
  above: readonly Uint8Array[] | undefined;

  constructor(
    readonly now: () => EpochMs,
    signers: readonly TestAuthority[],
  ) {
    this.signers = signers;
  }

  async mint(csr: Uint8Array, ttlSeconds: number, signal: AbortSignal): Promise<MintedSvid> {
    await this.#called("mint", `${ttlSeconds}`);
    signal.throwIfAborted();
    const request = new x509.Pkcs10CertificateRequest(Uint8Array.from(csr));
    if (!(await request.verify())) throw new MeshError("invalid", "failed to verify CSR signature");
    const asked = request.getExtension("2.5.29.17");
    const names = asked && new x509.SubjectAlternativeNameExtension(asked.rawData).names.items;
    const [uri, ...more] = (names ?? []).map(({ value }) => value);
    if (uri === undefined || more.length > 0) throw new MeshError("invalid", "only one URI SAN is expected");
    const [issuer] = this.signers;
    const until = Date.parse(new x509.X509Certificate(issuer!.root).notAfter.toISOString());
    const notAfter = Math.min(this.now() + (ttlSeconds || this.defaultSeconds) * 1000, until);
    const leaf = await this.#leaf(issuer!, {
      uris: [uri],
      publicKey: rawOf(request.publicKey),
      notAfter,
      ...this.shape,
    });
    const above = this.above ?? this.signers.map(({ root }) => derOf(root));
    return { chain: [leaf, ...above], spiffeId: uri, expiresAt: notAfter };
  }

  async *entries(filter: EntryFilter): AsyncIterable<readonly SpireEntry[]> {
    await this.#called("entries", filter.spiffeId ?? filter.parentId ?? "all");
    for (const entry of this.held)
      if (
        (filter.spiffeId ?? entry.spiffeId) === entry.spiffeId &&
        (filter.parentId ?? entry.parentId) === entry.parentId
      )
        yield [entry];
  }

  async agents(): Promise<readonly SpireAgent[]> {
    await this.#called("agents");
    return [...this.nodes];
  }

  newDownstreamCa = unused;
  bundle = unused;
  federatedBundles = unused;
  createEntries = unused;
  updateEntries = unused;
  deleteEntries = unused;

  async #called(name: string, what = ""): Promise<void> {
    this.calls.push(`${name} ${what}`.trim());
    await this.gate;
    const failure = this.failures.get(name) ?? this.failures.get("all");
    if (failure !== undefined) throw failure;
  }

  async #leaf(issuer: TestAuthority, shape: LeafShape): Promise<Uint8Array> {
    const { uris = [], publicKey, subject = "C=US, O=SPIRE", notBefore = this.now() - 10_000, notAfter } = shape;
    const { digitalSignature, keyEncipherment, keyAgreement } = x509.KeyUsageFlags;
    const key = await importKey(issuer);
    const above = new x509.X509Certificate(issuer.root);
    const spki = await webcrypto.subtle.importKey("spki", Uint8Array.from(publicKey!), P256, true, ["verify"]);
    const names = uris.map((value) => ({ type: "url", value }) as const);
    const { serverAuth, clientAuth } = x509.ExtendedKeyUsage;
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: Buffer.from(webcrypto.getRandomValues(new Uint8Array(16)).fill(0x45, 0, 1)).toString("hex"),
      subject,
      issuer: above.subject,
      notBefore: new Date(notBefore),
      notAfter: new Date(notAfter!),
      publicKey: spki,
      signingKey: key,
      signingAlgorithm: P256,
      extensions: [
        new x509.KeyUsagesExtension(shape.usages ?? digitalSignature | keyEncipherment | keyAgreement, true),
        new x509.ExtendedKeyUsageExtension([...(shape.purposes ?? [serverAuth, clientAuth])]),
        // SPIRE's Go leaves out that it is no authority, as DER has it; the library writes it out.
        shape.ca === true
          ? new x509.BasicConstraintsExtension(true, undefined, true)
          : new x509.Extension("2.5.29.19", true, Uint8Array.of(0x30, 0)),
        await x509.SubjectKeyIdentifierExtension.create(spki),
        await x509.AuthorityKeyIdentifierExtension.create(above.publicKey),
        new x509.SubjectAlternativeNameExtension(names, subject === ""),
        ...(shape.extensions ?? []),
      ],
    });
    return Buffer.from(certificate.rawData);
  }
}

function unused(): never {
  throw new Error("nothing here should call this");
}

const rawOf = (key: x509.PublicKey): Uint8Array => new Uint8Array(key.rawData);

function importKey({ key }: TestAuthority): Promise<webcrypto.CryptoKey> {
  const pkcs8 = createPrivateKey(key).export({ type: "pkcs8", format: "der" });
  return webcrypto.subtle.importKey("pkcs8", pkcs8, P256, true, ["sign"]);
}
